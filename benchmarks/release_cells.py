"""What one release of CMSIS-NN computes on one core, against the simulator, and how many instructions that takes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from plan.staircase import overlapping, staircase
from support.cores import IN_PLACE, core_board, every_case
from support.differential import Differential

from benchmarks.networks import random_codes, random_network
from ptee_mcu.emit import emit
from ptee_mcu.firmware import cmsis_nn, releases
from ptee_mcu.firmware.execution import collect
from ptee_mcu.firmware.harness import build_firmware
from ptee_mcu.firmware.machines import machine
from ptee_mcu.firmware.records import Options
from ptee_mcu.firmware.run import run_qemu
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.plan import verify_plan

CORES = ("host", "mps2-an385", "mps2-an386", "mps2-an505", "mps3-an547")
COUNTED = ("mps2-an385", "mps2-an386", "mps3-an547")
NETWORK = "resnet8"
HOST_BOARD = "mps2-an386"  # whose plan the host runs


@dataclass(frozen=True, slots=True)
class Cell:
    """Bytes that every op of every case wrote over all inputs, how many were wrong, and what was written in place."""

    nbytes: int
    differing: int
    in_place: int


@dataclass(frozen=True, slots=True)
class Row:
    """A release: cells by core, and instructions of one inference of NETWORK by core."""

    release: str
    sha256: str
    files: int
    cells: dict[str, Cell]
    instructions: dict[str, int]


def measure(folder: Path | None) -> Row:
    """The row of the CMSIS-NN in `folder`; None: of the carried one.

    Raises:
        ToolMissingError: where it is not supported, or a compiler or QEMU is missing.
        FirmwareError: where it does not compile, or the library refuses to start.
    """
    with _chosen(folder):
        location = cmsis_nn.locate()
        cells = {core: compared(core) for core in CORES}
        counts = {core: counted(core) for core in COUNTED}
    files = len([*(location.folder / "Source").rglob("*.c")])
    return Row(location.release, releases.source_hash(location.folder), files, cells, counts)


def compared(core: str) -> Cell:
    """Every case of every op on `core`, each output as close over its input as the plan may ever lay it."""
    graph = every_case()
    plan = staircase(make_plan(graph, core_board(HOST_BOARD if core == "host" else core)))
    verify_plan(plan)
    assert overlapping(plan) == IN_PLACE
    with TemporaryDirectory(prefix="ptee-bench-") as scratch:
        differential = Differential(graph, Path(scratch))
        differential.plan = plan
        ran = differential.executed(core).trace.ops
    nbytes = differing = 0
    for step in plan.steps:
        expected = differential.simulated[step.node.output].reshape(len(differential.inputs), -1)
        nbytes += expected.size
        differing += int(np.count_nonzero(ran[step.index].outputs != expected))
    in_place = [
        step
        for step in plan.steps
        if any(plan.arena[step.node.output].overlaps(plan.arena[tensor]) for tensor in step.node.inputs)
    ]
    return Cell(nbytes, differing, len(in_place))


def counted(core: str) -> int:
    """Instructions of one inference of NETWORK, at -O3."""
    graph = random_network(NETWORK)
    with TemporaryDirectory(prefix="ptee-bench-") as scratch:
        project = Path(scratch) / "project"
        emit(make_plan(graph, core_board(core))).write(project)
        elf = Path(scratch) / "counted.elf"
        firmware = build_firmware(project, graph.name, elf, machine=machine(core), traced=False)
        found = collect(run_qemu(firmware, random_codes(graph), Options(), counted=True))
    assert found.instructions is not None
    return int(found.instructions.segments.sum())


@contextmanager
def _chosen(folder: Path | None) -> Iterator[None]:
    before = os.environ.pop(cmsis_nn.PATH_VARIABLE, None)
    if folder is not None:
        os.environ[cmsis_nn.PATH_VARIABLE] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(cmsis_nn.PATH_VARIABLE, None)
        if before is not None:
            os.environ[cmsis_nn.PATH_VARIABLE] = before
