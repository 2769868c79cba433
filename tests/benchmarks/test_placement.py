"""What the optimizer's placement of weights saves, in closed form; the traces are `benchmarks/placement.py --trace`."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks import placement
from benchmarks.networks import RESNET20_EXITS, random_codes, random_network
from benchmarks.placement_cells import Board, Cell, Network, cells

FOUND = Cell(
    network="autoencoder",
    board="nucleo_l4r5zi",
    flash=100.0,
    greedy=85.0,
    ours=80.0,
    arena_bytes=16,
    constant_bytes=40,
    loaded_bytes=20,
    stage_bytes=12,
    where="0 SRAM1",
    gap=0.0,
    seconds=0.1,
    traced=(98.0, 80.0),
)


@pytest.fixture(scope="module")
def found() -> list[Cell]:
    networks = [Network("autoencoder", "autoencoder"), Network("DS-CNN", "ds_cnn")]
    places = [Board("nucleo_l4r5zi"), Board("disco_f746ng", reserved=True), Board("pico")]
    return list(cells(networks, places, traced=False))


def test_ours_is_never_worse_than_flash_or_greedy(found: list[Cell]) -> None:
    assert len(found) == 6
    assert placement.failures(found) == []
    for cell in found:
        assert cell.ours <= min(cell.flash, cell.greedy) * (1 + 1e-9), cell


def test_the_autoencoder_waits_far_less_than_from_flash(found: list[Cell]) -> None:
    saved = {cell.board: cell.saved for cell in found if cell.network == "autoencoder"}
    assert saved["nucleo_l4r5zi"] >= 0.15
    assert saved["pico"] > 0.35
    assert saved["disco_f746ng, constants in QSPI"] > 0.7


def test_a_reserved_flash_leaves_no_constant_in_it(found: list[Cell]) -> None:
    (cell,) = (each for each in found if each.network == "DS-CNN" and "QSPI" in each.board)
    assert "FLASH" not in cell.where
    (internal,) = cells([Network("DS-CNN", "ds_cnn")], [Board("disco_f746ng")], traced=False)
    assert cell.flash > internal.flash


def test_a_worse_placement_fails() -> None:
    assert placement.failures([FOUND]) == []
    assert placement.failures([replace(FOUND, greedy=79.0)]) == ["autoencoder, nucleo_l4r5zi: ours 80, greedy 79"]
    too_little = [replace(FOUND, flash=90.0)]
    assert placement.failures(too_little) == ["autoencoder, nucleo_l4r5zi: saves 11.1 %, less than 15 %"]


def test_the_page_names_closed_forms_far_from_their_trace() -> None:
    near = [FOUND, replace(FOUND, board="nucleo_f746zg")]
    assert "No cell is further than 5 % from its trace; the furthest: autoencoder on nucleo_l4r5zi, +2.0 %." in (
        placement.page(near)
    )
    far = [*near, replace(FOUND, network="DS-CNN", traced=(100.0, 88.0))]
    assert "**Further than 5 % from the trace: DS-CNN on nucleo_l4r5zi (-9.1 %).**" in placement.page(far)
    untraced = placement.page([replace(cell, traced=None) for cell in near])
    assert "Against the trace" not in untraced
    assert "`python benchmarks/placement.py`" in untraced


def test_reach_follows_from_what_leaves_at_each_exit() -> None:
    graph = random_network("resnet20", RESNET20_EXITS)
    assert graph.point.reach == pytest.approx((1.0, 0.93, 0.77, 0.60, 0.45))
    assert [leave.tap for leave in graph.exits[:-1]] == list(RESNET20_EXITS.blocks)
    assert sum(RESNET20_EXITS.leaving) == pytest.approx(1.0)


def test_random_networks_are_the_same_in_every_run() -> None:
    one, other = (random_network("autoencoder") for _ in range(2))
    for a, b in zip(one.nodes, other.nodes, strict=True):
        for role, array in a.op.constants.items():
            np.testing.assert_array_equal(array, b.op.constants[role])
    np.testing.assert_array_equal(random_codes(one), random_codes(other))
