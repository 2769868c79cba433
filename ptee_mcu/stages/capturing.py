"""The backbone that a config names: a network that ships, a model file, or what a function of the user's makes."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ptee_mcu.config import Config
from ptee_mcu.data import Dataset
from ptee_mcu.errors import ConfigError, ToolMissingError
from ptee_mcu.exits.cuts import taps_of
from ptee_mcu.frontends.imported import Imported
from ptee_mcu.frontends.load import load_model
from ptee_mcu.graph import Graph
from ptee_mcu.integer_graph import integer_graph
from ptee_mcu.stages.inputs import found_file
from ptee_mcu.tensor import Shape

TORCH_INSTALL = "pip install torch --index-url https://download.pytorch.org/whl/cpu"


def captured(config: Config, dataset: Dataset, *, beside: Path, data: Path | None) -> tuple[Graph, tuple[str, ...]]:
    """The backbone as a graph, with its weights where the config names a file; exits may attach at its taps.

    And what is to be said of it: what of its file is not in the graph.

    Raises:
        ConfigError, ModelError, UnsupportedOpError, ToolMissingError: where there is no such network, file or package.
    """
    if config.model.file is not None:
        network = imported(config, beside=beside, data=data)
        _require_known_pixels(config, network)
        return of_file(network, config.build.name), network.notes
    return _of_torch(config, (1, *dataset.image_shape), len(dataset.classes), beside, data)


def imported(config: Config, *, beside: Path, data: Path | None) -> Imported:
    """What the model file of the config holds.

    Raises:
        ConfigError, ModelError, UnsupportedOpError, ToolMissingError: where there is none, or it cannot be read.
    """
    assert config.model.file is not None
    return load_model(found_file("model.file", config.model.file, beside, data))


def of_file(network: Imported, name: str) -> Graph:
    """A file's network called `name`, an int8 one as a graph of its integers, with every place for an exit as tap."""
    if network.quantized is not None:
        integers = network.quantized
        return replace(integer_graph(integers, taps_of(integers)), name=name)
    assert network.graph is not None
    return replace(network.graph, name=name, taps=taps_of(network.graph))


def _require_known_pixels(config: Config, network: Imported) -> None:
    """Refuses a file whose own table makes other codes of pixels than what stands for it: pixel p is code p - 128."""
    table = None if network.quantized is None else network.quantized.preprocess
    if table is None or config.images.mean is not None or config.images.std is not None:
        return
    if (table != np.arange(-128, 128)[:, None]).any():
        raise ConfigError(
            f"{config.model.title}: rescales its uint8 inputs before its first layer",
            hint="give data.mean and data.std, so that (p / 255 - mean) / std is the real input of pixel p",
        )


def _of_torch(
    config: Config, shape: Shape, classes: int, beside: Path, data: Path | None
) -> tuple[Graph, tuple[str, ...]]:
    """What a network that ships, or one of the user's, computes; where no blocks are known, every cut is a tap."""
    wanted = config.model
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ToolMissingError(f"{wanted.title}: building a network needs torch", hint=TORCH_INSTALL) from error
    from ptee_mcu import models
    from ptee_mcu.frontends.pytorch import capture
    from ptee_mcu.frontends.pytorch_user import make_module, remarks

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.build.seed)  # of the initial weights
        if wanted.factory is not None:
            module, blocks = make_module(wanted.factory, wanted.arguments, beside), wanted.blocks
        else:
            assert wanted.name is not None
            blocks = models.find(wanted.name).blocks
            module = models.build(wanted.name, classes=classes, input_shape=shape, **network_options(config))
    if wanted.weights is not None:
        models.load_weights(module, found_file("model.weights", wanted.weights, beside, data))
    graph = capture(module, torch.zeros(models.torch_shape(shape)), name=config.build.name, taps=blocks)
    return (graph if blocks else replace(graph, taps=taps_of(graph))), remarks(graph)


def network_options(config: Config) -> dict[str, float]:
    """What the config changes of a network that ships."""
    return {} if config.model.width is None else {"width": config.model.width}
