"""The C against the simulator: every op's output and every evaluated exit, byte for byte."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ptee_mcu.errors import ConfigError
from ptee_mcu.execute import executions
from ptee_mcu.firmware.execution import Execution
from ptee_mcu.firmware.records import Options, TraceForm
from ptee_mcu.plan.plan import Plan
from ptee_mcu.project import Project
from ptee_mcu.quant_graph import ALWAYS, NEVER
from ptee_mcu.report.console import Console
from ptee_mcu.sim import Evaluation, evaluate


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


def compare_project(
    project: Project, places: Sequence[str], count: int | None, force_exit: str | None, console: Console
) -> Comparison:
    """Runs the C of `project` on `places` ("host", "qemu") and the simulator over the same inputs.

    Args:
        project: a build on disk.
        places: where the C runs.
        count: inputs; all where None.
        force_exit: None for the compiled thresholds, the number of the exit at which every input leaves, or "all" for
            one full pass that records every exit.
        console: shows progress.

    Raises:
        ConfigError: where `force_exit` names no exit.
        FirmwareError, ToolMissingError: where the C cannot be built or run.
    """
    thresholds = forced_thresholds(project.plan, force_exit)
    inputs = project.inputs.head(count)
    codes = project.codes(inputs)
    options = Options(thresholds=dict(enumerate(thresholds)), trace=TraceForm.OUTPUTS)
    tally = _Tally()
    with TemporaryDirectory() as work:
        for place in places:
            with console.progress(f"comparing on {place}") as advance:
                parts = executions(
                    project.folder,
                    project.plan,
                    place,
                    inputs.x,
                    options,
                    work=Path(work),
                    traced=True,
                    progress=advance,
                )
                for part in parts:
                    chunk = codes[part.first : part.first + part.inputs]
                    expected = evaluate(project.plan.graph, chunk, thresholds=thresholds, record=True)
                    _compare_ops(tally, place, project.plan, part, expected)
                    _compare_exits(tally, place, project.plan, part, expected)
    return Comparison(
        tuple(places), len(codes), tally.bytes_compared, tally.mismatched_bytes, tally.mismatched_exits, tally.first
    )


def forced_thresholds(plan: Plan, force_exit: str | None) -> tuple[int, ...]:
    """The thresholds that make every input leave at an exit; the compiled ones where it is None.

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


def _compare_ops(tally: _Tally, place: str, plan: Plan, part: Execution, expected: Evaluation) -> None:
    for step in plan.steps:
        reached = expected.reached[step.segment]
        nbytes = plan.graph.tensors[step.node.output].nbytes
        want = expected.tensors[step.node.output].reshape(len(reached), nbytes)
        traced = part.trace.ops.get(step.index)
        ran = np.empty(0, np.int32) if traced is None else traced.inputs
        common, here, there = np.intersect1d(reached, ran, return_indices=True)
        extra = len(np.setxor1d(reached, ran))
        if extra:
            tally.note(f"{place}: {step.node.name} ran for {len(ran)} inputs, in the simulator for {len(reached)}")
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


def _compare_exits(tally: _Tally, place: str, plan: Plan, part: Execution, expected: Evaluation) -> None:
    records = part.records
    for i, leave in enumerate(plan.graph.exits):
        rows = np.flatnonzero(records.exit == i)
        reached = expected.reached[i]
        if not np.array_equal(records.input[rows], reached):
            tally.mismatched_exits += len(np.setxor1d(records.input[rows], reached))
            tally.note(f"{place}: exit {leave.name} was evaluated for {len(rows)} inputs, not {len(reached)}")
            continue
        logits = expected.tensors[leave.logits].reshape(len(reached), plan.graph.classes)
        wrong = (records.logits[rows] != logits).any(axis=1) | (records.label[rows] != logits.argmax(axis=1))
        wrong |= records.ended[rows] != (expected.exit[reached] == i)
        if leave.rule is not None:
            wrong |= records.confidence[rows] != expected.tensors[leave.rule.tensor].reshape(-1)
        tally.bytes_compared += logits.size
        if wrong.any():
            tally.mismatched_exits += int(wrong.sum())
            tally.note(f"{place}: input {part.first + reached[np.argmax(wrong)]} answers differently at {leave.name}")
