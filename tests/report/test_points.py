"""Operating points on the report images: shares, agreement and accuracy apart, cost and worst cost."""

from dataclasses import replace

import numpy as np
import pytest
from exits.outcomes import split
from hypothesis import given, settings
from hypothesis import strategies as st
from report import small
from support.builder import Builder
from support.emitted import planned
from support.graphs import codes_for, networks

from ptee_mcu.errors import DataError, SplitError
from ptee_mcu.exits.outcomes import make_outcomes
from ptee_mcu.plan.expected_cost import last_reached
from ptee_mcu.quant_graph import ALWAYS, NEVER, OperatingPoint, QuantGraph
from ptee_mcu.report.points import PointRow, point_rows
from ptee_mcu.report.summary import Answers, summarise
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import HW


def rows() -> dict[str, PointRow]:
    return {row.name: row for row in point_rows(planned(small.graph()), small.outcomes())}


def test_there_is_a_row_per_point_in_order_and_one_is_the_default() -> None:
    made = point_rows(planned(small.graph()), small.outcomes())
    assert [(row.name, row.default) for row in made] == [
        ("careful", False), ("bold", True), ("never", False), ("cheap", False),
    ]  # fmt: skip
    assert [row.thresholds for row in made] == [point.thresholds for point in small.POINTS]


def test_shares_are_of_the_images_that_leave_at_each_exit() -> None:
    assert rows()["careful"].shares == (0.2, 0.4, 0.3, 0.1)
    assert rows()["bold"].shares == (0.5, 0.2, 0.3, 0.0)
    assert rows()["never"].shares == (0.0, 0.0, 0.0, 1.0)


def test_agreement_and_accuracy_are_two_figures() -> None:
    careful, bold = rows()["careful"], rows()["bold"]
    assert (careful.agreement, careful.disagreement) == (0.9, 0.1)  # image 5 leaves at b with 2 for 1
    assert careful.accuracy == 0.7  # that one, and images 0 and 9, which the final exit has wrong too
    assert (bold.agreement, bold.disagreement) == (0.6, 0.4)
    assert bold.accuracy == 0.5


def test_the_drop_is_what_the_accuracy_lacks_to_the_full_networks() -> None:
    assert rows()["careful"].drop == pytest.approx(0.1)
    assert rows()["bold"].drop == pytest.approx(0.3)
    assert rows()["never"].drop == 0.0


def test_exits_that_are_right_where_the_network_is_wrong_make_the_drop_negative() -> None:
    truth = np.array([1, 1, 2, 3, 0, 2, 2, 3, 0, 2])
    made = point_rows(planned(small.graph()), small.outcomes(truth))[0]
    assert made.drop == pytest.approx(-0.1)


def test_without_labels_there_is_an_agreement_but_neither_accuracy_nor_drop() -> None:
    unlabelled = replace(small.outcomes(), split=small.report_split(np.zeros(0, np.int64)))
    made = point_rows(planned(small.graph()), unlabelled)
    assert [(row.accuracy, row.drop) for row in made] == [(None, None)] * 4
    assert made[0].agreement == 0.9


def test_costs_leave_out_the_heads_that_a_point_switches_off() -> None:
    graph = small.graph()
    every = graph.exit_costs()
    bold, never = rows()["bold"], rows()["never"]
    assert bold.cost == pytest.approx(0.5 * every[0] + 0.2 * every[1] + 0.3 * every[2])
    assert bold.worst_cost == every[3] > 1.0
    assert never.cost == never.worst_cost == graph.exit_costs(small.POINTS[2])[3] < every[3]


def test_nothing_gets_past_an_exit_that_always_fires() -> None:
    graph = small.graph()
    cheap = rows()["cheap"]
    assert cheap.shares == (0.0, 1.0, 0.0, 0.0)
    assert cheap.worst_cost == cheap.cost == graph.exit_costs(small.POINTS[3])[1]
    assert (last_reached((5, ALWAYS, ALWAYS)), last_reached((5, NEVER)), last_reached(())) == (1, 2, 0)


def test_certified_is_what_has_a_delta() -> None:
    assert [row.certified for row in rows().values()] == [True, False, True, True]
    assert (rows()["careful"].delta, rows()["careful"].bound) == (0.05, 0.1)
    assert (rows()["bold"].delta, rows()["bold"].bound) == (None, None)


def test_a_row_carries_what_a_reader_should_know_of_its_point() -> None:
    graph = small.graph()
    uncertified = replace(graph, points=(OperatingPoint("loose", (10, 5, 0), asked=0.03),), default=0)
    assert rows()["careful"].note is None
    assert rows()["bold"].note == "a remark on bold"
    assert str(rows()["never"].note).startswith("no exit fires: ")
    assert str(point_rows(planned(uncertified), small.outcomes())[0].note).startswith("uncertified: ")


def test_a_network_without_early_exits_has_no_rows() -> None:
    b = Builder((1, 4, 4, 2))
    b.exit("final", b.conv("input", 4, HW(1, 1)), final=True)
    made = make_outcomes(small.report_split(), small.LABELS[-1:], np.zeros((0, 10), np.int8))
    assert point_rows(planned(b.graph()), made) == ()


def test_points_are_not_reported_on_the_images_they_were_chosen_on() -> None:
    chosen_on = make_outcomes(split(10, "threshold_b"), small.LABELS, small.CODES)
    with pytest.raises(SplitError, match="nothing can be reported on threshold_b"):
        point_rows(planned(small.graph()), chosen_on)


def test_outcomes_of_another_number_of_exits_are_refused() -> None:
    fewer = make_outcomes(small.report_split(), small.LABELS[1:], small.CODES[1:])
    with pytest.raises(DataError, match="switched: outcomes of 3 exits, the network has 4"):
        point_rows(planned(small.graph()), fewer)


def with_points(graph: QuantGraph, thresholds: list[int]) -> QuantGraph:
    """`graph` with all its exits at each threshold."""
    early = len(graph.exits) - 1
    points = tuple(OperatingPoint(f"at {t}", (t,) * early) for t in thresholds)
    return replace(graph, points=points, default=0)


@settings(max_examples=20, deadline=None)
@given(networks(), st.lists(st.integers(ALWAYS, NEVER), min_size=1, max_size=3))
def test_a_points_row_says_what_the_simulator_does_under_that_point(graph: QuantGraph, thresholds: list[int]) -> None:
    graph = with_points(graph, thresholds)
    x = codes_for(graph, 12)
    run = evaluate(graph, x, full=True)
    assert run.labels is not None
    assert run.confidences is not None
    truth = np.arange(12) % graph.classes
    made = point_rows(planned(graph), make_outcomes(small.report_split(truth, 12), run.labels, run.confidences))
    assert len(made) == (len(thresholds) if len(graph.exits) > 1 else 0)
    for i, row in enumerate(made):
        here = replace(graph, default=i)
        ran = evaluate(here, x)
        report = summarise(planned(here), Answers(ran.exit, ran.label, run.labels[-1], truth), of="noise")
        assert row.shares == tuple(each.share for each in report.rows)
        assert (row.agreement, row.accuracy) == (report.agreement, report.accuracy)
        assert (row.cost, row.worst_cost) == (pytest.approx(report.cost), report.worst_cost)
        assert row.cost <= row.worst_cost
