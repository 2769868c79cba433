import re

import pytest
from hypothesis import assume, given, settings
from support.partitions import Case, cases

from ptee_mcu.errors import DoesNotFitError
from ptee_mcu.plan.explain import explain
from ptee_mcu.plan.partition import Mode, Objective, Partition
from ptee_mcu.plan.placement import verify_placements

MODES = tuple(Mode)


def solved(case: Case, mode: Mode, objective: Objective = Objective.MEAN) -> Partition:
    """The partition, where there is one: what remains is not this test's."""
    try:
        return case.solve(mode, objective)
    except DoesNotFitError:
        assume(False)
        raise


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.FLASH, Mode.BOOT, Mode.STAGED])
@given(case=cases())
@settings(max_examples=30, deadline=None)
def test_no_layout_tried_one_by_one_is_better(case: Case, mode: Mode) -> None:
    least = case.least(mode)
    if least is None:
        with pytest.raises(DoesNotFitError, match="short"):
            case.solve(mode)
    else:
        made = case.solve(mode)
        assert made.cycles == pytest.approx(least, rel=1e-6, abs=1e-6)
        assert made.optimal


@given(case=cases(most=4))
@settings(max_examples=40, deadline=None)
def test_the_worst_case_is_as_small_as_any_layouts(case: Case) -> None:
    made = solved(case, Mode.AUTO, Objective.WORST)
    assert made.cycles == pytest.approx(case.least(Mode.AUTO, worst=True), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("mode", MODES)
@given(case=cases(most=9))
@settings(max_examples=40, deadline=None)
def test_no_memory_holds_more_than_its_size_and_no_contract_is_broken(case: Case, mode: Mode) -> None:
    made = solved(case, mode)
    assert case.fits(case.spots(made), made.arena_region)
    verify_placements(case.found, made.placements, made.stage, case.board)
    assert all(place.offset is None or place.offset % 4 == 0 for place in made.placements.values())


@pytest.mark.parametrize("mode", MODES)
@given(case=cases(most=9))
@settings(max_examples=30, deadline=None)
def test_the_cycles_said_are_those_of_the_layout_and_not_below_the_bound(case: Case, mode: Mode) -> None:
    made = solved(case, mode)
    assert made.cycles == pytest.approx(case.cycles(case.spots(made), made.arena_region))
    assert made.lower_bound <= made.cycles
    assert 0 <= made.gap <= 1


@given(case=cases(most=9))
@settings(max_examples=50, deadline=None)
def test_the_optimum_is_never_worse_than_all_in_flash_or_the_first_segments_in_sram(case: Case) -> None:
    best = solved(case, Mode.AUTO).cycles
    assert best <= solved(case, Mode.FLASH).cycles
    assert best <= solved(case, Mode.GREEDY).cycles


@given(case=cases(most=9))
@settings(max_examples=30, deadline=None)
def test_equal_questions_get_equal_answers(case: Case) -> None:
    one, other = solved(case, Mode.AUTO), solved(case, Mode.AUTO)
    assert (one.placements, one.arena_region, one.stage) == (other.placements, other.arena_region, other.stage)


@pytest.mark.parametrize("mode", [Mode.FLASH, Mode.BOOT, Mode.STAGED])
@given(case=cases(most=3))
@settings(max_examples=40, deadline=None)
def test_an_error_states_the_fewest_bytes_that_any_layout_lacks(case: Case, mode: Mode) -> None:
    short = case.least_shortage(mode)
    if not short:
        assert case.fits(case.spots(made := case.solve(mode)), made.arena_region)
        return
    with pytest.raises(DoesNotFitError) as caught:
        case.solve(mode)
    stated = re.findall(r"is ([0-9,]+) B short", str(caught.value))
    assert sum(int(number.replace(",", "")) for number in stated) == short


@given(case=cases(most=8))
@settings(max_examples=40, deadline=None)
def test_no_single_move_that_fits_saves_a_cycle(case: Case) -> None:
    made = solved(case, Mode.AUTO)
    for reason in explain(made):
        assert not [move for move in reason.moves if move.fits and move.saves > 0]
