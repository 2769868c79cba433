"""Networks with exits, placed by the optimizer on boards that leave it a choice: every byte is the simulator's."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from integration.whole import BOARDS, built, constant_bytes, hold_to_the_simulator, optimized, resized, shrunk, ways
from support.builder import Builder
from support.differential import inputs_for
from support.exits import residual_network
from support.graphs import codes_for, networks
from support.random_networks import random_network
from support.tools import require

from ptee_mcu import boards
from ptee_mcu.models import find
from ptee_mcu.plan.placement import How
from ptee_mcu.plan.settings import Mode, Objective
from ptee_mcu.quant_graph import QuantGraph

NEEDS = ("gcc", "arm-none-eabi-gcc", "qemu-system-arm", "cmsis-nn")
ALL = {How.IN_PLACE, How.BOOT, How.STAGED}


@cache
def leaving_early() -> QuantGraph:
    """Few inputs come to its last, largest segments."""
    graph = residual_network()
    return replace(graph, points=(replace(graph.points[0], reach=(1.0, 0.6, 0.3)),))


@cache
def resnet8() -> QuantGraph:
    graph = random_network("resnet8", *find("resnet8").blocks[:-1])
    return replace(graph, points=(replace(graph.points[0], thresholds=(0, 0), reach=(1.0, 0.5, 0.4)),))


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("board", BOARDS)
def test_every_mode_on_every_board_gives_the_bytes_of_the_simulator(board: str, mode: Mode, tmp_path: Path) -> None:
    require(*NEEDS)
    plan = optimized(leaving_early(), boards.load(board), mode).plan
    if mode in (Mode.FLASH, Mode.BOOT, Mode.STAGED):
        assert ways(plan) == {How[{"FLASH": "IN_PLACE"}.get(mode.name, mode.name)]}
    # The C for the host differs between modes, not between boards whose kernels are the same.
    hold_to_the_simulator(built(plan, tmp_path, host=board == "nucleo_l4r5zi", application=False))


@pytest.mark.parametrize(
    ("board", "found"),
    [("nucleo_l4r5zi", ALL), ("nrf52840_dk", ALL), ("disco_f746ng", {How.IN_PLACE, How.BOOT})],
)
def test_mixtures_of_placements_give_the_bytes_of_the_simulator(board: str, found: set[How], tmp_path: Path) -> None:
    require(*NEEDS)
    graph = leaving_early()
    plan = optimized(graph, shrunk(graph, boards.load(board), 0.3, 1024)).plan
    assert ways(plan) == found
    hold_to_the_simulator(built(plan, tmp_path))


@pytest.mark.parametrize("board", ["nucleo_l4r5zi", "disco_f746ng", "nrf52840_dk", "pico"])
def test_resnet8_with_exits_on_a_board_that_is_too_small_for_its_weights(board: str, tmp_path: Path) -> None:
    require(*NEEDS)
    graph = resnet8()
    plan = optimized(graph, shrunk(graph, boards.load(board), 0.3, 4096), objective=Objective.WORST).plan
    assert len(ways(plan)) > 1
    hold_to_the_simulator(built(plan, tmp_path, host=board == "nrf52840_dk"), inputs_for(graph, 1)[:2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("random")


@given(networks(), st.data())
@settings(
    max_examples=4,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_random_networks_on_random_boards_give_the_bytes_of_the_simulator(
    folder: Path, graph: QuantGraph, data: st.DataObject
) -> None:
    require(*NEEDS)
    board = boards.load(data.draw(st.sampled_from(BOARDS)))
    mode = data.draw(st.sampled_from(Mode))
    free = mode in (Mode.AUTO, Mode.FLASH, Mode.GREEDY)
    share = data.draw(st.floats(0, 1)) if free else 1.1
    small = shrunk(graph, board, share, data.draw(st.sampled_from([64, 256, 512])))
    plan = optimized(graph, small, mode, data.draw(st.sampled_from(Objective))).plan
    hold_to_the_simulator(built(plan, folder), codes_for(graph, 2))


def wide_network(layers: int = 3, features: int = 640) -> QuantGraph:
    b = Builder((1, features), seed=3)
    x = "input"
    for i in range(layers):
        x = b.linear(x, features, name=f"wide{i}")
        if i == 0:
            b.exit("early", x)
    b.exit("final", x, final=True)
    return b.graph("wide")


def test_constants_that_flash_cannot_hold_go_to_the_external_flash(tmp_path: Path) -> None:
    require(*NEEDS)
    graph, board = wide_network(features=192), boards.load("disco_f746ng")
    small = resized(board, {"FLASH": 64 * 1024, "SDRAM": 4096, "SRAM": 16 * 1024, "DTCM": 4096, "ITCM": 4096})
    assert constant_bytes(graph) > 64 * 1024
    plan = optimized(graph, small).plan
    assert "QSPI" in {place.load_region for place in plan.placements.values()}
    hold_to_the_simulator(built(plan, tmp_path, host=False))


def test_an_arena_that_no_memory_of_the_chip_can_hold_goes_beside_it(tmp_path: Path) -> None:
    require(*NEEDS)
    graph, board = resnet8(), boards.load("disco_f746ng")
    small = resized(board, {"SRAM": 16 * 1024, "DTCM": 4096, "ITCM": 4096})
    plan = optimized(graph, small).plan
    assert plan.arena_region == "SDRAM"
    assert plan.arena_bytes > small.main_ram.nbytes
    hold_to_the_simulator(built(plan, tmp_path, host=False), inputs_for(graph, 1)[:1])


def test_networks_whose_constants_exceed_the_flash_of_a_board_with_external_flash_are_planned() -> None:
    graph = wide_network()
    assert constant_bytes(graph) > boards.load("disco_f746ng").code_region.nbytes
    for mode in (Mode.AUTO, Mode.FLASH, Mode.GREEDY):
        used = {
            place.load_region for place in optimized(graph, boards.load("disco_f746ng"), mode).plan.placements.values()
        }
        assert used == {"FLASH", "QSPI"}, mode
