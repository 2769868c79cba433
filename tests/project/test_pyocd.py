"""Target names, arguments and memory maps beside those of pyOCD; needs pyOCD, not a board."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from ptee_mcu import boards
from ptee_mcu.firmware import flash
from ptee_mcu.target import Target

pyocd_target = pytest.importorskip("pyocd.target", reason="pyocd is not installed")

# Boards whose target is part of pyOCD; the others come with a CMSIS pack: pyocd pack install NAME.
BUILT_IN = {
    "b_l475e_iot01a": "stm32l475xg",
    "nrf52840_dk": "nrf52840",
    "nucleo_h743zi2": "stm32h743xx",
    "pico": "rp2040",
    "pico2": "rp2350",
}
# Where pyOCD 0.46.0 and a board file differ: the bytes of a region that pyOCD does not have as that kind of memory.
MISSING: Mapping[tuple[str, str], int] = {
    ("b_l475e_iot01a", "QSPI"): 8 * 1024 * 1024,  # a chip of its own on the board
    ("nucleo_h743zi2", "AXI_SRAM"): 512 * 1024,  # left out of pyOCD's map
    ("pico2", "SRAM"): 248 * 1024,  # pyOCD ends with the memories of the RP2040
    ("pico2", "SCRATCH"): 8 * 1024,
}


def spans(target: Target, *, writable: bool) -> list[tuple[int, int]]:
    """Flash or RAM of pyOCD's map, joined where one begins as another ends."""
    assert target.debug is not None
    memory = pyocd_target.TARGET[target.debug.pyocd].MEMORY_MAP
    kind = "RAM" if writable else "FLASH"
    found: list[tuple[int, int]] = []
    for region in sorted((r for r in memory if r.type.name == kind), key=lambda r: r.start):
        end = region.start + region.length
        if found and found[-1][1] == region.start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((region.start, end))
    return found


def test_the_targets_that_are_part_of_pyocd_are_listed() -> None:
    named = {b: boards.load(b).debug for b in boards.names()}
    known = {b: d.pyocd for b, d in named.items() if d is not None and d.pyocd in pyocd_target.TARGET}
    assert known == BUILT_IN


@pytest.mark.parametrize("board", BUILT_IN)
def test_the_memories_of_a_board_are_those_of_pyocd(board: str) -> None:
    target = boards.load(board)
    missing = {}
    for region in target.regions:
        covered = sum(
            max(0, min(end, region.end) - max(start, region.base))
            for start, end in spans(target, writable="data" in region.holds)
        )
        if covered < region.nbytes:
            missing[board, region.name] = region.nbytes - covered
    assert missing == {pair: nbytes for pair, nbytes in MISSING.items() if pair[0] == board}


@pytest.mark.parametrize("board", BUILT_IN)
def test_pyocd_takes_the_arguments(board: str) -> None:
    tool = pytest.importorskip("pyocd.__main__").PyOCDTool()
    found = flash.require_pyocd(
        boards.load(board), flash.ways(boards.load(board), Path("a.elf"), timeout_s=60, uid="1")
    )
    for command in found:
        arguments = tool._parser.parse_args(list(command[3:]))
        assert arguments.cmd in ("load", "run")
        assert arguments.target_override == BUILT_IN[board]
        assert arguments.unique_id == "1"
    assert arguments.eot
    assert arguments.timelimit == 60
