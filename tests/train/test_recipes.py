import subprocess
import sys

import numpy as np
import pytest
import torch

from ptee_mcu.errors import ConfigError
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.models import MODELS, build
from ptee_mcu.train.backbone import train_backbone
from ptee_mcu.train.module import GraphModule
from ptee_mcu.train.recipe import BackboneRecipe, Optimizer, Precision, Schedule
from ptee_mcu.train.recipes import backbone_recipe

CIFAR = [name for name in MODELS if name.startswith(("resnet", "vgg", "densenet"))]


@pytest.mark.parametrize("name", [name for name in MODELS if name != "autoencoder"])
def test_every_network_that_answers_with_classes_has_a_recipe(name: str) -> None:
    recipe = backbone_recipe(name)
    assert recipe.augment is None  # left to the images: no network says whether they may be mirrored


@pytest.mark.parametrize("name", ["digits_cnn", "lenet5"])
def test_small_networks_are_trained_by_adam_as_the_digits_example_is(name: str) -> None:
    assert backbone_recipe(name) == BackboneRecipe(
        epochs=30,
        lr=3e-3,
        batch=64,
        weight_decay=1e-4,
        seed=0,
        augment=None,
        optimizer=Optimizer.ADAM,
        momentum=0.9,
        schedule=Schedule.COSINE,
        label_smoothing=0.0,
        precision=Precision.FLOAT32,
    )


@pytest.mark.parametrize("name", CIFAR)
def test_cifar_networks_are_trained_by_sgd_with_momentum(name: str) -> None:
    recipe = backbone_recipe(name)
    assert (recipe.optimizer, recipe.momentum, recipe.batch) == (Optimizer.SGD, 0.9, 128)
    assert recipe.lr == (0.05 if name.startswith("vgg") else 0.1)
    assert 30 <= recipe.epochs <= 200


def test_a_network_without_classes_has_no_recipe() -> None:
    with pytest.raises(
        ConfigError, match=r"autoencoder has no recipe: it answers with no classes(.|\n)*model\.weights"
    ):
        backbone_recipe("autoencoder")


def test_an_unknown_network_has_no_recipe() -> None:
    with pytest.raises(ConfigError, match="no network is called 'vgg12'"):
        backbone_recipe("vgg12")


def test_recipes_are_read_without_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; from ptee_mcu.train.recipes import *; backbone_recipe('vgg11')"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("name", "size"), [("resnet14", 16), ("vgg11", 32), ("densenet40", 8)])
def test_a_narrow_network_learns_colours_by_its_recipe(name: str, size: int) -> None:
    """Four epochs of the real recipe's optimizer, rate and schedule, on red, green and blue noise."""
    torch.manual_seed(0)
    network = build(name, classes=3, input_shape=(1, size, size, 3), width=0.1)
    graph = capture(network, torch.zeros(1, 3, size, size), name=name)
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 768)
    x = random.normal(size=(768, size, size, 3)).astype(np.float32) + np.eye(3, dtype=np.float32)[y][:, None, None]
    recipe = backbone_recipe(name)
    short = BackboneRecipe(4, recipe.lr, 64, recipe.weight_decay, optimizer=recipe.optimizer, schedule=recipe.schedule)
    trained = train_backbone(graph, x, y, short)
    with torch.inference_mode():
        logits = GraphModule(trained).eval()(torch.from_numpy(x))[trained.exits[-1].logits]
    assert float((logits.argmax(1).numpy() == y).mean()) > 0.9
