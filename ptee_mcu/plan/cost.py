"""What a plan costs: cycles by cause, bytes by memory, per step."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cycles:
    """Core cycles by cause: `compute` with memory that never waits, and what is waited for beyond that."""

    compute: float
    code: float = 0.0  # for instructions
    constants: float = 0.0  # for weights, biases and rescale tables
    activations: float = 0.0  # for inputs, outputs and scratch
    copies: float = 0.0  # for constants on their way into the stage

    @property
    def total(self) -> float:
        """All of them."""
        return self.compute + self.code + self.constants + self.activations + self.copies

    def __add__(self, other: "Cycles") -> "Cycles":
        """Both, one after the other."""
        return Cycles(
            self.compute + other.compute,
            self.code + other.code,
            self.constants + other.constants,
            self.activations + other.activations,
            self.copies + other.copies,
        )


@dataclass(frozen=True, slots=True)
class StepCost:
    """One execution of a step; `bytes_read`: of constants and activations, by the memory they are read from."""

    cycles: Cycles
    bytes_read: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PlanCost:
    """What a plan costs: `steps` in its order of execution; `entry`, per segment: cycles to stage its constants.

    `heads`: the same for what only the segment's exit needs. `boot`: cycles to load what is loaded before main, once.
    What an inference takes under an operating point follows: expected_cost.point_cycles.
    """

    steps: tuple[StepCost, ...]
    entry: tuple[float, ...]
    heads: tuple[float, ...]
    boot: float
