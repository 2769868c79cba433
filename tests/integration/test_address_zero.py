"""Memory at address 0: C and CMSIS-NN take a pointer to its first byte for missing, so nothing lies there."""

from dataclasses import replace
from pathlib import Path

import pytest
from integration.whole import constant_bytes, optimized, resized
from support.builder import Builder, small_network
from support.emitted import written
from support.targets import region, tiny_board
from support.tools import require

from ptee_mcu import boards
from ptee_mcu.emit_linker import memory
from ptee_mcu.errors import DoesNotFitError
from ptee_mcu.firmware import build
from ptee_mcu.firmware.layout import Layout
from ptee_mcu.firmware.machines import Bank, machine
from ptee_mcu.firmware.memory import Symbol, symbols
from ptee_mcu.plan.placement import How
from ptee_mcu.plan.plan import Plan
from ptee_mcu.plan.settings import Mode
from ptee_mcu.target import NULL_BYTES, Target

WITH_ITCM = [name for name in boards.names() if any(r.null_bytes for r in boards.load(name).regions)]


def linked_at_the_board_s_addresses(plan: Plan, folder: Path) -> dict[str, Symbol]:
    """Objects of the smallest application, linked by the emitted script as it is."""
    name, target = plan.graph.name, plan.target
    assert target.machine is not None
    project = written(plan, folder / "project")
    defines = [f'PTEE_MODEL_HEADER="{name}.h"', f"PTEE_NAME={name}", f"PTEE_PREFIX={name.upper()}"]
    if plan.stage:
        defines.append("PTEE_TAKES_STAGE=1")
    main = build.CSources(own=(build.SUPPORT / "footprint.c",), include_dirs=(build.SUPPORT,), defines=tuple(defines))
    ram = memory(target.main_ram)
    on = Layout(target.flags, (project / f"{name}.ld").read_text(), (Bank(ram.base, ram.nbytes),))
    elf = build.compile_arm(
        build.sources_in(project) + main, folder / "board.elf", machine=machine(target.machine), on=on
    )
    return {symbol.name: symbol for symbol in symbols(elf)}


def test_every_listed_board_with_an_itcm_is_known() -> None:
    assert {"nucleo_f746zg", "disco_f746ng", "nucleo_h743zi2", "nucleo_h7a3zi_q"} <= set(WITH_ITCM)
    assert {"apollo510_evb", "alif_e7"} <= set(WITH_ITCM)


@pytest.mark.parametrize("board", ["nucleo_f746zg", "apollo510_evb"])
@pytest.mark.parametrize("mode", [Mode.FLASH, Mode.BOOT, Mode.STAGED])
def test_neither_arena_nor_stage_nor_constant_lies_at_address_zero(board: str, mode: Mode, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "arm-none-eabi-nm", "cmsis-nn")
    target, graph = boards.load(board), small_network()
    itcm = next(r for r in target.regions if r.null_bytes)
    plan = optimized(graph, target, mode).plan
    moved = {name: replace(at, region=itcm.name) for name, at in plan.placements.items() if at.how is not How.IN_PLACE}
    plan = replace(plan, arena_region=itcm.name, placements={**plan.placements, **moved})
    plan = replace(plan, stage=replace(plan.stage, region=itcm.name) if plan.stage else None)
    found = linked_at_the_board_s_addresses(plan, tmp_path)
    inside = {name: s for name, s in found.items() if s.address < itcm.end and s.nbytes}
    assert "arena" in inside
    assert ("stage" in inside) == (mode is Mode.STAGED)
    assert any(name.endswith("_weights") for name in inside) == (mode is Mode.BOOT)
    assert min(s.address for s in inside.values()) >= NULL_BYTES


def test_code_at_address_zero_keeps_its_vectors_there() -> None:
    assert memory(boards.load("nrf52840_dk").code_region).base == 0
    assert memory(region("ROM", "flash", 0, 4096)).nbytes == 4096


@pytest.mark.parametrize("holds", [("constants", "data"), ("code", "constants", "data"), ("constants",)])
def test_other_memory_at_address_zero_is_smaller_by_an_arena_s_alignment(holds: tuple[str, ...]) -> None:
    found = memory(replace(region("ZERO", "tcm", 0, 4096), holds=holds))  # type: ignore[arg-type]
    assert (found.base, found.nbytes) == (NULL_BYTES, 4096 - NULL_BYTES)


GAPS = 64  # kept for the alignment of sections


def _board(itcm: int) -> Target:
    plain = tiny_board(sram=8 * 1024, wait=5.0, more=(region("ITCM", "tcm", 0, itcm),))
    flash, *others = plain.regions
    return replace(plain, regions=(replace(flash, base=0x0800_0000), *others))


@pytest.mark.parametrize(("itcm", "where"), [(4096 + GAPS, "FLASH"), (4096 + GAPS + NULL_BYTES, "ITCM")])
def test_the_optimizer_knows_that_the_first_bytes_are_not_free(itcm: int, where: str) -> None:
    b = Builder((1, 64), seed=1)
    b.exit("final", b.linear("input", 64, name="wide"), final=True)
    graph = b.graph()
    plan = optimized(graph, _board(itcm)).plan
    assert plan.placements["wide:weights"].region == where


def test_what_is_missing_counts_the_bytes_at_address_zero() -> None:
    graph = small_network()
    small = resized(_board(1024), {"SRAM": 5120})
    with pytest.raises(
        DoesNotFitError, match=rf"ITCM of 1,024 B is {constant_bytes(graph) + NULL_BYTES + GAPS - 1024:,} B short"
    ):
        optimized(graph, small, Mode.BOOT)
