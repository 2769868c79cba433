"""The training recipe recommended for each network that ships: values only, readable without torch."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from ptee_mcu.errors import ConfigError
from ptee_mcu.models import find
from ptee_mcu.train.recipe import BackboneRecipe, Optimizer, Schedule

_SMALL = BackboneRecipe()  # Adam: seconds to minutes on small sets, where nothing is left to tune

# SGD, rate, momentum, batch and weight decay of Zagoruyko and Komodakis 2016 (Wide Residual Networks), section 3. One
# cycle (Smith and Topin 2017, Super-Convergence) spares the warm-up that deep ResNets need at this rate (He et al.
# 2016, section 4.2) and half of their epochs.
_RESNET = BackboneRecipe(
    epochs=100,
    lr=0.1,
    batch=128,
    weight_decay=5e-4,
    optimizer=Optimizer.SGD,
    momentum=0.9,
    schedule=Schedule.ONE_CYCLE,
)
_VGG = replace(_RESNET, lr=0.05)  # no shortcuts; the rate of chengyangfu/pytorch-vgg-cifar10
_DENSENET = replace(_RESNET, epochs=150)

_KEYWORDS = BackboneRecipe(epochs=40, lr=1e-3, batch=128)
_PERSONS = BackboneRecipe(epochs=60, lr=1e-3, batch=64)

_RECIPES: Mapping[str, BackboneRecipe] = MappingProxyType(
    {
        "digits_cnn": _SMALL,
        "lenet5": _SMALL,
        "resnet8": _RESNET,
        **{f"resnet{depth}": _RESNET for depth in (14, 20, 32, 44, 56, 110)},
        **{f"vgg{depth}": _VGG for depth in (11, 16, 19)},
        **{f"densenet{depth}": _DENSENET for depth in (40, 121)},
        "ds_cnn": _KEYWORDS,
        "mobilenet_v1_025": _PERSONS,
    }
)


def backbone_recipe(name: str | None) -> BackboneRecipe:
    """The recommended recipe of the network called `name`, of any width; augmentation follows the images' shape.

    A network that is not ours, `name` None, gets the one for ResNets.

    Raises:
        ConfigError: where there is no such network, or it is not trained by labels.
    """
    if name is None:
        return _RESNET
    find(name)
    if name not in _RECIPES:
        raise ConfigError(
            f"{name} has no recipe: it answers with no classes, which is what is trained here",
            hint="train it where its data is and load the weights: model.weights",
        )
    return _RECIPES[name]
