"""The float network: captured or trained, exits attached, heads trained."""

from collections.abc import Callable
from dataclasses import fields, replace
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from ptee_mcu.config import BackboneTraining, Config, ExitsSection, HeadTraining
from ptee_mcu.data import Dataset, Splits
from ptee_mcu.errors import ToolMissingError
from ptee_mcu.exits.heads import attach, find_head
from ptee_mcu.exits.placement import by_name, in_order, place
from ptee_mcu.graph import Graph, Tap
from ptee_mcu.report.console import Console
from ptee_mcu.stages.inputs import found_weights, normalisation
from ptee_mcu.train.recipe import BackboneRecipe, HeadRecipe
from ptee_mcu.train.recipes import backbone_recipe
from ptee_mcu.train.workspace import Workspace

TORCH_INSTALL = "pip install torch --index-url https://download.pytorch.org/whl/cpu"
_COUNT = 3  # exits that a placement rule places where the config does not say


def captured(config: Config, dataset: Dataset, *, beside: Path, data: Path | None) -> Graph:
    """The backbone as a graph, with its weights where the config names a file.

    Raises:
        ConfigError, ModelError, ToolMissingError: where there is no such network, file or package.
    """
    from ptee_mcu import models  # noqa: PLC0415 - torch lives in these stages only

    spec = models.find(config.model.name)
    shape = (1, *dataset.image_shape)
    try:
        import torch  # noqa: PLC0415

        from ptee_mcu.frontends.pytorch import capture  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ToolMissingError(f"{spec.name}: building a network needs torch", hint=TORCH_INSTALL) from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.build.seed)  # of the initial weights
        module = models.build(spec.name, classes=len(dataset.classes), input_shape=shape, **network_options(config))
    if config.model.weights is not None:
        models.load_weights(module, found_weights(config.model.weights, beside, data))
    example = torch.zeros(models.torch_shape(shape))
    return capture(module, example, name=config.build.name, taps=spec.blocks)


def network_options(config: Config) -> dict[str, float]:
    """What the config changes of the network itself."""
    return {} if config.model.width is None else {"width": config.model.width}


def backbone_settings(config: Config) -> BackboneRecipe:
    """The network's own recipe with what the config changes."""
    recipe = replace(backbone_recipe(config.model.name), seed=config.build.seed)
    return _changed(recipe, config.model.training)


def trained_backbone(config: Config, graph: Graph, splits: Splits, console: Console, work: Workspace) -> Graph:
    """`graph` trained on the training split, where the config brings no weights."""
    if config.model.weights is not None:
        return graph
    from ptee_mcu.train.backbone import train_backbone  # noqa: PLC0415

    work.folder.mkdir(parents=True, exist_ok=True)
    split = splits.train
    norm = normalisation(config, split.x)
    with console.progress("training the backbone") as advance:
        return train_backbone(
            graph, split.x, split.y, backbone_settings(config),
            normalisation=norm, progress=_untold(advance), checkpoint=work.folder, device=work.device,
        )  # fmt: skip


def attached(config: Config, graph: Graph) -> Graph:
    """`graph` with untrained heads where the config wants exits, or at every candidate for them."""
    if config.exits is None:
        return graph
    cascade = config.exits.cascade and config.exits.placement != "search"
    return attach(
        graph, _taps(config.exits, graph), find_head(config.exits.head), seed=config.build.seed, cascade=cascade
    )


def trained_heads(config: Config, graph: Graph, splits: Splits, console: Console, work: Workspace) -> Graph:
    """`graph` with trained heads; the backbone stays bit-identical."""
    if len(graph.exits) == 1 or config.exits is None:
        return graph
    from ptee_mcu.train.heads import train_heads  # noqa: PLC0415

    split, asked = splits.train, config.exits.training
    recipe = _changed(HeadRecipe(seed=config.build.seed), asked)
    norm = normalisation(config, split.x)
    with console.progress("training the exit heads") as advance:
        return train_heads(
            graph, split.x, recipe,
            labels=split.y if asked.labels == "true" else None,
            normalisation=norm, progress=_untold(advance), workspace=work,
        )  # fmt: skip


def refitted(config: Config, backbone: Graph, graph: Graph, splits: Splits, console: Console, work: Workspace) -> Graph:
    """`graph`, or where the config wants it `backbone` with new heads at the same places, trained together."""
    if config.exits is None or not config.exits.refit or len(graph.exits) == 1:
        return graph
    taps = by_name(backbone, [e.tap for e in graph.exits[:-1] if e.tap is not None])
    head, seed = find_head(config.exits.head), config.build.seed
    return trained_heads(
        config, attach(backbone, taps, head, seed=seed, cascade=config.exits.cascade), splits, console, work
    )


def _taps(asked: ExitsSection, graph: Graph) -> tuple[Tap, ...]:
    if asked.at:
        return by_name(graph, asked.at)
    if asked.placement == "search":
        return in_order(graph, [tap for tap in graph.taps if len(graph.shapes[tap.tensor]) == 4])  # heads read maps
    return place(graph, asked.placement, asked.count or _COUNT)


R = TypeVar("R", BackboneRecipe, HeadRecipe)


def _changed(recipe: R, section: BackboneTraining | HeadTraining) -> R:
    """`recipe` with the fields that the section of the config gives."""
    hints = get_type_hints(type(recipe))
    changes: dict[str, Any] = {}
    for field in fields(recipe):
        value = getattr(section, field.name, None)
        if value is not None:
            changes[field.name] = _typed(value, hints[field.name])
    return replace(recipe, **changes)


def _typed(value: object, hint: object) -> object:
    """`value` as the enum that `hint` names, where it names one."""
    for kind in (hint, *get_args(hint)):
        if isinstance(kind, type) and issubclass(kind, Enum):
            return kind(value)
    return value


def _untold(advance: Callable[[int, int], None]) -> Callable[[int, int, str], None]:
    return lambda done, total, _: advance(done, total)
