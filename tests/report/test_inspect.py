"""What people and programs read of an inspected network."""

from dataclasses import replace

import pytest
from exits.networks import two_blocks
from passes.networks import Net
from rich.console import Console
from rich.table import Table

from ptee_mcu.frontends.listing import Border, ListedOp
from ptee_mcu.inspection import Inspection, describe
from ptee_mcu.isa import Isa
from ptee_mcu.ops import BatchNorm
from ptee_mcu.report.inspect import as_json, board_table, op_table, point_table, remarks, summary


@pytest.fixture
def found() -> Inspection:
    return describe("net", "built-in network", two_blocks())


def text(table: Table) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_the_summary_says_what_the_network_takes(found: Inspection) -> None:
    assert found.sizes is not None
    lines = list(summary(found))
    macs = 16 * 20 * 3 * 4 * 9 + 8 * 10 * 4 * 8 * 9 + 8 * 5
    parameters = 3 * 4 * 9 + 2 * 4 + 4 * 8 * 9 + 2 * 8 + 8 * 5 + 5
    assert lines[0] == "net: built-in network, float"
    assert "  input       x: float32 (1, 16, 20, 3)" in lines
    assert f"  MACs        {macs:,}" in lines
    assert f"  parameters  {parameters:,}" in lines
    assert any(f"at least {16 * 20 * 4:,} B" in line for line in lines)
    arena = dict(found.sizes.arena_bytes)
    assert any(f"{arena[Isa.DSP]:,} B (dsp)" in line and f"{arena[Isa.MVE]:,} B (mve)" in line for line in lines)


def test_no_planned_arena_is_smaller_than_what_is_alive(found: Inspection) -> None:
    assert found.sizes is not None
    assert found.alive_bytes is not None
    assert all(nbytes >= found.alive_bytes for _, nbytes in found.sizes.arena_bytes)


def test_a_code_is_shown_with_scale_and_zero_point(found: Inspection) -> None:
    coded = replace(found, inputs=(Border("image", (None, 32, 32, 3), "int8", 0.0078125, -1),))
    assert "  input       image: int8 (?, 32, 32, 3), scale 0.0078125, zero point -1" in list(summary(coded))


def test_long_names_keep_their_ends(found: Inspection) -> None:
    name = "start_" + 100 * "x" + "_end"
    line = next(line for line in summary(replace(found, outputs=(Border(name, (1, 5), "int8"),))) if "output" in line)
    assert "start_xxx" in line
    assert "xxx_end: int8 (1, 5)" in line
    assert len(line) < 80


def test_what_is_refused_is_said_with_the_reason(found: Inspection) -> None:
    refused = replace(found, refused="LSTM (node 3): has no counterpart here", macs=None, sizes=None, alive_bytes=None)
    lines = list(summary(refused))
    assert lines[-1] == "not supported: LSTM (node 3): has no counterpart here"
    assert "  MACs        unknown" in lines
    assert not any("arena" in line or "weights" in line for line in lines)


def test_a_network_without_an_int8_form_is_described_as_far_as_it_goes() -> None:
    net = Net((1, 4))
    ones = net.rng.uniform(1, 2, 4)
    normed = net.add(BatchNorm(), "x", weight=ones, bias=ones, mean=ones, var=ones)
    found = describe("net", "built-in network", net.graph(net.linear(normed, 3, 4)))
    assert found.refused is not None
    assert "BatchNorm on shape (1, 4)" in found.refused
    assert found.sizes is None
    assert (found.macs, found.parameters, found.alive_bytes) == (12, 4 + 4 + 12 + 3, 4)
    assert [point.tensor for point in found.points] == [normed]


def test_what_a_file_holds_is_said_where_there_is_a_file(found: Inspection) -> None:
    assert not any("in the file" in line for line in summary(found))
    assert "  constants   1,234 B in the file" in list(summary(replace(found, stored_bytes=1234)))


def test_every_kind_of_op_has_a_row_and_the_reason_where_it_is_not_supported(found: Inspection) -> None:
    shown = text(op_table(replace(found, ops=(ListedOp("Conv", 7, True), ListedOp("LSTM", 2, False, "recurrent")))))
    assert [line.split() for line in shown.splitlines()[-3:-1]] == [
        ["Conv", "7", "yes"],
        ["LSTM", "2", "no", "recurrent"],
    ]


def test_a_board_fits_where_code_and_constants_fit_its_flash_and_arena_and_stack_its_ram(found: Inspection) -> None:
    assert found.sizes is not None
    for fit in found.sizes.boards:
        assert fit.fits
        assert not replace(fit, flash_bytes=fit.needs_flash_bytes - 1).fits
        assert not replace(fit, ram_bytes=fit.needs_ram_bytes - 1).fits
        assert replace(fit, flash_bytes=fit.needs_flash_bytes, ram_bytes=fit.needs_ram_bytes).fits
        assert fit.needs_flash_bytes == found.sizes.weight_bytes + 32 * 1024


def test_boards_that_do_not_fit_come_last(found: Inspection) -> None:
    assert found.sizes is not None
    boards = found.sizes.boards
    wanted = replace(boards[0], needs_ram_bytes=2**40)
    rows = text(board_table((wanted, *boards[1:]))).splitlines()
    assert rows[-2].split()[:2] == [wanted.board, "no"]
    assert all(row.split()[1] == "yes" for row in rows[4:-2])


def test_points_are_shown_under_the_names_of_the_networks_own_blocks(found: Inspection) -> None:
    rows = [line.split() for line in text(point_table(found)).splitlines()[4:-1]]
    assert [row[0] for row in rows] == ["early", "late"]
    assert rows[0][5:] == ["34,560", "59.96", "1,280", "1,280"]


def test_the_remarks_count_the_tensors_that_are_left_out(found: Inspection) -> None:
    assert len(found.points) == 7
    assert any(line.startswith("further tensors that cut the network: 5 ") for line in remarks(found))


def test_json_holds_all_points_and_the_name_of_the_tap_where_there_is_one(found: Inspection) -> None:
    facts = as_json(found)
    points = facts["points"]
    assert isinstance(points, list)
    assert [point["tap"] for point in points if point["tap"]] == ["early", "late"]
    assert len(points) == len(found.points)
    assert facts["supported"] is True
    assert as_json(replace(found, refused="because"))["supported"] is False
