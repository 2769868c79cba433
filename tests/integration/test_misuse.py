"""What cannot be placed, built or named says where, how much, the limit and a way out; what is merely odd works."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from integration.whole import built, hold_to_the_simulator, optimized, resized
from support.builder import small_network
from support.exits import residual_network
from support.targets import region, tiny_board
from support.tools import require

from ptee_mcu import boards
from ptee_mcu.board_file import parse
from ptee_mcu.errors import ConfigError, DoesNotFitError
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.partition import Needs, Prices, partition
from ptee_mcu.plan.place import placed
from ptee_mcu.plan.placement import Constant
from ptee_mcu.plan.settings import Mode, PlaceSettings

BOARD = files("ptee_mcu.targets").joinpath("nrf52840_dk.toml").read_text(encoding="utf-8")


def test_an_sram_smaller_than_the_stack_says_what_is_short() -> None:
    message = r"SRAM of 2,048 B is 3,676 B short; .*the stack 4,096 B.*\n  hint: .* that fits is \w+"
    with pytest.raises(DoesNotFitError, match=message):
        placed(make_plan(small_network(), tiny_board(sram=2048)))


def test_a_reserve_larger_than_the_flash_is_named() -> None:
    message = r"FLASH of 4,194,304 B is .* short; it would hold what is reserved 8,388,608 B"
    with pytest.raises(DoesNotFitError, match=message):
        placed(make_plan(small_network(), tiny_board()), PlaceSettings(flash_reserve_bytes=1 << 23))


def test_an_arena_larger_than_every_memory_names_the_smallest_board_that_holds_it() -> None:
    small = resized(boards.load("nrf52840_dk"), {"RAM": 4096})
    message = r"block0\.\w+: .* arena of \d+ B; nrf52840_dk has 4096 B of SRAM, \d+ B too few\n.* that fits is \w+"
    with pytest.raises(DoesNotFitError, match=message):
        make_plan(residual_network(), small)


def test_constants_larger_than_all_flash_say_by_how_much() -> None:
    graph = residual_network()
    small = resized(boards.load("disco_f746ng"), {"FLASH": 8192, "QSPI": 4096})
    short = make_plan(graph, boards.load("disco_f746ng")).weight_bytes - 12288
    with pytest.raises(DoesNotFitError, match=rf"disco_f746ng has 12288 B of flash, {short} B too few\n  hint: "):
        make_plan(graph, small)


def test_a_core_without_rates_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no cycle rates are known for 'cortex-m85'\n  hint: known cores: "):
        placed(make_plan(small_network(), replace(tiny_board(), cpu="cortex-m85")))


@pytest.mark.parametrize("word", ["ORIGIN", "LENGTH", "ALIGN", "len", "o"])
def test_a_memory_named_by_a_word_of_linker_scripts_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match=rf"regions\.1\.name: '{word}' is a word of linker scripts.*\n  hint: "):
        parse(BOARD.replace('name = "RAM"', f'name = "{word}"'), "mine")


def test_memories_whose_names_differ_in_case_alone_are_told_apart(tmp_path: Path) -> None:
    require("gcc", "arm-none-eabi-gcc", "qemu-system-arm", "cmsis-nn")
    external = region("flash", "external", 0x9000_0000, 1 << 16, wait_cycles=50.0)
    more = (region("sram", "sram", 0x3000_0000, 2048), external)
    board = tiny_board(flash=36 * 1024, sram=12 * 1024, wait=3.0, more=more)
    plan = optimized(residual_network(), board).plan
    assert {"flash", "FLASH"} <= {place.load_region for place in plan.placements.values()}
    assert {"sram", "SRAM"} <= {place.region for place in plan.placements.values()} | {plan.arena_region}
    hold_to_the_simulator(built(plan, tmp_path, host=False, application=False))


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("limit_s", [8.0, 0.0])
def test_a_constant_of_no_bytes_is_placed(mode: Mode, limit_s: float) -> None:
    found = (Constant("a:w", 0, 0, head=False), Constant("b:w", 8, 0, head=False))
    read = {"FLASH": 1.0, "SRAM": 0.0}
    prices = Prices({c.name: read for c in found}, {c.name: {"FLASH": 1.0} for c in found}, {"SRAM": 0.0})
    made = partition(
        found, tiny_board(), Needs(16, 0, {}), prices, reach=(1.0,), head_reach=(1.0,), mode=mode, time_limit_s=limit_s
    )
    assert set(made.placements) == {"a:w", "b:w"}


def test_a_stage_in_memory_that_dma_does_not_reach_is_filled_by_the_core(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm", "cmsis-nn")
    plain = resized(tiny_board(sram=16 * 1024, wait=3.0, more=(region("TCM", "tcm", 0x3000_0000, 32768),)), {})
    board = replace(plain, regions=tuple(replace(r, dma=r.name != "TCM") for r in plain.regions))
    plan = optimized(residual_network(), board, Mode.STAGED).plan
    assert plan.stage is not None
    assert plan.stage.region == "TCM"
    hold_to_the_simulator(built(plan, tmp_path, host=False, application=False))
