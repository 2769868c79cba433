from dataclasses import replace

import pytest
from support.partitions import Case, board, by_bytes
from support.targets import region

from ptee_mcu.plan.explain import Reason, explain
from ptee_mcu.plan.partition import Mode, Needs
from ptee_mcu.plan.placement import Constant, How


def case(sram: int, *, wait: float = 1.0, **passes: int) -> Case:
    """Two layers of 400 B each, in flash that waits or SRAM that does not."""
    found = (Constant("a:weights", 400, 0, head=False), Constant("b:weights", 400, 1, head=False))
    target = board(region("FLASH", "flash", 0, 4096), region("SRAM", "sram", 1 << 29, sram))
    times = {f"{name}:weights": times for name, times in passes.items()}
    return by_bytes(found, target, {"FLASH": wait, "SRAM": 0.0}, passes=times, reach=(1.0, 0.25))


def reasons(given: Case, mode: Mode = Mode.AUTO) -> tuple[Reason, ...]:
    return explain(given.solve(mode))


def test_a_constant_kept_out_by_a_full_memory_says_how_many_bytes_are_missing_and_what_they_would_save() -> None:
    _, kept_out = reasons(case(500))
    assert kept_out.text == (
        "b:weights: in place in FLASH, 100 cycles per inference; "
        "loading it at boot into SRAM would save 100, but 316 B are missing in SRAM"
    )


def test_a_loaded_constant_says_what_leaving_it_would_cost_and_free() -> None:
    loaded, _ = reasons(case(500))
    assert loaded.text == (
        "a:weights: loaded at boot into SRAM, 0 cycles per inference; "
        "the best other place, reading it in place in FLASH, would cost 400 more and free 400 B"
    )


def test_a_staged_constant_is_compared_with_loading_it_at_boot() -> None:
    staged, _ = reasons(case(450, a=50, b=50))
    assert staged.placement.how is How.STAGED
    assert staged.text == (
        "a:weights: staged in SRAM, 600 cycles per inference; "
        "loading it at boot into SRAM would save 600, but 366 B are missing in SRAM"
    )


def test_on_a_board_without_waits_nothing_is_saved_by_any_move() -> None:
    for reason in reasons(case(1024, wait=0.0)):
        assert "in place in FLASH, 0 cycles per inference; the best other place" in reason.text
        assert "would save nothing" in reason.text
        assert max(move.saves for move in reason.moves) == 0


def test_a_forced_placement_says_so_and_what_it_gives_away() -> None:
    first, _ = reasons(case(1024), Mode.FLASH)
    assert first.text == (
        'a:weights: in place in FLASH, as placement = "flash" says, 400 cycles per inference; '
        "loading it at boot into SRAM would save 400 and fits"
    )


def test_a_constant_that_may_lie_in_one_memory_only_says_so() -> None:
    given = case(1024)
    only = {name: {"FLASH": prices["FLASH"]} for name, prices in given.prices.read.items()}
    first, _ = reasons(replace(given, prices=replace(given.prices, read=only)))
    assert first.text.endswith("no other memory may hold it")


def test_a_move_to_a_second_stage_cannot_be_made() -> None:
    given = case(450, a=50, b=50)
    more = region("DTCM", "tcm", 1 << 28, 100)
    target = replace(given.board, regions=(*given.board.regions, more))
    made = by_bytes(
        given.found,
        target,
        {"FLASH": 1.0, "SRAM": 0.25, "DTCM": 0.0},
        passes={"a:weights": 50, "b:weights": 50},
        reach=(1.0, 1.0),
        needs=Needs(16, 0, {}),
    )
    first, _ = reasons(made)
    assert first.placement.region == "SRAM"
    second_stage = [move for move in first.moves if move.how is How.STAGED and move.region == "DTCM"]
    assert [(move.second_stage, move.fits) for move in second_stage] == [(True, False)]
    assert second_stage[0].saves > 0


@pytest.mark.parametrize("mode", list(Mode))
def test_every_move_costs_what_the_layout_with_that_move_costs(mode: Mode) -> None:
    given = case(1024, a=3, b=20)
    made = given.solve(mode)
    for i, reason in enumerate(reasons(given, mode)):
        for move in reason.moves:
            spots = given.spots(made)
            spots[i] = (move.how, move.region, move.load_region)
            assert given.cycles(spots, made.arena_region) == pytest.approx(made.cycles - move.saves)
            assert given.fits(spots, made.arena_region) == move.fits
