"""The C against the simulator: every op's output and every evaluated exit, byte for byte."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ptee_mcu.errors import ConfigError
from ptee_mcu.execute import executions
from ptee_mcu.firmware.execution import Execution
from ptee_mcu.firmware.records import Calls, Options, TraceForm
from ptee_mcu.operating_point import plan_at, selected
from ptee_mcu.plan.plan import Plan, Step
from ptee_mcu.project import Project
from ptee_mcu.quant_graph import ALWAYS, NEVER
from ptee_mcu.report.console import Console
from ptee_mcu.sim import Evaluation, evaluate
from ptee_mcu.sim.evaluation import Rows


@dataclass(frozen=True, slots=True)
class Comparison:
    """The outcome of comparing C with the simulator, over all places together."""

    places: tuple[str, ...]
    inputs: int
    bytes_compared: int
    mismatched_bytes: int
    mismatched_exits: int
    first_mismatch: str | None

    @property
    def equal(self) -> bool:
        """True where something was compared and nothing differs."""
        return self.bytes_compared > 0 and self.mismatched_bytes == 0 and self.mismatched_exits == 0

    def as_json(self) -> dict[str, Any]:
        """The same for json.dumps."""
        return asdict(self)


@dataclass(slots=True)
class _Tally:
    """Differences so far."""

    bytes_compared: int = 0
    mismatched_bytes: int = 0
    mismatched_exits: int = 0
    first: str | None = field(default=None)

    def note(self, text: str) -> None:
        if self.first is None:
            self.first = text


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    """What both sides did with some inputs: the C on `place` through `calls`, and the simulator, which steps."""

    place: str
    calls: Calls
    plan: Plan
    thresholds: tuple[int, ...]
    part: Execution
    expected: Evaluation

    def rows(self, step: Step) -> Rows:
        """The inputs for which the C must run `step`."""
        reached = self.expected.reached[step.segment]
        left_out = self.calls is Calls.RUN and step.node.name in self.plan.graph.skipped(self.thresholds)
        return reached[:0] if left_out else reached

    def recorded(self, exit_: int) -> Rows:
        """The inputs for which the C must record an exit: NAME_run shows the one that answers."""
        reached = self.expected.reached[exit_]
        return reached if self.calls is Calls.STEPS else reached[self.expected.exit[reached] == exit_]


def compare_project(
    project: Project,
    places: Sequence[str],
    count: int | None,
    force_exit: str | None,
    console: Console,
    *,
    point: str | None = None,
) -> Comparison:
    """Runs the C of `project` on `places` ("host", "qemu") and the simulator over the same inputs.

    By NAME_step, which evaluates every exit on the way; where the operating point never lets an exit fire, a second
    time by NAME_run, which must leave out that exit's head and change nothing else.

    Args:
        project: a build on disk.
        places: where the C runs.
        count: inputs; all where None.
        force_exit: None for the thresholds of the operating point, the number of the exit at which every input leaves,
            or "all" for one full pass that records every exit.
        console: shows progress.
        point: name or number of the operating point that NAME_set_operating_point selects; NAME_init's where None.

    Raises:
        ConfigError: where `force_exit` names no exit, `point` no operating point, or both are given.
        FirmwareError, ToolMissingError: where the C cannot be built or run.
    """
    if point is not None and force_exit is not None:
        raise ConfigError(
            f"--operating-point {point} and --force-exit {force_exit} both set thresholds", hint="give one of them"
        )
    plan = plan_at(project.plan, point)
    thresholds = forced_thresholds(plan, force_exit)
    inputs = project.inputs.head(count)
    codes = project.codes(inputs)
    options = Options(trace=TraceForm.OUTPUTS, points=selected(plan, point))
    if force_exit is not None:
        options = replace(options, thresholds=dict(enumerate(thresholds)))
    twice = force_exit is None and plan.graph.skipped(thresholds)
    tally = _Tally()
    with TemporaryDirectory() as work:
        for place, calls in product(places, (Calls.STEPS, Calls.RUN) if twice else (Calls.STEPS,)):
            with console.progress(f"comparing on {place}") as advance:
                parts = executions(
                    project.folder,
                    plan,
                    place,
                    inputs.x,
                    replace(options, calls=calls),
                    work=Path(work),
                    traced=True,
                    progress=advance,
                )
                for part in parts:
                    chunk = codes[part.first : part.first + part.inputs]
                    expected = evaluate(plan.graph, chunk, thresholds=thresholds, record=True)
                    both = _Chunk(place, calls, plan, thresholds, part, expected)
                    _compare_ops(tally, both)
                    _compare_exits(tally, both)
    return Comparison(
        tuple(places), len(codes), tally.bytes_compared, tally.mismatched_bytes, tally.mismatched_exits, tally.first
    )


def forced_thresholds(plan: Plan, force_exit: str | None) -> tuple[int, ...]:
    """The thresholds that make every input leave at an exit; those of the default operating point where it is None.

    Raises:
        ConfigError: where `force_exit` is neither "all" nor the number of an exit.
    """
    early = len(plan.graph.exits) - 1
    if force_exit is None:
        return plan.graph.point.thresholds
    if force_exit == "all":
        return (NEVER,) * early
    if not force_exit.isdecimal() or int(force_exit) > early:
        raise ConfigError(f"--force-exit {force_exit}: {plan.graph.name} has exits 0 to {early}", hint="or 'all'")
    return tuple(ALWAYS if i == int(force_exit) else NEVER for i in range(early))


def _compare_ops(tally: _Tally, both: _Chunk) -> None:
    place, part = both.place, both.part
    for step in both.plan.steps:
        rows = both.rows(step)
        nbytes = both.plan.graph.tensors[step.node.output].nbytes
        want = both.expected.tensors[step.node.output].reshape(-1, nbytes)
        traced = part.trace.ops.get(step.index)
        ran = np.empty(0, np.int32) if traced is None else traced.inputs
        common, here, there = np.intersect1d(rows, ran, return_indices=True)
        extra = len(np.setxor1d(rows, ran))
        if extra:
            tally.note(f"{place}: {step.node.name} ran for {len(ran)} inputs, in the simulator for {len(rows)}")
            tally.mismatched_bytes += extra * nbytes
        if traced is None or not len(common):
            continue
        wrong = want[here] != traced.outputs[there]
        tally.bytes_compared += wrong.size
        if wrong.any():
            tally.mismatched_bytes += int(wrong.sum())
            row, byte = np.argwhere(wrong)[0]
            tally.note(
                f"{place}: input {part.first + common[row]}, op {step.index} ({step.node.name}), byte {byte}: "
                f"C {traced.outputs[there][row, byte]}, simulator {want[here][row, byte]}"
            )


def _compare_exits(tally: _Tally, both: _Chunk) -> None:
    place, graph, expected, records = both.place, both.plan.graph, both.expected, both.part.records
    for i, leave in enumerate(graph.exits):
        rows = np.flatnonzero(records.exit == i)
        inputs = both.recorded(i)
        if not np.array_equal(records.input[rows], inputs):
            tally.mismatched_exits += len(np.setxor1d(records.input[rows], inputs))
            tally.note(f"{place}: exit {leave.name} was evaluated for {len(rows)} inputs, not {len(inputs)}")
            continue
        at = np.searchsorted(expected.reached[i], inputs)
        logits = expected.tensors[leave.logits].reshape(-1, graph.classes)[at]
        wrong = (records.logits[rows] != logits).any(axis=1) | (records.label[rows] != logits.argmax(axis=1))
        wrong |= records.ended[rows] != (expected.exit[inputs] == i)
        if leave.rule is not None:
            wrong |= records.confidence[rows] != expected.tensors[leave.rule.tensor].reshape(-1)[at]
        tally.bytes_compared += logits.size
        if wrong.any():
            tally.mismatched_exits += int(wrong.sum())
            name = both.part.first + inputs[np.argmax(wrong)]
            tally.note(f"{place}: input {name} answers differently at {leave.name}")
