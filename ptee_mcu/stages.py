"""The stages of a build, each from a config and a value to the next value; `pipeline.py` puts them in order."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np

from ptee_mcu.artifacts import Artifacts
from ptee_mcu.calibrate import calibrate
from ptee_mcu.config import Config
from ptee_mcu.data import Dataset, Images, Split, Splits, data_folder, require_reportable
from ptee_mcu.errors import ConfigError, ToolMissingError
from ptee_mcu.execute import count_instructions, linked_memory
from ptee_mcu.exits.heads import attach, find_head
from ptee_mcu.exits.outcomes import Outcomes, exit_taken, make_outcomes
from ptee_mcu.exits.placement import by_name, fine
from ptee_mcu.exits.thresholds import choose, note
from ptee_mcu.graph import Graph
from ptee_mcu.plan.plan import Plan
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.project import Inputs
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.quantize import quantize
from ptee_mcu.report.console import Console
from ptee_mcu.report.summary import Answers, Baseline, Report, summarise
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import Float, Int8, UInt8
from ptee_mcu.train.recipe import BackboneRecipe, HeadRecipe

_COUNTED_INPUTS = 2  # instruction counts vary with data by about 6e-6 (M4)
_LOSS_WARNING = 0.01
TORCH_INSTALL = "pip install torch --index-url https://download.pytorch.org/whl/cpu"

Evaluated = dict[str, Outcomes]  # by name of the split


def captured(config: Config, dataset: Dataset, *, beside: Path, data: Path | None) -> Graph:
    """The backbone as a graph, with its weights where the config names a file.

    Raises:
        ConfigError, ModelError, ToolMissingError: where there is no such network, file or package.
    """
    from ptee_mcu import models  # noqa: PLC0415 - torch lives in this stage and in training only

    spec = models.find(config.model.name)
    shape = (1, *dataset.image_shape)
    try:
        import torch  # noqa: PLC0415

        from ptee_mcu.frontends.pytorch import capture  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ToolMissingError(f"{spec.name}: building a network needs torch", hint=TORCH_INSTALL) from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.build.seed)  # of the initial weights
        module = models.build(spec.name, classes=len(dataset.classes), input_shape=shape)
    if config.model.weights is not None:
        models.load_weights(module, found_weights(config.model.weights, beside, data))
    example = torch.zeros(models.torch_shape(shape))
    return capture(module, example, name=config.build.name, taps=spec.blocks)


def found_weights(path: Path, beside: Path, data: Path | None) -> Path:
    """The weights file: absolute, beside the config, or in the data folder.

    Raises:
        ConfigError: saying where it was looked for.
    """
    folder = data_folder(data)
    places = [path] if path.is_absolute() else [beside / path, *([folder / path] if folder else [])]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place) for place in places)
    raise ConfigError(f"model.weights: no such file: {looked}", hint="put it there, or name its folder with --data DIR")


def normalisation(config: Config, x: Images) -> Normalisation | None:
    """How the data set's pixels become inputs; None where it holds inputs already.

    Raises:
        ConfigError: where mean and std do not fit the images.
    """
    mean, std = config.data.mean, config.data.std
    if x.dtype != np.uint8:
        if mean or std:
            raise ConfigError("data.mean and data.std are for uint8 pixels; these images are float inputs already")
        return None
    channels = x.shape[-1]
    norm = Normalisation(mean or (0.0,) * channels, std or (1.0,) * channels)
    if len(norm.mean) != channels:
        raise ConfigError(f"data.mean has {len(norm.mean)} values for images of {channels} channels")
    return norm


def real_inputs(config: Config, x: Images) -> Float:
    """Network inputs, float32, of images."""
    norm = normalisation(config, x)
    return x.astype(np.float32) if norm is None else norm.apply(x.view(np.uint8))


def codes_of(graph: QuantGraph, x: Images) -> Int8:
    """Input codes of images."""
    if graph.preprocess is None:
        return graph.input_tensor.quant.codes(x.astype(np.float32))
    return graph.input_codes(x.view(np.uint8))


def trained_backbone(config: Config, graph: Graph, splits: Splits, console: Console) -> Graph:
    """`graph` trained on the training split, where the config brings no weights."""
    if config.model.weights is not None:
        return graph
    from ptee_mcu.train.backbone import train_backbone  # noqa: PLC0415

    split = splits.train
    recipe = _given(BackboneRecipe(seed=config.build.seed), epochs=config.model.epochs, lr=config.model.lr)
    norm = normalisation(config, split.x)
    with console.progress("training the backbone") as advance:
        return train_backbone(graph, split.x, split.y, recipe, normalisation=norm, progress=_untold(advance))


def attached(config: Config, graph: Graph) -> Graph:
    """`graph` with untrained heads where the config wants exits."""
    if config.exits is None:
        return graph
    taps = by_name(graph, config.exits.at) if config.exits.placement == "names" else fine(graph, config.exits.count)
    return attach(graph, taps, find_head(config.exits.head), seed=config.build.seed)


def trained_heads(config: Config, graph: Graph, splits: Splits, console: Console) -> Graph:
    """`graph` with trained heads; the backbone stays bit-identical."""
    if config.exits is None:
        return graph
    from ptee_mcu.train.heads import train_heads  # noqa: PLC0415

    asked, split = config.exits, splits.train
    recipe = _given(
        HeadRecipe(seed=config.build.seed),
        epochs=asked.epochs,
        lr=asked.lr,
        cost_weight=asked.cost_weight,
        auxiliary=asked.auxiliary,
    )
    norm = normalisation(config, split.x)
    with console.progress("training the exit heads") as advance:
        return train_heads(graph, split.x, recipe, normalisation=norm, progress=_untold(advance))


def calibrated_and_quantized(config: Config, graph: Graph, splits: Splits, console: Console) -> QuantGraph:
    """The int8 network; `graph` is folded."""
    settings, split = config.quantize, splits.calibration
    with console.progress(f"calibrating on {len(split)} images") as advance:
        ranges = calibrate(graph, real_inputs(config, split.x), observer=settings.observer, progress=advance)
    norm = normalisation(config, split.x)
    return quantize(graph, ranges, preprocess=norm, bias_correction=settings.bias_correction)


def with_thresholds(
    config: Config, graph: QuantGraph, splits: Splits, console: Console
) -> tuple[QuantGraph, Evaluated]:
    """`graph` with thresholds for the requested disagreement, and what every exit says on the test images."""
    outcomes: Evaluated = {}
    parts = (splits.threshold_a, splits.threshold_b, splits.report)
    total = sum(map(len, parts))
    with console.progress(f"simulating {total:,} images") as advance:
        before = 0
        for split in parts:
            outcomes[split.name] = _outcomes(graph, split, _shifted(advance, before, total))
            before += len(split)
    if config.exits is None:
        return graph, outcomes
    a, b = outcomes[splits.threshold_a.name], outcomes[splits.threshold_b.name]
    point = choose(a, b, graph.exit_costs(), max_disagreement=config.exits.max_disagreement)
    return replace(graph, points=(point,), default=0), outcomes


def _outcomes(graph: QuantGraph, split: Split, progress: Callable[[int], None]) -> Outcomes:
    run = evaluate(graph, codes_of(graph, split.x), full=True, progress=progress)
    assert run.labels is not None
    assert run.confidences is not None
    return make_outcomes(split, run.labels, run.confidences)


def float_accuracy(config: Config, graph: Graph, splits: Splits, console: Console) -> float:
    """Accuracy of the float backbone on all test images."""
    from ptee_mcu.train.predict import predict  # noqa: PLC0415

    parts = (splits.threshold_a, splits.threshold_b, splits.report)
    x = np.concatenate([split.x for split in parts])
    truth = np.concatenate([split.y for split in parts])
    with console.progress(f"float32 accuracy on {len(x):,} images") as advance:
        labels = predict(graph, lambda start, stop: real_inputs(config, x[start:stop]), len(x), advance)
    return float((labels == truth).mean())


def reported(
    config: Config, plan: Plan, splits: Splits, outcomes: Evaluated, float_share: float, console: Console
) -> tuple[Report, Inputs]:
    """The report on the report split, and that split as the project's inputs."""
    split = splits.report
    require_reportable(split)
    result = outcomes[split.name]
    thresholds = plan.graph.point.thresholds
    answers = answers_of(result, thresholds)
    right = np.concatenate([o.labels[-1] == o.split.y for o in outcomes.values()])
    baseline = Baseline(len(right), float(right.mean()), float_share)
    if float_share - baseline.int8_accuracy > _LOSS_WARNING:
        console.warn(
            f"int8 loses {100 * (float_share - baseline.int8_accuracy):.2f} points of accuracy against float32; "
            "try quantize.equalize, quantize.bias_correction, another observer or more images"
        )
    notes = [splits.describe()]
    if config.exits is not None and (remark := note(plan.graph.point)):
        notes.append(remark)
    of = f"report split of {splits.dataset}"
    report = summarise(plan, answers, of=of, baseline=baseline, notes=notes)
    x = split.x.view(np.uint8) if plan.graph.preprocess is not None else codes_of(plan.graph, split.x)
    return report, Inputs(x, split.y, of)


def answers_of(outcomes: Outcomes, thresholds: tuple[int, ...]) -> Answers:
    """Who answers with what under `thresholds`."""
    taken = exit_taken(outcomes.confidences, thresholds)
    labels = outcomes.labels[taken, np.arange(outcomes.count)]
    return Answers(taken, labels, outcomes.labels[-1], outcomes.split.y)


def measured(report: Report, artifacts: Artifacts, plan: Plan, inputs: Inputs, console: Console) -> Report:
    """`report` with instructions and linked memory, where the board's compiler and emulator are there."""
    if plan.target.machine is None:
        return replace(report, notes=(*report.notes, f"{plan.target.name} has no emulator: no instructions"))
    x: UInt8 | Int8 = inputs.x[:_COUNTED_INPUTS]
    try:
        with console.progress("counting instructions") as advance, TemporaryDirectory() as work:
            folder = Path(work) / "project"
            artifacts.write(folder)
            memory = linked_memory(folder, plan)
            advance(1, 2)
            counts = count_instructions(folder, plan, x)
            advance(2, 2)
    except ToolMissingError as error:
        return replace(report, notes=(*report.notes, f"instructions were not counted: {error.args[0]}"))
    rows = tuple(replace(row, instructions=count) for row, count in zip(report.rows, counts, strict=True))
    return replace(
        report,
        rows=rows,
        mean_instructions=float(sum(row.share * count for row, count in zip(rows, counts, strict=True))),
        flash_bytes=memory.flash_bytes,
        ram_bytes=memory.ram_bytes,
    )


R = TypeVar("R", BackboneRecipe, HeadRecipe)


def _given(recipe: R, **options: Any) -> R:
    """`recipe` with the options that the config gives; the others keep their defaults."""
    return replace(recipe, **{name: value for name, value in options.items() if value is not None})


def _untold(advance: Callable[[int, int], None]) -> Callable[[int, int, str], None]:
    return lambda done, total, _: advance(done, total)


def _shifted(advance: Callable[[int, int], None], before: int, total: int) -> Callable[[int], None]:
    return lambda done: advance(before + done, total)
