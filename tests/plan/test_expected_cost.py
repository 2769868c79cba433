"""Cycles of operating points against numbers worked out by hand."""

from dataclasses import replace

import pytest
from report.placed import cost_of
from support.emitted import planned
from support.points import switched_network

from ptee_mcu.plan.cost import PlanCost
from ptee_mcu.plan.expected_cost import distribution, last_reached, point_cycles, reach_of
from ptee_mcu.plan.plan import Plan
from ptee_mcu.quant_graph import ALWAYS, NEVER, OperatingPoint

STEPS = {
    "one": 100, "a.pool": 1, "a.logits": 2, "a.confidence": 3,
    "two": 50, "b.logits": 5, "b.confidence": 7,
    "three": 40, "c.linear": 4, "c.logits": 1, "c.confidence": 2,
    "four": 30, "final.logits": 9,
}  # fmt: skip


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned(switched_network())


@pytest.fixture(scope="module")
def cost(plan: Plan) -> PlanCost:
    assert {step.node.name for step in plan.steps} == set(STEPS)
    return cost_of(plan, STEPS, entry=(0.0, 10.0, 20.0, 30.0), heads=(1000.0, 2000.0, 3000.0, 0.0))


def test_every_exit_pays_the_trunk_all_heads_on_the_way_and_their_copies(plan: Plan, cost: PlanCost) -> None:
    found = point_cycles(plan, cost, plan.graph.points[1])
    assert found.per_exit == (1106, 3178, 6245, 6314)
    assert found.worst == 6314


def test_the_mean_weighs_every_exit_by_who_leaves_there(plan: Plan, cost: PlanCost) -> None:
    found = point_cycles(plan, cost, plan.graph.points[1])  # shares 1/2, 1/4, 1/8, 1/8
    assert found.mean == 553 + 794.5 + 780.625 + 789.25


def test_a_head_that_cannot_fire_is_not_charged_but_what_a_later_head_reads_of_it_is(
    plan: Plan, cost: PlanCost
) -> None:
    found = point_cycles(plan, cost, plan.graph.points[2])  # a and b never fire; c reads the logits of b
    assert found.per_exit == (100, 100 + 10 + 50 + 5, 165 + 20 + 47 + 3000, 3232 + 30 + 39)


def test_where_no_reach_was_measured_every_segment_counts_as_entered(plan: Plan, cost: PlanCost) -> None:
    found = point_cycles(plan, cost, plan.graph.points[2])
    assert found.mean == found.percentile_95 == found.worst == 3301


def test_nothing_gets_past_an_exit_that_always_fires(plan: Plan, cost: PlanCost) -> None:
    found = point_cycles(plan, cost, OperatingPoint("short", (10, ALWAYS, 0)))
    assert found.mean == found.percentile_95 == found.worst == found.per_exit[1] == 3178


@pytest.mark.parametrize(
    ("reach", "expected"),
    [((1.0, 0.5, 0.05), 20), ((1.0, 0.5, 0.0501), 30), ((1.0, 0.05, 0.05), 10), ((1.0, 1.0, 1.0), 30)],
)
def test_at_least_95_percent_of_the_inputs_keep_the_percentile(reach: tuple[float, ...], expected: float) -> None:
    assert distribution((10, 20, 30), reach, (0, 0)).percentile_95 == expected


def test_the_worst_case_does_not_ask_whether_anybody_went_there() -> None:
    found = distribution((10, 20, 30), (1.0, 0.0, 0.0), (0, 0))
    assert (found.mean, found.worst) == (10, 30)


def test_the_last_exit_reached_is_the_first_that_always_fires() -> None:
    assert last_reached((NEVER, 0)) == 2
    assert last_reached((ALWAYS, ALWAYS)) == 0
    assert reach_of(OperatingPoint("x", (0, ALWAYS, 0))) == (1.0, 1.0, 0.0, 0.0)
    assert reach_of(replace(OperatingPoint("x", (0,)), reach=(1.0, 0.25))) == (1.0, 0.25)
