"""The command `ptee-mcu train`: from a config to a weights file that configs may name in model.weights."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptee_mcu.errors import ConfigError

if TYPE_CHECKING:
    from ptee_mcu.config import Config
    from ptee_mcu.data import Splits
    from ptee_mcu.graph import Graph
    from ptee_mcu.report.console import Console
    from ptee_mcu.train.record import TrainingRecord


def train(
    config: Annotated[
        Path, typer.Argument(help="TOML file; [model], [data] and [build] count.", metavar="CONFIG.toml")
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with data sets; PTEE_DATA where left out.", metavar="DIR", envvar="PTEE_DATA"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; NAME.safetensors of the build where left out.", metavar="FILE.safetensors"),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything random; the config's where left out.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="The config's or the recipe's where left out.")] = None,
    device: Annotated[str, typer.Option(help="What trains: cpu, cuda, mps or auto.")] = "cpu",
    force: Annotated[bool, typer.Option("--force", help="Train again and replace the file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a line.")] = False,
) -> None:
    """Train a backbone and write its weights; killed and started again, it goes on where it was."""
    from ptee_mcu.config import load_config
    from ptee_mcu.report.console import Console

    console = Console(quiet=as_json)
    settings = _with(load_config(config), seed, epochs)
    path = out or Path(f"{settings.build.name}.safetensors")
    _require_trainable(settings, path, force=force)
    record = _trained(settings, path, data, device, console)
    if as_json:
        print(json.dumps({"weights": str(path), **asdict(record)}))
    else:
        print(f"{path}: {record.model} on {record.images:,} images of {record.dataset}, accuracy {record.accuracy:.2%}")
        console.say(f'next: weights = "{path.name}" under [model]')


def _with(config: "Config", seed: int | None, epochs: int | None) -> "Config":
    """`config` with what the command line changes."""
    build = config.build if seed is None else config.build.model_copy(update={"seed": seed})
    changes = {} if epochs is None else {"epochs": epochs}
    training = config.model.training.model_copy(update=changes)
    return config.model_copy(update={"build": build, "model": config.model.model_copy(update={"training": training})})


def _require_trainable(config: "Config", path: Path, *, force: bool) -> None:
    """Refuses what would end in an error, or in the loss of a file, after hours of training."""
    if config.model.name is None:
        raise ConfigError(
            f"{config.model.title} is none of the networks that ship, which alone are trained here",
            hint="a factory's network is trained in the build; a model file comes with its weights",
        )
    if config.model.weights is not None:
        raise ConfigError(
            f"model.weights names {config.model.weights}, but training starts from random weights",
            hint="take that line out of the config to train; put it back to build",
        )
    if path.suffix != ".safetensors":
        raise ConfigError(f"{path}: weights are written as .safetensors", hint=f"--out {path.stem}.safetensors")
    if path.is_dir() or (path.exists() and not force):
        raise ConfigError(f"{path} exists already", hint="choose another file with --out, or replace it with --force")
    place = next(parent for parent in path.resolve().parents if parent.exists())
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        raise ConfigError(f"{path}: {place} cannot be written", hint="choose another file with --out")


def _trained(config: "Config", path: Path, data: Path | None, device: str, console: "Console") -> "TrainingRecord":
    from ptee_mcu import __version__, models
    from ptee_mcu.data import divide, load, require_fits
    from ptee_mcu.stages.capturing import captured, network_options
    from ptee_mcu.stages.inputs import normalisation
    from ptee_mcu.stages.training import backbone_settings
    from ptee_mcu.train.record import TrainingRecord, images_digest, recipe_settings

    recipe = backbone_settings(config)
    dataset = load(config.images.source, data)
    splits = divide(dataset, pretrained=False)
    images, classes = splits.train, len(dataset.classes)
    graph, _ = captured(config, dataset, beside=Path(), data=data)
    require_fits(dataset, graph.input_shape, classes)

    from ptee_mcu.train.backbone import train_backbone
    from ptee_mcu.train.export import save_weights

    name, options = config.model.title, network_options(config)
    network = models.build(name, classes=classes, input_shape=graph.input_shape, **options)
    checkpoint = path.with_name(f"{path.name}.checkpoint")
    if checkpoint.exists():
        console.say(f"going on from {checkpoint}")
    with console.progress(f"training {name} on {len(images):,} images") as advance:
        graph = train_backbone(
            graph, images.x, images.y, recipe,
            normalisation=normalisation(config, images.x), progress=_by_epoch(recipe.epochs, advance, console),
            checkpoint=checkpoint, device=device,
        )  # fmt: skip
    record = TrainingRecord(
        model=name,
        options=options,
        dataset=dataset.name,
        images=len(images),
        images_sha256=images_digest(images),
        held_out=len(splits.threshold_a) + len(splits.threshold_b),
        recipe=recipe_settings(recipe, dataset.image_shape),
        seed=recipe.seed,
        accuracy=_accuracy(config, graph, splits, console),
        release=__version__,
    )
    save_weights(graph, network, path, record)
    checkpoint.unlink(missing_ok=True)
    return record


def _by_epoch(epochs: int, advance: Callable[[int, int], None], console: "Console") -> Callable[[int, int, str], None]:
    """Moves the bar with every batch, and says at the end of every epoch how far it is, loss included."""

    def progress(done: int, total: int, text: str) -> None:
        advance(done, total)
        if done % (total // epochs) == 0:
            console.say(text)

    return progress


def _accuracy(config: "Config", graph: "Graph", splits: "Splits", console: "Console") -> float:
    """Share of right answers on the report split, float32; warned of where it is that of guessing."""
    import numpy as np

    from ptee_mcu.data import chance_warning
    from ptee_mcu.stages.inputs import real_inputs
    from ptee_mcu.train.predict import predict

    x, y = splits.report.x, splits.report.y
    with console.progress(f"float32 accuracy on {len(x):,} images") as advance:
        labels = predict(graph, lambda start, stop: real_inputs(config, x[start:stop]), len(x), advance)
    accuracy, classes = float((labels == y).mean()), graph.shapes[graph.exits[-1].logits][-1]
    if warning := chance_warning(accuracy, classes, len(x), commonest=float(np.bincount(y).max() / len(y))):
        console.warn(warning)
    return accuracy
