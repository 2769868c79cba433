"""The float network: its backbone trained, exits attached, heads trained."""

from collections.abc import Callable
from dataclasses import fields, replace
from enum import Enum
from typing import Any, TypeVar, get_args, get_type_hints

from ptee_mcu.config import Config, ExitsSection, HeadTraining
from ptee_mcu.config_model import BackboneTraining
from ptee_mcu.data import Splits
from ptee_mcu.exits.heads import attach, find_head
from ptee_mcu.exits.placement import by_name, in_order, place
from ptee_mcu.graph import Graph, Tap
from ptee_mcu.report.console import Console
from ptee_mcu.stages.inputs import normalisation
from ptee_mcu.train.recipe import BackboneRecipe, HeadRecipe
from ptee_mcu.train.recipes import backbone_recipe
from ptee_mcu.train.workspace import Workspace

_COUNT = 3  # exits that a placement rule places where the config does not say


def backbone_settings(config: Config) -> BackboneRecipe:
    """The network's own recipe with what the config changes."""
    recipe = replace(backbone_recipe(config.model.name), seed=config.build.seed)
    return _changed(recipe, config.model.training)


def trained_backbone(config: Config, graph: Graph, splits: Splits, console: Console, work: Workspace) -> Graph:
    """`graph` trained on the training split, where the config brings no weights."""
    if config.model.trained:
        return graph
    from ptee_mcu.train.backbone import train_backbone

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
    from ptee_mcu.train.heads import train_heads

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
