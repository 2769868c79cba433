import numpy as np
import pytest
import torch
from exits.networks import two_blocks

from ptee_mcu.data import divide, load
from ptee_mcu.errors import DataError, ModelError
from ptee_mcu.exits.heads import HEADS, attach
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.graph import Graph, forward
from ptee_mcu.models import build, find
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.train.backbone import train_backbone
from ptee_mcu.train.recipe import BackboneRecipe

GREY = Normalisation((0.305,), (0.376,))


def digits_network() -> Graph:
    torch.manual_seed(0)
    return capture(build("digits_cnn"), torch.zeros(1, 1, 8, 8), name="digits", taps=find("digits_cnn").blocks)


def small() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 16, 20, 3)).astype(np.float32), rng.integers(0, 5, 40)


def test_the_digits_network_reaches_97_percent_on_held_out_digits() -> None:
    splits = divide(load("digits"), pretrained=False)
    graph = train_backbone(digits_network(), splits.train.x, splits.train.y, normalisation=GREY)
    logits = graph.exits[-1].logits
    held = [splits.threshold_a, splits.threshold_b, splits.report]
    right = [forward(graph, GREY.apply(s.x.view(np.uint8)), [logits])[logits].argmax(1) == s.y for s in held]
    assert np.concatenate(right).mean() > 0.97


def test_all_parameters_and_statistics_are_trained() -> None:
    x, y = small()
    before = two_blocks()
    after = train_backbone(before, x, y, BackboneRecipe(epochs=2, batch=20))
    for node in before.nodes:
        for role, array in node.params.items():
            assert not np.array_equal(array, after.node(node.name).params[role]), (node.name, role)


def test_the_same_seed_trains_the_same_backbone() -> None:
    x, y = small()
    one, same, other = (
        train_backbone(two_blocks(), x, y, BackboneRecipe(epochs=2, batch=10, seed=s)) for s in (1, 1, 2)
    )
    weights = [g.nodes[0].params["weight"] for g in (one, same, other)]
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_progress_is_told_of_every_batch() -> None:
    told: list[tuple[int, int, str]] = []
    x, y = small()
    train_backbone(two_blocks(), x, y, BackboneRecipe(epochs=3, batch=20), progress=lambda *seen: told.append(seen))
    assert [(done, total) for done, total, _ in told] == [(i, 6) for i in range(1, 7)]
    assert told[0][2].startswith("backbone, epoch 1 of 3, loss ")


def test_a_backbone_is_trained_ahead_of_its_exits() -> None:
    x, y = small()
    graph = two_blocks()
    with pytest.raises(ModelError, match="has early exits; a backbone is trained ahead of them"):
        train_backbone(attach(graph, graph.taps, HEADS["pool"]), x, y)


def test_labels_that_do_not_suit_the_network_are_refused() -> None:
    x, y = small()
    with pytest.raises(DataError, match="39 labels from 0 to 4 for 40 images and 5 classes"):
        train_backbone(two_blocks(), x, y[:-1])
    with pytest.raises(DataError, match="40 labels from 1 to 5 for 40 images and 5 classes"):
        train_backbone(two_blocks(), x, y + 1)


def test_divergence_is_told_with_the_epoch() -> None:
    x, y = small()
    with pytest.raises(ModelError, match=r"training diverged in epoch \d of 9\n  hint: lower the learning rate"):
        train_backbone(two_blocks(), x, y, BackboneRecipe(epochs=9, lr=1e30, batch=20))
