"""Budgets of cycles: what fits, what was measured, and counters that stand still."""

from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from emit.test_api import Status
from support.anytime import FULL, Anytime, answer_of, clock, found, started
from support.emitted import Library, planned
from support.points import CODES, switched_network

from ptee_mcu.emit import emit
from ptee_mcu.emit_anytime import segment_cycles
from ptee_mcu.firmware.cmsis_nn import SourceSet
from ptee_mcu.plan.plan import Plan
from ptee_mcu.quant_graph import NEVER


def test_the_table_of_cycles_is_that_of_the_plan(segments: Library, cycles: tuple[int, ...]) -> None:
    text = str(emit(segments.plan, cmsis_nn=SourceSet("none", {})).files["switched.c"])
    line = next(line for line in text.splitlines() if "segment_cycles[SWITCHED_EXITS]" in line)
    assert line.endswith("{" + ", ".join(f"UINT32_C({count})" for count in cycles) + "};")
    assert all(count > 0 for count in cycles)


@pytest.mark.parametrize("start", [0, 2**32 - 40])
def test_a_segment_is_run_only_where_its_worst_case_fits_what_is_left(
    whole: Anytime, cycles: tuple[int, ...], start: int
) -> None:
    ends = list(accumulate(cycles, initial=start))
    for fits in range(1, 4):
        whole.give(CODES[0])
        assert whole.run_until(sum(cycles[:fits]), clock(*ends)) == Status.DEADLINE
        assert (whole.result.exit, whole.result.fired) == (fits - 1, False)
        assert bool(whole.result.logits) is False
        whole.give(CODES[0])
        one_short = sum(cycles[:fits]) - 1
        status = whole.run_until(one_short, clock(*ends))
        assert status == (Status.DEADLINE if fits > 1 else Status.NO_ANSWER)
        assert whole.best() == (Status.OK if fits > 1 else Status.NO_ANSWER)
    whole.give(CODES[0])
    assert whole.run_until(sum(cycles), clock(*ends)) == Status.DONE
    assert found(whole) == answer_of(CODES[0], FULL)


def test_another_budget_goes_on_where_the_deadline_was(whole: Anytime, cycles: tuple[int, ...]) -> None:
    whole.give(CODES[1])
    assert whole.run_until(cycles[0], clock(0, cycles[0])) == Status.DEADLINE
    first = whole.answer
    assert whole.run_until(0, clock(0)) == Status.DEADLINE
    assert whole.answer == first
    assert whole.run_until(sum(cycles), clock(0, 1, 2, 3)) == Status.DONE
    assert found(whole) == answer_of(CODES[1], FULL)


def test_time_lost_elsewhere_counts_against_the_budget(whole: Anytime, cycles: tuple[int, ...]) -> None:
    whole.give(CODES[1])
    late = 10 * sum(cycles)
    assert whole.run_until(sum(cycles), clock(0, late)) == Status.DEADLINE
    assert whole.result.exit == 0


def test_a_counter_that_stands_still_over_a_segment_is_found(whole: Anytime, cycles: tuple[int, ...]) -> None:
    whole.give(CODES[2])
    assert whole.run_until(sum(cycles), clock(5)) == Status.STUCK_COUNTER
    assert whole.result.exit == 0
    assert whole.run_until(sum(cycles), clock(5, 6, 6)) == Status.STUCK_COUNTER
    assert whole.result.exit == 2
    assert whole.run() == Status.DONE
    assert found(whole) == answer_of(CODES[2], FULL)


def test_measured_cycles_replace_the_model_where_they_are_more(whole: Anytime, cycles: tuple[int, ...]) -> None:
    slow = 3 * max(cycles) + 1
    whole.give(CODES[0])
    assert whole.measure(clock(0, slow, 0, 1, 0, 1, 0, 1), 50) == Status.OK
    raised = (slow * 150 + 99) // 100
    whole.give(CODES[0])
    assert whole.run_until(raised - 1, clock(0, 1, 2, 3)) == Status.NO_ANSWER
    assert whole.run_until(raised, clock(0, raised)) == Status.DEADLINE
    assert whole.run_until(cycles[1], clock(0, cycles[1])) == Status.DEADLINE
    assert whole.result.exit == 1
    assert whole.init() == Status.OK
    assert whole.set_threshold(0, NEVER) == Status.OK
    whole.give(CODES[0])
    assert whole.run_until(cycles[0], clock(0, cycles[0])) == Status.DEADLINE


def test_a_margin_beyond_all_counters_leaves_nothing_that_fits(whole: Anytime) -> None:
    whole.give(CODES[0])
    assert whole.measure(clock(0, 2**31, 0, 2**31, 0, 2**31, 0, 2**31), 2**32 - 1) == Status.OK
    whole.give(CODES[0])
    assert whole.run_until(2**32 - 2, clock(0, 1, 2, 3)) == Status.NO_ANSWER


def test_measuring_wants_a_counter_that_moves_and_a_fresh_input(whole: Anytime) -> None:
    assert whole.measure(clock(0), 0) == Status.NO_INPUT
    whole.give(CODES[0])
    assert whole.measure(clock(0), 0) == Status.STUCK_COUNTER
    whole.give(CODES[0])
    assert whole.step() == Status.CONTINUE
    assert whole.measure(clock(*range(9)), 0) == Status.ENDED
    whole.give(CODES[0])
    assert whole.measure(clock(*range(9)), 0) == Status.OK
    assert whole.run() == Status.ENDED


def test_what_was_begun_op_by_op_cannot_be_measured(library: Library) -> None:
    net = started(library)
    net.give(CODES[0])
    assert net.step_op() == Status.YIELD
    assert net.measure(clock(*range(9)), 0) == Status.ENDED
    net.give(CODES[0])
    assert net.measure(clock(*range(9)), 0) == Status.OK


def test_budgets_and_measurements_refuse_null(whole: Anytime) -> None:
    whole.give(CODES[0])
    assert whole.call("run_until", whole.context, 1, None, whole.context) == Status.NULL
    assert whole.call("measure", whole.context, None, 0) == Status.NULL
    assert whole.call("measure", None, whole.context, 0) != Status.OK
    assert whole.run() == Status.DONE


def plan_without_rates() -> Plan:
    plan = planned(switched_network())
    return replace(plan, target=replace(plan.target, cpu="cortex-m23"))


def test_a_core_without_rates_fits_no_budget_until_it_was_measured(tmp_path: Path) -> None:
    plan = plan_without_rates()
    assert segment_cycles(plan) == (2**32 - 1,) * 4
    net = started(Library(plan, tmp_path), FULL)
    net.give(CODES[0])
    assert net.run_until(2**32 - 2, clock(0, 1)) == Status.NO_ANSWER
    assert net.measure(clock(0, 100, 0, 100, 0, 100, 0, 100), 10) == Status.OK
    net.give(CODES[0])
    assert net.run_until(110, clock(0, 110)) == Status.DEADLINE
    np.testing.assert_equal(net.result.exit, 0)
