"""One network through the simulator, through its C on the host with sanitizers, and through its C on a Cortex-M4."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from support.emitted import planned, written
from support.tools import require

from ptee_mcu.firmware import harness, run
from ptee_mcu.firmware.execution import Execution, collect
from ptee_mcu.firmware.machines import machine
from ptee_mcu.firmware.records import Options, TraceForm
from ptee_mcu.quant_graph import NEVER, QuantGraph
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import Int8

WHERE = ("host", "mps2-an386")


def inputs_for(graph: QuantGraph, count: int = 8, *, seed: int = 0) -> Int8:
    """`count` random inputs, then the extremes: lowest, highest, the zero point, both ends in turn."""
    shape = graph.input_tensor.shape[1:]
    random = np.random.default_rng(seed).integers(-128, 128, (count, *shape))
    extremes = [np.full(shape, code) for code in (-128, 127, graph.input_tensor.quant.zero_point)]
    turns = np.where(np.indices(shape).sum(axis=0) % 2, 127, -128)
    return np.concatenate([random, np.stack([*extremes, turns])]).astype(np.int8)


class Differential:
    """A network, and what each place makes of `inputs`; every exit runs. Each place is built and run once."""

    def __init__(self, graph: QuantGraph, folder: Path, inputs: Int8 | None = None) -> None:
        self.plan = planned(graph)
        self.folder = folder
        self.inputs = inputs_for(graph) if inputs is None else inputs
        self.ran: dict[str, Execution] = {}

    @property
    def never(self) -> tuple[int, ...]:
        """Thresholds that no exit reaches."""
        return (NEVER,) * (len(self.plan.graph.exits) - 1)

    @cached_property
    def project(self) -> Path:
        return written(self.plan, self.folder / "project")

    @cached_property
    def simulated(self) -> Mapping[str, Int8]:
        """Every tensor, batched, by name."""
        return evaluate(self.plan.graph, self.inputs, thresholds=self.never, record=True).tensors

    def executed(self, where: str) -> Execution:
        if where not in self.ran:
            self.ran[where] = self._execute(where)
        return self.ran[where]

    def check(self, where: str, node: str) -> None:
        """Asserts that the output of `node` is the same, byte for byte, and not one value everywhere."""
        found = self.compare(where, node)
        assert len(np.unique(found)) > 1 or found.shape[1] == 1, f"{node} says nothing: one value everywhere"

    def compare(self, where: str, node: str) -> Int8:
        """Asserts that the output of `node` is the same, byte for byte, and returns it."""
        step = next(step for step in self.plan.steps if step.node.name == node)
        found = self.executed(where).trace.ops[step.index].outputs
        expected = self.simulated[step.node.output].reshape(len(self.inputs), -1)
        np.testing.assert_array_equal(found, expected, err_msg=f"{node} on {where}")
        return found

    def _execute(self, where: str) -> Execution:
        name = self.plan.graph.name
        options = Options(dict(enumerate(self.never)), trace=TraceForm.OUTPUTS)
        if where == "host":
            require("gcc")
            program = harness.build_host(self.project, name, self.folder / "host", optimize="-O1")
            return collect(run.run_host(program, self.inputs, options))
        require("arm-none-eabi-gcc", "qemu-system-arm")
        elf, target = self.folder / f"{where}.elf", self.plan.target
        firmware = harness.build_firmware(self.project, name, elf, machine=machine(where), target=target)
        return collect(run.run_qemu(firmware, self.inputs, options))
