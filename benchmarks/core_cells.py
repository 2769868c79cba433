"""One network on one emulated core: its answers against the simulator, every exit forced and free, and instructions."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from support.cores import SMALL, core_board
from support.exits import residual_network

from benchmarks.networks import Exits, random_network
from ptee_mcu.emit import emit
from ptee_mcu.firmware.execution import collect
from ptee_mcu.firmware.harness import Firmware, build_firmware
from ptee_mcu.firmware.machines import MACHINES, machine
from ptee_mcu.firmware.records import Options
from ptee_mcu.firmware.run import run_qemu
from ptee_mcu.plan.make import make_plan
from ptee_mcu.quant_graph import ALWAYS, NEVER, OperatingPoint, QuantGraph
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import Int8

CORES = tuple(MACHINES)
LITTLE = "residual"  # what 16 KiB of RAM hold
EXITS = {
    "resnet8": Exits(("stack1", "stack2"), "pooled", leaving=(0.3, 0.3, 0.4)),
    "ds_cnn": Exits(("block1", "block3"), "pooled", leaving=(0.3, 0.3, 0.4)),
    "mobilenet_v1_025": Exits(("block6",), "pooled", leaving=(0.5, 0.5)),
}
NETWORKS = (LITTLE, *EXITS)
_PROBED = 64  # inputs whose confidences set the free thresholds


@dataclass(frozen=True, slots=True)
class Cell:
    """Values compared and how many differ; instructions and MACs (exits,) up to each exit, heads included."""

    network: str
    core: str
    inputs: int
    values: int
    differing: int
    instructions: tuple[int, ...]
    macs: tuple[int, ...]


def cells_of(core: str) -> tuple[str, ...]:
    """The networks that fit `core`."""
    return (LITTLE,) if core == SMALL else NETWORKS


def measure(name: str, core: str, inputs: int) -> Cell:
    """Runs network `name` on `core` over `inputs` random inputs, once per exit forced and once free.

    Raises:
        ToolMissingError: where a compiler, QEMU or CMSIS-NN is missing.
        FirmwareError: where the firmware does not fit or fails.
    """
    graph = network(name)
    codes = _codes(graph, inputs)
    early = len(graph.exits) - 1
    forced = [tuple(ALWAYS if i == k else NEVER for i in range(early)) for k in range(early + 1)]
    with TemporaryDirectory(prefix="ptee-bench-") as scratch:
        project = Path(scratch) / "project"
        emit(make_plan(graph, core_board(core))).write(project)
        elf = Path(scratch) / "core.elf"
        firmware = build_firmware(project, graph.name, elf, machine=machine(core), traced=False)
        found = [_differing(firmware, graph, codes, thresholds) for thresholds in (*forced, graph.point.thresholds)]
        whole = Options(dict(enumerate(forced[-1])))
        counted = collect(run_qemu(firmware, codes[:1], whole, counted=True)).instructions
    assert counted is not None
    values, differing = map(sum, zip(*found, strict=True))
    instructions = tuple(map(int, np.cumsum(counted.segments[0])))
    return Cell(name, core, inputs, values, differing, instructions, graph.exit_macs())


@cache
def network(name: str) -> QuantGraph:
    """An int8 network with early exits and thresholds at which half of the random inputs leave at each."""
    graph = residual_network() if name == LITTLE else random_network(name, EXITS[name])
    never = (NEVER,) * (len(graph.exits) - 1)
    seen = evaluate(graph, _codes(graph, _PROBED, seed=1), thresholds=never, record=True).tensors
    free = tuple(int(np.median(seen[leave.rule.tensor])) for leave in graph.exits if leave.rule)
    return replace(graph, points=(OperatingPoint("free", free),), default=0)


def _codes(graph: QuantGraph, count: int, *, seed: int = 0) -> Int8:
    shape = (count, *graph.input_tensor.shape[1:])
    return np.random.default_rng(seed).integers(-128, 128, shape, dtype=np.int8)


def _differing(firmware: Firmware, graph: QuantGraph, codes: Int8, thresholds: tuple[int, ...]) -> tuple[int, int]:
    """Values of logits, labels, confidences and exits compared, and how many differ."""
    found = collect(run_qemu(firmware, codes, Options(dict(enumerate(thresholds)))))
    expected = evaluate(graph, codes, thresholds=thresholds)
    pairs = (
        (found.logits, expected.logits),
        (found.labels, expected.label),
        (found.confidence, expected.confidence),
        (found.exits, expected.exit),
    )
    return sum(a.size for a, _ in pairs), sum(int(np.count_nonzero(a != b)) for a, b in pairs)
