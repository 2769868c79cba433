"""The networks that ship with the compiler: a table that imports no torch until one is built."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ptee_mcu.errors import ConfigError, ToolMissingError
from ptee_mcu.tensor import Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A network: what it reads and answers, where exits may attach, and the class that builds it.

    `input_shape` is (1, H, W, C) or (1, features); `blocks` are module paths in order of execution; `factory` is
    module:class, called with the input shape, the number of classes, `fixed` (what tells this network from others of
    its family) and `options` (what a user may set, with its usual value).
    """

    name: str
    title: str
    input_shape: Shape
    classes: int
    blocks: tuple[str, ...]
    factory: str
    fixed: Mapping[str, int | float | tuple[int, ...]] = field(default_factory=lambda: MappingProxyType({}))
    options: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({"width": 1.0}))


def torch_shape(shape: Shape) -> Shape:
    """The shape that PyTorch gives an input of graph shape (1, H, W, C) or (1, features)."""
    return (shape[0], shape[-1], *shape[1:-1])


def build(name: str, *, classes: int | None = None, input_shape: Shape | None = None, **options: float) -> "nn.Module":
    """The network called `name`, randomly initialised, for its usual input and classes or for those given.

    Of the `options` every network knows `width`: a multiplier of all channels between input and logits, each then
    rounded to a multiple of 4; 1, the default, is the published network.

    Raises:
        ConfigError: where there is no such network or option, or it cannot read such an input.
        ToolMissingError: where torch is not installed.
    """
    spec = find(name)
    shape = input_shape or spec.input_shape
    if len(shape) != len(spec.input_shape) or shape[0] != 1:
        raise ConfigError(f"{name} reads inputs of a shape like {spec.input_shape}, not {shape}")
    chosen = {**spec.options, **_checked(spec, options)}
    module, _, kind = spec.factory.partition(":")
    try:
        factory = getattr(import_module(module), kind)
    except ModuleNotFoundError as error:
        raise ToolMissingError(
            f"{name}: building a network needs torch", hint="pip install 'ptee-mcu[train]'"
        ) from error
    network: nn.Module = factory(shape, spec.classes if classes is None else classes, **spec.fixed, **chosen)
    return network


def _checked(spec: ModelSpec, options: Mapping[str, float]) -> Mapping[str, float]:
    for option, value in options.items():
        if option not in spec.options:
            raise ConfigError(f"{spec.name} has no option {option!r}", hint=f"known options: {', '.join(spec.options)}")
        if not 0 < value < inf:
            raise ConfigError(f"{spec.name}: {option} is {value}, it must be a number above 0")
    return options


def find(name: str) -> ModelSpec:
    """What is known about the network called `name`.

    Raises:
        ConfigError: where there is no such network, with the nearest name.
    """
    if name not in MODELS:
        near = get_close_matches(name, MODELS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known networks: {', '.join(MODELS)}"
        raise ConfigError(f"no network is called {name!r}", hint=hint)
    return MODELS[name]


def load_weights(network: "nn.Module", path: Path) -> None:
    """Fills `network` from a .pt, .pth, .th, .pkl or .safetensors file of tensors; other objects are never unpickled.

    Raises:
        ModelError: naming file, key and shapes, where the file cannot be read or does not fit the network.
    """
    from ptee_mcu.models.weights import load_into  # noqa: PLC0415 - torch is imported only where it is needed

    load_into(network, path)


def _cifar_resnet(depth: int) -> ModelSpec:
    per_stage = (depth - 2) // 6
    return ModelSpec(
        f"resnet{depth}",
        f"CIFAR ResNet-{depth}",
        (1, 32, 32, 3),
        10,
        tuple(f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(per_stage)),
        "ptee_mcu.models.cifar_resnet:CifarResNet",
        MappingProxyType({"depth": depth}),
    )


def _vgg(depth: int, convolutions: tuple[int, ...]) -> ModelSpec:
    return ModelSpec(
        f"vgg{depth}",
        f"CIFAR VGG-{depth} with BatchNorm",
        (1, 32, 32, 3),
        10,
        tuple(f"pool{i}" for i in range(len(convolutions))),
        "ptee_mcu.models.vgg:Vgg",
        MappingProxyType({"convolutions": convolutions}),
    )


def _densenet(depth: int, kind: str, layers: tuple[int, ...], stem: int, growth: int) -> ModelSpec:
    return ModelSpec(
        f"densenet{depth}",
        f"CIFAR DenseNet-{depth} (growth {growth})",
        (1, 32, 32, 3),
        10,
        tuple(f"block{i}.{layer}" for i, count in enumerate(layers, 1) for layer in range(count)),
        f"ptee_mcu.models.densenet:{kind}",
        MappingProxyType({"layers": layers, "stem": stem, "growth": growth}),
    )


_SPECS = (
    ModelSpec(
        "digits_cnn",
        "residual network for 8x8 digits",
        (1, 8, 8, 1),
        10,
        ("block1", "block2", "block3"),
        "ptee_mcu.models.digits_cnn:DigitsCnn",
    ),
    ModelSpec("lenet5", "LeNet-5", (1, 28, 28, 1), 10, ("block1", "block2"), "ptee_mcu.models.lenet5:LeNet5"),
    ModelSpec(
        "resnet8",
        "ResNet-8 (MLPerf Tiny image classification)",
        (1, 32, 32, 3),
        10,
        ("stack1", "stack2", "stack3"),
        "ptee_mcu.models.resnet8:ResNet8",
    ),
    *(_cifar_resnet(depth) for depth in (14, 20, 32, 44, 56, 110)),
    _vgg(11, (1, 1, 2, 2, 2)),
    _vgg(16, (2, 2, 3, 3, 3)),
    _vgg(19, (2, 2, 4, 4, 4)),
    _densenet(40, "PlainDenseNet", (12, 12, 12), 16, 12),
    _densenet(121, "BottleneckDenseNet", (6, 12, 24, 16), 64, 32),
    ModelSpec(
        "ds_cnn",
        "DS-CNN (MLPerf Tiny keyword spotting)",
        (1, 49, 10, 1),
        12,
        ("stem", "block1", "block2", "block3", "block4"),
        "ptee_mcu.models.ds_cnn:DsCnn",
    ),
    ModelSpec(
        "mobilenet_v1_025",
        "MobileNetV1 0.25 (MLPerf Tiny visual wake words)",
        (1, 96, 96, 3),
        2,
        tuple(f"block{i}" for i in range(1, 14)),
        "ptee_mcu.models.mobilenet_v1:MobileNetV1",
        MappingProxyType({"alpha": 0.25}),
    ),
    ModelSpec(
        "autoencoder",
        "fully connected autoencoder (MLPerf Tiny anomaly detection)",
        (1, 640),
        640,
        tuple(f"block{i}" for i in range(1, 10)),
        "ptee_mcu.models.autoencoder:Autoencoder",
    ),
)

MODELS: Mapping[str, ModelSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})
