"""Operating points by name or number; what is computed and paid under them; comparing a build at one of them."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from support.builder import small_network
from support.emitted import planned
from support.points import switched_network
from support.tools import require
from typer.testing import CliRunner

from ptee_mcu.cli import app
from ptee_mcu.compare import compare_project
from ptee_mcu.emit import emit
from ptee_mcu.errors import ConfigError
from ptee_mcu.execute import execute
from ptee_mcu.operating_point import plan_at, point_index
from ptee_mcu.project import Inputs, Project, load_project, with_project
from ptee_mcu.quant_graph import NEVER, QuantGraph
from ptee_mcu.report.console import Console
from ptee_mcu.report.summary import Answers, summarise
from ptee_mcu.sim import evaluate
from ptee_mcu.simulate import simulate

QUIET = Console(quiet=True)
COUNT = 40


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    require("gcc", "cmsis-nn")
    plan = planned(switched_network())
    codes = np.random.default_rng(5).integers(-128, 128, (COUNT, 6, 6, 2)).astype(np.int8)
    run = evaluate(plan.graph, codes)
    report = summarise(plan, Answers(run.exit, run.label, None, None), of="noise")
    folder = tmp_path_factory.mktemp("project") / "out"
    with_project(emit(plan), plan, Inputs(codes, None, "noise"), report).write(folder)
    return load_project(folder)


def macs(graph: QuantGraph, names: Sequence[str]) -> int:
    return graph.macs([node for node in graph.nodes if node.name in names])


def test_a_point_is_meant_by_its_name_or_its_number() -> None:
    graph = switched_network()
    assert [point_index(graph, asked) for asked in ("1 %", "10 %", "0", "2")] == [0, 2, 0, 2]


def test_a_name_that_is_a_number_is_a_name() -> None:
    graph = switched_network()
    named = replace(graph, points=(replace(graph.points[0], name="2"), *graph.points[1:]))
    assert point_index(named, "2") == 0


@pytest.mark.parametrize("asked", ["3", "-1", "5 %", "", "\N{SUPERSCRIPT TWO}"])
def test_a_point_that_is_not_there_is_refused_with_those_that_are(asked: str) -> None:
    with pytest.raises(ConfigError, match="switched has no operating point") as refused:
        point_index(switched_network(), asked)
    assert refused.value.hint == "choose from 0 (1 %), 1 (3 %), 2 (10 %)"


def test_a_plan_at_a_point_has_it_as_its_default() -> None:
    plan = planned(switched_network())
    assert plan_at(plan, None) is plan
    assert plan_at(plan, "10 %").graph.point.name == "10 %"
    assert plan_at(plan, "10 %").arena == plan.arena


def test_what_only_an_exit_that_cannot_fire_needs_is_skipped() -> None:
    graph = switched_network()
    assert graph.skipped((NEVER, 127, NEVER)) == {
        "a.pool", "a.logits", "a.confidence", "c.linear", "c.logits", "c.confidence",
    }  # fmt: skip
    assert graph.skipped((0, NEVER, 0)) == {"b.confidence"}
    assert graph.skipped((127, 0, -128)) == frozenset()


def test_head_nodes_are_what_no_exit_but_the_last_can_fire_without() -> None:
    graph = switched_network()
    assert graph.head_nodes() == {
        "a.pool", "a.logits", "a.confidence", "b.confidence", "c.linear", "c.logits", "c.confidence",
    }  # fmt: skip


def test_an_exit_that_cannot_fire_is_not_paid_for() -> None:
    graph = switched_network()
    full, lean = graph.exit_macs(), graph.exit_macs(graph.points[2])
    saved = [macs(graph, ("a.pool", "a.logits", "a.confidence")), macs(graph, ("b.confidence",)), 0, 0]
    assert saved[0] > 0 < saved[1]
    assert [a - b for a, b in zip(full, lean, strict=True)] == list(accumulate(saved))
    assert graph.exit_costs(graph.points[2]) == tuple(m / graph.backbone_macs() for m in lean)
    assert graph.exit_macs(graph.points[0]) == full


def test_with_no_exit_that_can_fire_only_what_cascades_is_paid_beyond_the_backbone() -> None:
    graph = small_network(thresholds=(NEVER,))
    assert graph.exit_costs(graph.point)[-1] == 1.0
    assert graph.exit_costs()[-1] > 1.0


@pytest.mark.parametrize("point", [None, "1 %", "1", "10 %"])
def test_the_simulator_and_the_host_answer_alike_at_every_point(project: Project, point: str | None) -> None:
    simulated = simulate(project, None, QUIET, point=point)
    ran = execute(project, "host", None, QUIET, point=point)
    assert [row.share for row in simulated.rows] == [row.share for row in ran.rows]
    assert [row.threshold for row in ran.rows][:-1] == list(plan_at(project.plan, point).graph.point.thresholds)
    assert simulated.cost == ran.cost


def test_a_report_names_the_point_that_was_asked_for(project: Project) -> None:
    assert simulate(project, 5, QUIET, point="2").notes == ("operating point 10 %",)
    assert simulate(project, 5, QUIET).notes == ()


def test_the_emulator_executes_less_where_heads_are_left_out(project: Project) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    lean = execute(project, "qemu", 8, QUIET, point="10 %")
    full = execute(project, "qemu", 8, QUIET, point="1 %")
    assert lean.rows[-1].macs < full.rows[-1].macs
    counts = [(a.instructions, b.instructions) for a, b in zip(lean.rows, full.rows, strict=True)]
    both = [(a, b) for a, b in counts if a is not None and b is not None]
    assert both
    assert all(a < b for a, b in both)


@pytest.mark.parametrize("places", [["host"], ["qemu"]])
@pytest.mark.parametrize("point", [None, "1 %", "10 %"])
def test_every_byte_is_compared_at_the_point(project: Project, places: list[str], point: str | None) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    result = compare_project(project, places, 16, None, QUIET, point=point)
    assert result.equal, result.first_mismatch


def test_comparing_at_a_point_that_leaves_heads_out_runs_both_ways(project: Project) -> None:
    stepped = compare_project(project, ["host"], None, "all", QUIET)
    both = compare_project(project, ["host"], None, None, QUIET, point="10 %")
    once = compare_project(project, ["host"], None, None, QUIET, point="1 %")
    assert once.bytes_compared < stepped.bytes_compared < both.bytes_compared


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("exit == SWITCHED_EXITS - 1 || ctx->thresholds[exit] < 128", "true", "host: a.pool ran for"),
        ("{39, 29, 19}", "{39, 29, -40}", "host: four ran for 0 inputs"),
    ],
    ids=["heads that should be left out run", "another threshold in the table"],
)
def test_a_fault_in_the_points_is_found(project: Project, tmp_path: Path, before: str, after: str, said: str) -> None:
    shutil.copytree(project.folder, tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "switched.c").read_text()
    assert before in text
    (tmp_path / "switched.c").write_text(text.replace(before, after))
    point = "10 %" if after == "true" else "1 %"
    result = compare_project(replace(project, folder=tmp_path), ["host"], 16, None, QUIET, point=point)
    assert not result.equal
    assert result.first_mismatch
    assert said in result.first_mismatch


def test_a_point_beside_a_forced_exit_is_refused(project: Project) -> None:
    with pytest.raises(ConfigError, match="--operating-point 1 and --force-exit all both set thresholds"):
        compare_project(project, ["host"], 1, "all", QUIET, point="1")


COMMANDS = {"sim": (), "run": ("--on", "host"), "compare": ("--on", "host")}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_answers_takes_a_point(project: Project, command: str) -> None:
    words = (command, str(project.folder), *COMMANDS[command], "--inputs", "8", "--json", "--operating-point")
    found = [CliRunner().invoke(app, [*words, asked]) for asked in ("10 %", "2")]
    assert [done.exit_code for done in found] == [0, 0]
    first, second = (json.loads(done.stdout) for done in found)
    assert first == second
    if command == "compare":
        assert (first["mismatched_bytes"], first["mismatched_exits"]) == (0, 0)
    else:
        assert [row["threshold"] for row in first["rows"]] == [NEVER, NEVER, -10, None]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_a_point_that_is_not_there(project: Project, command: str) -> None:
    words = (command, str(project.folder), *COMMANDS[command], "--operating-point", "5 %")
    with pytest.raises(ConfigError, match="switched has no operating point '5 %'"):
        CliRunner().invoke(app, words, catch_exceptions=False)
