"""The report as values and as JSON: nominal beside honest costs, reliability, risk per exit."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from exits.outcomes import split
from report import small
from support.builder import Builder, small_network
from support.emitted import planned
from support.graphs import codes_for

from ptee_mcu.emit import emit
from ptee_mcu.exits.costs import place_costs
from ptee_mcu.exits.outcomes import ExitRisk, make_outcomes, risk_per_exit
from ptee_mcu.exits.reliability import dequantized, measure
from ptee_mcu.project import Inputs, load_project, with_project
from ptee_mcu.report.points import point_rows
from ptee_mcu.report.summary import Answers, Baseline, Report, summarise
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import HW


def full_report() -> Report:
    """A report of the small network with everything that a report can hold, on noise."""
    graph = small_network(thresholds=(0,))
    plan = planned(graph)
    chosen, held = split(30, "threshold_a"), small.report_split(np.arange(40) % 4, 40)
    runs = [evaluate(graph, codes_for(graph, len(s), seed=len(s)), full=True) for s in (chosen, held)]
    scores = []
    for run in runs:
        assert run.exit_logits is not None
        assert run.confidences is not None
        scores.append(dequantized(graph, run.exit_logits, run.confidences))
    last = runs[1]
    assert last.labels is not None
    assert last.confidences is not None
    outcomes = make_outcomes(held, last.labels, last.confidences)
    return summarise(
        plan,
        Answers(last.exit, last.label, last.labels[-1], held.y),
        of="noise",
        baseline=Baseline(70, 0.5, 0.5),
        points=point_rows(planned(graph), outcomes),
        reliability=measure(chosen, scores[0], held, scores[1]),
        risks=risk_per_exit(outcomes, last.exit),
    )


def read_back(report: Report) -> Any:
    return json.loads(json.dumps(report.as_json(), allow_nan=False))


def test_the_nominal_cost_charges_the_trunk_and_the_exits_own_head_alone() -> None:
    graph = small.graph()
    costs = place_costs(graph)
    report = summarise(planned(graph), small.answers(), of="ten images")
    own = [(t + h) / costs.trunk[-1] for t, h in zip(costs.trunk, (*costs.heads, 0), strict=True)]
    honest = [row.macs / report.backbone_macs for row in report.rows]
    assert [row.nominal for row in report.rows] == pytest.approx(own)
    assert report.rows[-1].nominal == 1.0 < honest[-1]
    assert report.rows[0].nominal == honest[0]


def test_the_nominal_mean_weighs_nominal_costs_by_share() -> None:
    report = summarise(planned(small.graph()), small.answers(), of="ten images")
    assert [row.share for row in report.rows] == [0.5, 0.2, 0.3, 0.0]
    nominal = [row.nominal or 0.0 for row in report.rows]
    assert report.nominal_cost == pytest.approx(0.5 * nominal[0] + 0.2 * nominal[1] + 0.3 * nominal[2])
    assert report.nominal_cost < report.cost


def test_a_network_without_early_exits_has_no_nominal_cost() -> None:
    b = Builder((1, 4, 4, 2))
    b.exit("final", b.conv("input", 4, HW(1, 1)), final=True)
    report = summarise(planned(b.graph()), Answers(np.zeros(3, int), np.zeros(3, int), None, None), of="nothing")
    assert report.nominal_cost is None
    assert [row.nominal for row in report.rows] == [None]


def test_the_worst_cost_is_of_the_last_exit_that_can_be_reached() -> None:
    graph = replace(small.graph(), default=3)
    report = summarise(planned(graph), small.answers(graph.point.thresholds), of="ten images")
    assert report.worst_cost == report.cost == graph.exit_costs(graph.point)[1]


def test_what_is_not_given_is_empty() -> None:
    report = summarise(planned(small.graph()), small.answers(), of="ten images")
    assert (report.points, report.reliability, report.risks) == ((), (), ())


def test_json_holds_points_reliability_with_all_bins_and_risks() -> None:
    back = read_back(full_report())
    (point,) = back["points"]
    assert (point["name"], point["certified"], point["default"]) == ("default", False, True)
    assert sum(point["shares"]) == pytest.approx(1)
    assert [(each["exit"], each["score"]) for each in back["reliability"]] == [
        ("early", "softmax"), ("early", "confidence"),
    ]  # fmt: skip
    for each in back["reliability"]:
        assert sum(b["count"] for b in each["bins"]) == sum(b["count"] for b in each["bins_after"]) == 40
    assert [risk["count"] for risk in back["risks"]] == [round(40 * row["share"]) for row in back["rows"]]
    assert back["risks"][1]["disagree"] == 0.0


def test_the_risk_of_an_exit_is_what_its_row_lacks() -> None:
    report = full_report()
    for row, risk in zip(report.rows, report.risks, strict=True):
        assert row.agreement is not None
        assert row.accuracy is not None
        assert (risk.disagree, risk.wrong) == (pytest.approx(1 - row.agreement), pytest.approx(1 - row.accuracy))


def test_json_takes_numpy_scalars_and_says_null_for_what_is_not_a_finite_number() -> None:
    report = summarise(planned(small.graph()), small.answers(), of="ten images")
    odd: Any = {
        "images": np.int64(10),
        "accuracy": np.float32(0.5),
        "agreement": float("nan"),
        "mean_instructions": np.float64("inf"),
        "risks": (ExitRisk(np.int64(3), np.float64("nan"), None),),  # type: ignore[arg-type]
    }
    back = read_back(replace(report, **odd))
    assert (back["images"], back["accuracy"], back["agreement"], back["mean_instructions"]) == (10, 0.5, None, None)
    assert back["risks"] == [{"count": 3, "disagree": None, "wrong": None}]


def test_a_project_is_written_with_its_report_and_loads(tmp_path: Any) -> None:
    report = full_report()
    plan = planned(small_network(thresholds=(0,)))
    codes = codes_for(plan.graph, 3)
    with_project(emit(plan), plan, Inputs(codes, None, "noise"), report).write(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == read_back(report)
    assert load_project(tmp_path / "out").name == plan.graph.name
