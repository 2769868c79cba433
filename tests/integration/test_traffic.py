"""Bytes read per memory of a board, in closed form and as counted in the emulator, wherever constants lie."""

from collections import Counter
from pathlib import Path

import pytest
from integration.whole import built, optimized, shrunk
from support.differential import inputs_for
from support.exits import residual_network
from support.tools import require

from ptee_mcu import boards
from ptee_mcu.cycles.cores import core_of
from ptee_mcu.cycles.price import price
from ptee_mcu.firmware.elf import read_elf
from ptee_mcu.firmware.records import Options
from ptee_mcu.firmware.run import trace_qemu
from ptee_mcu.firmware.trace import harness_tracer
from ptee_mcu.firmware.windows import labelled, windows_of
from ptee_mcu.plan.place import Placed
from ptee_mcu.plan.placement import How, aligned, constants
from ptee_mcu.plan.settings import Mode
from ptee_mcu.quant_graph import NEVER

GRAPH = residual_network()


def predicted(found: Placed) -> Counter[str]:
    """Bytes that one inference through every head reads of constants, arena and stage, by memory."""
    nbytes: Counter[str] = Counter()
    for step in found.cost.steps:
        nbytes.update(step.bytes_read)
    for constant in constants(GRAPH):
        place = found.plan.placements[constant.name]
        if place.how is How.STAGED:
            nbytes[place.load_region] += aligned(constant.nbytes)
    return nbytes


def counted(found: Placed, folder: Path) -> Counter[str]:
    """The same as the emulator counts it: loads of the network's own objects, of the arena and of the stage."""
    firmware, target = built(found.plan, folder, host=False, application=False).firmware, found.plan.target
    elf = read_elf(firmware.path)
    own = {s.name for s in elf.symbols if s.nbytes and not s.function and s.name.startswith(f"{GRAPH.name}_")}
    buffers = {s.name for s in elf.symbols if s.name in ("memory", "stage")}
    windows = labelled(elf, windows_of(elf, target), dict.fromkeys(sorted(own | buffers), "network"))
    tracer = harness_tracer(firmware.path, target, windows)
    never = Options(dict.fromkeys(range(len(GRAPH.exits) - 1), NEVER))
    traced = trace_qemu(firmware, inputs_for(GRAPH, 1)[:1], tracer, never)
    priced = price(traced.trace, core_of(target.cpu), target)
    nbytes: Counter[str] = Counter()
    for column in priced.columns(label="network"):
        nbytes[priced.windows[column].region] += int(priced.by_interval.read[:, column].sum())
    return nbytes


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("board", ["nucleo_l4r5zi", "nrf52840_dk"])
def test_each_memory_is_read_as_often_as_predicted(board: str, mode: Mode, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm", "gcc", "cmsis-nn")
    target = boards.load(board)
    if mode in (Mode.AUTO, Mode.GREEDY):
        target = shrunk(GRAPH, target, 0.3, 1024)
    found = optimized(GRAPH, target, mode)
    expected, measured = predicted(found), counted(found, tmp_path)
    assert {name for name, nbytes in measured.items() if nbytes} == set(expected)
    for name, nbytes in expected.items():
        assert measured[name] == pytest.approx(nbytes, rel=0.01), name
