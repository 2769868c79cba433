"""What a config makes of heads and points, stage by stage."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptee_mcu.config import Config
from ptee_mcu.data import Splits, divide, load
from ptee_mcu.graph import Graph
from ptee_mcu.report.console import Console
from ptee_mcu.stages.capturing import captured
from ptee_mcu.stages.training import attached, backbone_settings, trained_heads
from ptee_mcu.train.recipe import Optimizer, Precision, Schedule
from ptee_mcu.train.workspace import Workspace

QUIET = Console(quiet=True)


def config(**training: object) -> Config:
    exits = {"placement": "names", "at": ["block2"], "head": "pool", "training": {"epochs": 2, **training}}
    data = {"source": "digits", "mean": [0.305], "std": [0.376]}
    return Config.model_validate(
        {"model": {"name": "digits_cnn"}, "data": data, "exits": exits, "build": {"name": "a"}}
    )


def heads(config: Config, splits: Splits, folder: Path) -> Graph:
    graph = attached(config, captured(config, load("digits"), beside=folder, data=None)[0])
    return trained_heads(config, graph, splits, QUIET, Workspace(folder))


def same(a: Graph, b: Graph) -> bool:
    return all(
        np.array_equal(array, b.node(node.name).params[role]) for node in a.nodes for role, array in node.params.items()
    )


def test_heads_never_see_a_label_unless_they_are_asked_to(tmp_path: Path) -> None:
    splits = divide(load("digits"), pretrained=False)
    mixed = replace(splits, train=replace(splits.train, y=splits.train.y[::-1]))
    unlabelled = [heads(config(), s, tmp_path / str(i)) for i, s in enumerate((splits, mixed))]
    assert same(*unlabelled)
    labelled = [heads(config(labels="true"), s, tmp_path / f"true{i}") for i, s in enumerate((splits, mixed))]
    assert not same(*labelled)


def test_a_config_changes_the_recipe_of_the_network_and_nothing_else_of_it() -> None:
    asked = {"optimizer": "sgd", "schedule": "one cycle", "precision": "bfloat16", "lr": 0.2}
    given = config().model_dump(exclude_unset=True)
    given["model"]["training"] = asked
    usual, changed = backbone_settings(config()), backbone_settings(Config.model_validate(given))
    assert changed == replace(
        usual, optimizer=Optimizer.SGD, schedule=Schedule.ONE_CYCLE, precision=Precision.BFLOAT16, lr=0.2
    )
    assert usual.seed == 0


def test_a_first_stage_by_v0_makes_other_heads_than_the_loss_alone(tmp_path: Path) -> None:
    splits = divide(load("digits"), pretrained=False)
    asked = {"loss": "suffix", "cost_weight": 2.0, "auxiliary": 0.0}
    one, two, v0 = (
        heads(config(**given), splits, tmp_path / str(i))
        for i, given in enumerate((asked, {**asked, "warmup": 1}, {"loss": "v0", "warmup": 1}))
    )
    assert not same(one, two)
    assert same(v0, heads(config(loss="v0"), splits, tmp_path / "plain"))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_heads_train_in_either_precision(tmp_path: Path, precision: str) -> None:
    splits = divide(load("digits"), pretrained=False)
    trained = heads(config(precision=precision), splits, tmp_path)
    assert all(array.dtype == np.float32 for node in trained.nodes for array in node.params.values())
