"""The whole compiler on one screen: from a config to a project on disk."""

from math import prod
from pathlib import Path

from ptee_mcu.artifacts import require_replaceable
from ptee_mcu.boards import load as load_target
from ptee_mcu.config import Config
from ptee_mcu.data import load, require_fits
from ptee_mcu.project import Inputs, with_project
from ptee_mcu.quant_graph import verify_quant_graph
from ptee_mcu.report.console import Console
from ptee_mcu.report.summary import Report
from ptee_mcu.stages.capturing import captured, imported
from ptee_mcu.stages.choosing import calibrated_and_quantized, evaluated, folded, selected, with_points
from ptee_mcu.stages.importing import as_int8, calibration_inputs, reported_without_labels
from ptee_mcu.stages.inputs import divided, with_own_pixels
from ptee_mcu.stages.placing import (
    Built,
    Planned,
    emitted,
    fixed_bytes,
    pictures,
    planned,
    project_files,
    require_budget,
)
from ptee_mcu.stages.pruning import pruned
from ptee_mcu.stages.reporting import float_accuracy, measured, reported
from ptee_mcu.stages.training import attached, refitted, trained_backbone, trained_heads
from ptee_mcu.train.workspace import Workspace


def build_project(
    config: Config, *, beside: Path, data: Path | None, out: Path, work: Workspace, console: Console
) -> Built:
    """Builds what `config` describes and writes it to `out`, replacing an earlier build as a whole.

    Args:
        config: validated.
        beside: folder of the config file, where weights are looked for first.
        data: folder with data sets and weights.
        out: folder to write.
        work: what a killed build goes on from; discarded once `out` is written.
        console: shows progress.

    Raises:
        PteeError: for whatever a user can mend; `out` is then as it was before.
    """
    require_replaceable(out)
    target = load_target(config.target.board)
    dataset = load(config.images.source, data)
    splits = divided(config, dataset, beside=beside, data=data)

    backbone, remarks = captured(config, dataset, beside=beside, data=data)
    require_fits(dataset, backbone.input_shape, prod(backbone.shapes[backbone.exits[-1].logits]))
    config = with_own_pixels(config, backbone, dataset.train_x)
    backbone = trained_backbone(config, backbone, splits, console, work)
    graph = attached(config, backbone)
    graph = trained_heads(config, graph, splits, console, work)
    graph = selected(config, graph, splits, target, console)
    graph = refitted(config, backbone, graph, splits, console, work)

    graph = folded(config, graph)
    quant_graph = calibrated_and_quantized(config, graph, splits, console)
    said = evaluated(quant_graph, (splits.threshold_a, splits.threshold_b, splits.report), console)
    quant_graph = with_points(config, quant_graph, splits, said, target)
    quant_graph, said = pruned(config, quant_graph, said, console)
    verify_quant_graph(quant_graph)

    placing = planned(config, quant_graph, target, console)
    ideal = float_accuracy(config, graph, splits, console)
    report, inputs = reported(config, placing.plan, splits, said, ideal, remarks, console)
    built = _written(config, placing, report, inputs, out, console)
    work.discard()
    return built


def build_file(config: Config, *, beside: Path, data: Path | None, out: Path, console: Console) -> Built:
    """Compiles the model file that `config` names as it is and writes it to `out`: no exits, no data set.

    Raises:
        PteeError: for whatever a user can mend; `out` is then as it was before.
    """
    require_replaceable(out)
    target = load_target(config.target.board)
    network = imported(config, beside=beside, data=data)
    given = calibration_inputs(config, network, beside=beside)
    quant_graph = as_int8(config, network, given, console)
    verify_quant_graph(quant_graph)

    placing = planned(config, quant_graph, target, console)
    report, inputs = reported_without_labels(placing.plan, given, config.build.seed, network.notes)
    return _written(config, placing, report, inputs, out, console)


def _written(config: Config, placing: Planned, report: Report, inputs: Inputs, out: Path, console: Console) -> Built:
    """What is planned as C, measured, held against its budget and written."""
    plan = placing.plan
    artifacts = emitted(config, plan)
    report = measured(report, artifacts, plan, inputs, console)
    fixed = fixed_bytes(plan, report)
    require_budget(config, plan, fixed)
    artifacts = artifacts.with_files(pictures(plan, fixed))
    artifacts = with_project(artifacts, plan, inputs, report).with_files(project_files(config, plan, artifacts, inputs))
    artifacts.write(out)
    return Built(report, placing, fixed)
