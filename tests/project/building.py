"""Builds on disk with their bare projects, and the command line on them."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from support.builder import small_network
from support.graphs import codes_for
from support.tools import require
from typer import Typer
from typer.testing import CliRunner

from ptee_mcu import boards, cli_flash
from ptee_mcu.artifacts import MANIFEST
from ptee_mcu.emit import emit
from ptee_mcu.emit_project import abi_of, bare_project, board_defines
from ptee_mcu.firmware.apps import Bare
from ptee_mcu.golden import golden
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.plan import Plan, verify_plan
from ptee_mcu.project import Inputs, Project, load_project, with_project
from ptee_mcu.quant_graph import NEVER, QuantGraph
from ptee_mcu.report.summary import Answers, summarise
from ptee_mcu.sim import evaluate

COUNT = 40


def balanced(*, preprocess: bool = False) -> QuantGraph:
    """The small network with a threshold that half of its inputs reach."""
    graph = small_network(preprocess=preprocess)
    said = evaluate(graph, codes_for(graph, COUNT), thresholds=(NEVER,), full=True)
    assert said.confidences is not None
    middle = int(np.median(said.confidences[0]))
    return replace(graph, points=(replace(graph.points[0], thresholds=(middle,)),))


def plan_for(graph: QuantGraph, board: str) -> Plan:
    plan = make_plan(graph, boards.load(board))
    verify_plan(plan)
    return plan


def inputs_of(graph: QuantGraph, count: int = COUNT) -> Inputs:
    codes = codes_for(graph, count)
    return Inputs(codes if graph.preprocess is None else codes.view(np.uint8), None, "noise")


def built(plan: Plan, folder: Path, *, bare: bool = True) -> Project:
    """`plan` as a build in `folder`, as `build --project bare` writes it."""
    require("cmsis-nn")
    inputs = inputs_of(plan.graph)
    codes = inputs.x if plan.graph.preprocess is None else plan.graph.input_codes(inputs.x.view(np.uint8))
    run = evaluate(plan.graph, codes)
    report = summarise(plan, Answers(run.exit, run.label, None, None), of="noise")
    artifacts = with_project(emit(plan), plan, inputs, report)
    if bare:
        artifacts = artifacts.with_files(
            bare_project(plan, golden(plan, inputs), abi=abi_of(artifacts.files[MANIFEST]))
        )
    artifacts.write(folder)
    return load_project(folder)


def bare_in(project: Project) -> Bare:
    target = project.plan.target
    return Bare(project.folder, project.folder / "bare", project.name, target, board_defines(target))


class Done(NamedTuple):
    """How a command ended; `error`: what it raised, beside an exit code."""

    exit_code: int
    stdout: str
    stderr: str
    error: BaseException | None


def cli(*words: str) -> Done:
    """`ptee-mcu flash` and `measure` as the program runs them."""
    app = Typer()
    app.command()(cli_flash.flash)
    app.command()(cli_flash.measure)
    done = CliRunner(env={"TERM": "dumb"}).invoke(app, words)
    error = None if isinstance(done.exception, SystemExit) else done.exception
    return Done(done.exit_code, done.stdout, done.stderr, error)
