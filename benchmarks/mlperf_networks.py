"""The four networks of MLPerf Tiny as firmware with everything in flash: cycles in all, by trace, and per kernel."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import numpy as np

from benchmarks.networks import random_network
from benchmarks.traced_layers import trace_layers
from benchmarks.traced_plan import TracedPlan, trace_plan
from ptee_mcu import boards
from ptee_mcu.cycles.steps import step_work
from ptee_mcu.plan.expected_cost import point_cycles
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.plan import Plan
from ptee_mcu.plan.plan_cost import plan_cost


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A network that ships, and the multiply-accumulates of the reference model: mlcommons/tiny, its .tflite file."""

    title: str
    name: str
    reference_macs: int


BENCHMARKS: Mapping[str, Benchmark] = MappingProxyType(
    {
        "ic": Benchmark("ResNet-8", "resnet8", 12_501_632),
        "kws": Benchmark("DS-CNN", "ds_cnn", 2_656_768),
        "vww": Benchmark("MobileNetV1-0.25", "mobilenet_v1_025", 7_489_664),
        "ad": Benchmark("autoencoder", "autoencoder", 264_192),
    }
)


@dataclass(frozen=True, slots=True)
class Cycles:
    """Of one inference, traced: computing, with memory that never waits, and waiting for code and for data."""

    compute: float
    code: float
    data: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.compute + self.code + self.data


@dataclass(frozen=True, slots=True)
class Result:
    """Cycles of one inference on a board; `argmax`: of finding the label; `other_input`: in all, with another input."""

    board: str
    bench: str
    clock_hz: int
    macs: int
    closed: float
    traced: Cycles
    at_o2: Cycles
    argmax: float
    other_input: float

    @property
    def title(self) -> str:
        """The network's name in the tables."""
        return BENCHMARKS[self.bench].title

    @property
    def reference_macs(self) -> int:
        """Multiply-accumulates of the reference model."""
        return BENCHMARKS[self.bench].reference_macs

    def ms(self, cycles: float) -> float:
        """Milliseconds of `cycles` on the board."""
        return 1000 * cycles / self.clock_hz


@dataclass(frozen=True, slots=True)
class Kernel:
    """What one kernel takes in a network, memory never waiting; `units`: its MACs, elements where it has none.

    `share`: of the cycles of all layers.
    """

    bench: str
    kernel: str
    units: int
    cycles: float
    share: float
    clock_hz: int

    @property
    def title(self) -> str:
        """The network's name in the tables."""
        return BENCHMARKS[self.bench].title

    @property
    def per_unit(self) -> float:
        """Cycles per unit."""
        return self.cycles / self.units

    def ms(self, per_unit: float) -> float:
        """Milliseconds of `per_unit` cycles for all units."""
        return 1000 * per_unit * self.units / self.clock_hz


def measured(bench: str, board: str) -> Result:
    """The network on the board.

    Raises:
        PteeError: where a tool is missing, or the firmware fails.
    """
    plan = in_flash(bench, board)
    found = trace_plan(plan)
    labels = found.priced.functions.index("ptee_argmax")
    return Result(
        board=board,
        bench=bench,
        clock_hz=plan.target.clock_hz,
        macs=plan.graph.macs(plan.graph.nodes),
        closed=point_cycles(plan, plan_cost(plan), plan.graph.point).mean,
        traced=parts(found),
        at_o2=parts(trace_plan(plan, optimize="-O2")),
        argmax=float(found.priced.by_function.cycles[labels]),
        other_input=parts(trace_plan(plan, seed=1)).total,
    )


def parts(found: TracedPlan) -> Cycles:
    """What the whole trace costs, by cause."""
    tally = found.priced.by_interval
    return Cycles(float(tally.compute.sum()), float(tally.code.sum()), float(tally.data.sum()))


def kernels(bench: str, board: str) -> list[Kernel]:
    """The kernels of the network on the board, those with most cycles first; below a hundredth they are left out.

    Raises:
        PteeError: as `measured`.
    """
    plan = in_flash(bench, board)
    with TemporaryDirectory(prefix="ptee-bench-") as scratch:
        layers = trace_layers(plan, Path(scratch))
    units: dict[str, int] = {}
    cycles: dict[str, float] = {}
    for step in plan.steps:
        kernel = step_work(step, plan.graph, plan.target).kernel
        elements = prod(plan.graph.tensors[step.node.output].shape)
        units[kernel] = units.get(kernel, 0) + (step.counts.macs or elements)
        cycles[kernel] = cycles.get(kernel, 0.0) + layers.compute(step)
    whole = float(np.sum(list(cycles.values())))
    found = [
        Kernel(bench, kernel, units[kernel], cycles[kernel], cycles[kernel] / whole, plan.target.clock_hz)
        for kernel in sorted(cycles, key=lambda name: -cycles[name])
    ]
    return [row for row in found if row.share > 0.01]


def in_flash(bench: str, board: str) -> Plan:
    """A plan with every constant where code lies."""
    return make_plan(random_network(BENCHMARKS[bench].name), boards.load(board))
