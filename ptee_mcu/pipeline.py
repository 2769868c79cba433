"""The whole compiler on one screen: from a config to a project on disk."""

from pathlib import Path

from ptee_mcu.artifacts import require_replaceable
from ptee_mcu.boards import load as load_target
from ptee_mcu.config import Config
from ptee_mcu.data import divide, load, require_fits
from ptee_mcu.emit import emit
from ptee_mcu.passes.equalize import equalize
from ptee_mcu.passes.fold import fold
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.plan import verify_plan
from ptee_mcu.project import with_project
from ptee_mcu.quant_graph import verify_quant_graph
from ptee_mcu.report.console import Console
from ptee_mcu.report.summary import Report
from ptee_mcu.stages import (
    attached,
    calibrated_and_quantized,
    captured,
    float_accuracy,
    measured,
    reported,
    trained_backbone,
    trained_heads,
    with_thresholds,
)


def build_project(config: Config, *, beside: Path, data: Path | None, out: Path, console: Console) -> Report:
    """Builds what `config` describes and writes it to `out`, replacing an earlier build as a whole.

    Args:
        config: validated.
        beside: folder of the config file, where weights are looked for first.
        data: folder with data sets and weights.
        out: folder to write.
        console: shows progress.

    Raises:
        PteeError: for whatever a user can mend; `out` is then as it was before.
    """
    require_replaceable(out)
    target = load_target(config.target.board)
    dataset = load(config.data.source, data)
    splits = divide(dataset, pretrained=config.model.weights is not None, calibration=config.quantize.images)

    graph = captured(config, dataset, beside=beside, data=data)
    require_fits(dataset, graph.input_shape, len(dataset.classes))
    graph = trained_backbone(config, graph, splits, console)
    graph = attached(config, graph)
    graph = trained_heads(config, graph, splits, console)

    graph = fold(graph)
    graph = equalize(graph) if config.quantize.equalize else graph
    quant_graph = calibrated_and_quantized(config, graph, splits, console)
    quant_graph, outcomes = with_thresholds(config, quant_graph, splits, console)
    verify_quant_graph(quant_graph)

    plan = make_plan(quant_graph, target)
    verify_plan(plan)
    artifacts = emit(plan)

    ideal = float_accuracy(config, graph, splits, console)
    report, inputs = reported(config, plan, splits, outcomes, ideal, console)
    report = measured(report, artifacts, plan, inputs, console)
    with_project(artifacts, plan, inputs, report).write(out)
    return report
