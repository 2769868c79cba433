"""Buffers to be laid out in one arena: sizes, lifetimes, and how far apart two that are alive together must start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ptee_mcu.plan.overlap import Overlaps, shared_bytes
from ptee_mcu.plan.plan import SLOT_ALIGN
from ptee_mcu.units import rounded_up


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A buffer of `nbytes` needed during steps first..last, both included."""

    nbytes: int
    first: int
    last: int

    def meets(self, other: "Lifetime") -> bool:
        """True where both are needed at some step."""
        return self.first <= other.last and other.first <= self.last


def aligned(nbytes: int) -> int:
    """`nbytes` rounded up to SLOT_ALIGN."""
    return rounded_up(nbytes, SLOT_ALIGN)


class Buffers:
    """Numbered buffers; all sizes and gaps are multiples of SLOT_ALIGN, so that all offsets can be.

    `meets[i]`: those alive at some step of i. `gap[i][j]`: bytes from the start of i to that of j where i starts first;
    the size of i, or less where i is written over j.
    """

    def __init__(self, lifetimes: Mapping[str, Lifetime], overlaps: Overlaps) -> None:
        """`overlaps`: pairs (output, input) that may share bytes at the one step at which both are alive."""
        self.names = tuple(lifetimes)
        self.lives = tuple(lifetimes.values())
        self.sizes = [aligned(live.nbytes) for live in self.lives]
        self.meets = [
            [j for j, other in enumerate(self.lives) if j != i and live.meets(other)]
            for i, live in enumerate(self.lives)
        ]
        self.gap = [dict.fromkeys(met, size) for met, size in zip(self.meets, self.sizes, strict=True)]
        self.over: list[list[int]] = [[] for _ in self.names]  # what each may be written over
        number = {name: i for i, name in enumerate(self.names)}
        for (output, source), distance in overlaps.items():
            i, j = number[output], number[source]
            self.gap[i][j] = min(self.sizes[i], aligned(distance))
            self.over[i].append(j)

    def part(self, numbers: Sequence[int]) -> "Buffers":
        """Only the buffers `numbers`, numbered anew in this order."""
        chosen = {self.names[i]: self.lives[i] for i in numbers}
        overlaps = {
            (self.names[i], self.names[j]): self.gap[i][j]
            for i in numbers
            for j in self.over[i]
            if self.names[j] in chosen
        }
        return Buffers(chosen, overlaps)

    @cached_property
    def crowds(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """(step, buffers alive) at every step where a buffer begins: every set alive together is part of one."""
        return tuple(
            (step, tuple(i for i, live in enumerate(self.lives) if live.first <= step <= live.last))
            for step in sorted({live.first for live in self.lives})
        )

    def footprint(self, together: Sequence[int]) -> int:
        """The fewest bytes in which buffers that are alive together can lie, sharing what they may."""
        here = set(together)
        return sum(self.sizes[i] - self._shared(i, here) for i in together)

    def _shared(self, i: int, here: set[int]) -> int:
        return shared_bytes(self.sizes[i], ((self.sizes[j], self.gap[i][j]) for j in self.over[i] if j in here))

    @cached_property
    def widest(self) -> tuple[int, int]:
        """(bytes, step): the footprint of the widest step, and the first step that has it; zeros without buffers."""
        nbytes, step = max(((self.footprint(alive), -step) for step, alive in self.crowds), default=(0, 0))
        return nbytes, -step

    def height(self, offsets: Sequence[int]) -> int:
        """One past the highest byte used."""
        return max((offset + size for offset, size in zip(offsets, self.sizes, strict=True)), default=0)
