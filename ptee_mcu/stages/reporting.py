"""What the compiled network does on images that nothing was chosen on, and what it takes on the board."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ptee_mcu.artifacts import Artifacts
from ptee_mcu.config import Config
from ptee_mcu.data import Splits, chance_warning, require_reportable
from ptee_mcu.errors import ToolMissingError
from ptee_mcu.execute import count_instructions, emulated, linked_memory, trace_pass
from ptee_mcu.exits.outcomes import Outcomes, exit_taken, risk_per_exit
from ptee_mcu.exits.reliability import measure
from ptee_mcu.firmware.checks import CallStack, painted_stacks
from ptee_mcu.graph import Graph
from ptee_mcu.integer_graph import integer_part
from ptee_mcu.plan.plan import Plan
from ptee_mcu.project import Inputs
from ptee_mcu.report.console import Console
from ptee_mcu.report.points import point_rows
from ptee_mcu.report.summary import Answers, Baseline, Report, summarise
from ptee_mcu.stages.checking import with_checks
from ptee_mcu.stages.choosing import Said
from ptee_mcu.stages.inputs import real_inputs, stored

_LOSS_WARNING = 0.01
COUNTED_INPUTS = 2  # instruction counts vary with data by about 6e-6 (M4)


def float_accuracy(config: Config, graph: Graph, splits: Splits, console: Console) -> float | None:
    """Accuracy of the float backbone on the held-out images: threshold A, threshold B and report; None of integers."""
    if integer_part(graph) is not None:
        return None
    from ptee_mcu.train.predict import predict

    parts = (splits.threshold_a, splits.threshold_b, splits.report)
    x = np.concatenate([split.x for split in parts])
    truth = np.concatenate([split.y for split in parts])
    with console.progress(f"float32 accuracy on {len(x):,} images") as advance:
        labels = predict(graph, lambda start, stop: real_inputs(config, x[start:stop]), len(x), advance)
    return float((labels == truth).mean())


def reported(
    config: Config,
    plan: Plan,
    splits: Splits,
    said: dict[str, Said],
    float_share: float | None,
    remarks: tuple[str, ...],
    console: Console,
) -> tuple[Report, Inputs]:
    """The report on the report split, and that split as the project's inputs; `remarks` on the backbone go into it."""
    split = splits.report
    require_reportable(split)
    result = said[split.name].outcomes
    thresholds = plan.graph.point.thresholds
    answers = answers_of(result, thresholds)
    right = np.concatenate([s.outcomes.labels[-1] == s.outcomes.split.y for s in said.values()])
    baseline = Baseline(len(right), float(right.mean()), float_share)
    if float_share is not None and float_share - baseline.int8_accuracy > _LOSS_WARNING:
        console.warn(
            f"int8 loses {100 * (float_share - baseline.int8_accuracy):.2f} points of accuracy against float32; "
            "try quantize.equalize, quantize.bias_correction, another observer or more images"
        )
    commonest = np.bincount(split.y).max() / len(split)
    if warning := chance_warning(baseline.int8_accuracy, plan.graph.classes, len(right), commonest=float(commonest)):
        console.warn(warning)
    notes = [splits.describe(), *splits.notes, *remarks]
    if config.exits is not None and len(plan.graph.exits) == 1:
        notes.append("no exit is worth its cost for what is asked: the network has none")
    of = f"report split of {splits.dataset}"
    early, a = len(plan.graph.exits) > 1, splits.threshold_a
    report = summarise(
        plan, answers, of=of, baseline=baseline, notes=notes,
        points=point_rows(plan, result),
        reliability=measure(a, said[a.name].scores, split, said[split.name].scores) if early else (),
        risks=risk_per_exit(result, exit_taken(result.confidences, thresholds)) if early else (),
    )  # fmt: skip
    return report, Inputs(stored(plan.graph, split.x), split.y, of)


def answers_of(outcomes: Outcomes, thresholds: tuple[int, ...]) -> Answers:
    """Who answers with what under `thresholds`."""
    taken = exit_taken(outcomes.confidences, thresholds)
    labels = outcomes.labels[taken, np.arange(outcomes.count)]
    return Answers(taken, labels, outcomes.labels[-1], outcomes.split.y)


def measured(report: Report, artifacts: Artifacts, plan: Plan, inputs: Inputs, console: Console) -> Report:
    """`report` with checks of the code and what it takes in the emulator, where compiler and emulator are there."""
    with TemporaryDirectory() as work:
        folder = Path(work) / "project"
        artifacts.write(folder)
        report, painted = _counted(report, folder, plan, inputs, console)
        return with_checks(report, folder, plan, painted, console)


def _counted(
    report: Report, folder: Path, plan: Plan, inputs: Inputs, console: Console
) -> tuple[Report, tuple[CallStack, ...]]:
    """`report` with instructions, traced cycles and linked memory of what is in `folder`; and the painted stacks."""
    if plan.target.machine is None:
        return replace(report, notes=(*report.notes, f"{plan.target.name} has no emulator: no instructions")), ()
    try:
        with console.progress("counting instructions") as advance:
            memory = linked_memory(folder, plan)
            advance(1, 4)
            firmware = emulated(folder, plan, folder.with_name("firmware.elf"))
            counts = count_instructions(firmware, plan.graph, inputs.x[:COUNTED_INPUTS])
            advance(2, 4)
            timing = report.timing and replace(report.timing, traced=trace_pass(firmware, plan, inputs.x[:1]).exits)
            advance(3, 4)
            painted = painted_stacks(firmware, plan.graph, inputs.x[:1])
            advance(4, 4)
    except ToolMissingError as error:
        return replace(report, notes=(*report.notes, f"instructions were not counted: {error.args[0]}")), ()
    if plan.graph.skipped(plan.graph.point.thresholds):
        remark = "instructions are of a pass through every head; `run --on qemu` leaves out those that never fire"
        report = replace(report, notes=(*report.notes, remark))
    rows = tuple(replace(row, instructions=count) for row, count in zip(report.rows, counts, strict=True))
    counted = replace(
        report,
        rows=rows,
        mean_instructions=float(sum(row.share * count for row, count in zip(rows, counts, strict=True))),
        flash_bytes=memory.flash_bytes,
        ram_bytes=memory.ram_bytes,
        timing=timing,
    )
    return counted, painted
