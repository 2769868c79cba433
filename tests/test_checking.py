"""The report of a build tells the stack of every call and whether the code holds what it must not."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.differential import inputs_for
from support.emitted import planned
from support.exits import residual_network
from support.tools import require

from ptee_mcu import boards
from ptee_mcu.emit import emit
from ptee_mcu.firmware.checks import CallStack
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.plan import Plan
from ptee_mcu.project import Inputs
from ptee_mcu.report.console import Console
from ptee_mcu.report.summary import Answers, Report, summarise
from ptee_mcu.sim import evaluate
from ptee_mcu.stages.checking import with_checks
from ptee_mcu.stages.reporting import measured

QUIET = Console(quiet=True)


def empty(plan: Plan) -> Report:
    run = evaluate(plan.graph, inputs_for(plan.graph)[:4])
    return summarise(plan, Answers(run.exit, run.label, None, None), of="noise")


def built(plan: Plan) -> Report:
    inputs = Inputs(inputs_for(plan.graph)[:4], None, "noise")
    return measured(empty(plan), emit(plan), plan, inputs, QUIET)


def test_a_build_for_an_emulated_board_has_computed_and_painted_stacks() -> None:
    require("arm-none-eabi-gcc", "arm-none-eabi-objdump", "qemu-system-arm", "gcc", "cmsis-nn")
    plan = planned(residual_network())
    found = built(plan).checks
    assert found is not None
    assert found.reserved_bytes == plan.stack_bytes
    computed = {each.function: each.nbytes for each in found.stacks}
    assert [each.function for each in found.painted] == ["residual_run", "residual_step"]
    assert all(0 < each.nbytes <= computed[each.function] for each in found.painted)
    assert found.clean


def test_a_build_for_a_board_without_an_emulator_has_computed_stacks() -> None:
    require("arm-none-eabi-gcc", "arm-none-eabi-objdump", "cmsis-nn")
    plan = make_plan(residual_network(), replace(boards.load("nucleo_f446re"), machine=None))
    report = built(plan)
    assert report.checks is not None
    assert (report.checks.clean, report.checks.painted) == (True, ())
    assert any("no emulator" in note for note in report.notes)


def test_a_build_without_the_compiler_says_that_nothing_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("cmsis-nn")
    monkeypatch.setenv("PATH", str(tmp_path))
    report = built(planned(residual_network()))
    assert report.checks is None
    (note,) = (note for note in report.notes if note.startswith("no stack was computed and no code audited: "))
    assert "arm-none-eabi-gcc" in note


def test_c_that_does_not_compile_is_noted_in_one_line(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "cmsis-nn")
    plan = planned(residual_network())
    emit(plan).write(tmp_path / "project")
    (tmp_path / "project" / "wrong.c").write_text("what")
    (note,) = with_checks(empty(plan), tmp_path / "project", plan, (), QUIET).notes
    assert note.startswith("no stack was computed and no code audited: compiling wrong.c failed")
    assert "\n" not in note


def test_what_must_not_be_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require("arm-none-eabi-gcc", "arm-none-eabi-objdump", "cmsis-nn")
    plan = planned(residual_network())
    emit(plan).write(tmp_path / "project")
    deeper = (CallStack("residual_run", 1 << 20),)
    report = with_checks(empty(plan), tmp_path / "project", plan, deeper, Console())
    assert report.checks is not None
    assert "warning: residual_run took 1,048,576 B of stack in the emulator" in capsys.readouterr().err
