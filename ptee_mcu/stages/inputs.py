"""From a config's data section to what networks read."""

from pathlib import Path

import numpy as np

from ptee_mcu.config import Config
from ptee_mcu.data import Dataset, Images, Splits, data_folder, divide
from ptee_mcu.errors import ConfigError
from ptee_mcu.graph import Graph
from ptee_mcu.integer_graph import integer_part
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import Float, Int8, UInt8
from ptee_mcu.train.record import trained_here, training_record


def found_file(key: str, path: Path, beside: Path, data: Path | None) -> Path:
    """The file (or folder) that the config's `key` names: absolute, beside the config, or in the data folder.

    Raises:
        ConfigError: saying where it was looked for.
    """
    folder = data_folder(data)
    places = [path] if path.is_absolute() else [beside / path, *([folder / path] if folder else [])]
    for place in places:
        if place.exists():
            return place
    looked = ", ".join(str(place) for place in places)
    hint = "check the path" if path.is_absolute() else "put it there, or name its folder with --data DIR"
    raise ConfigError(f"{key}: no such file: {looked}", hint=hint)


def divided(config: Config, dataset: Dataset, *, beside: Path, data: Path | None) -> Splits:
    """The splits of `dataset`: by what the backbone has seen of it, as far as its weights say."""
    weights = config.model.weights
    record = None if weights is None else training_record(found_file("model.weights", weights, beside, data))
    ours = not config.model.trained or (record is not None and trained_here(record, dataset))
    return divide(dataset, pretrained=not ours, calibration=config.quantize.images)


def normalisation(config: Config, x: Images) -> Normalisation | None:
    """How the data set's pixels become inputs; None where it holds inputs already.

    Raises:
        ConfigError: where mean and std do not fit the images.
    """
    mean, std = config.images.mean, config.images.std
    if x.dtype != np.uint8:
        if mean or std:
            raise ConfigError("data.mean and data.std are for uint8 pixels; these images are float inputs already")
        return None
    channels = x.shape[-1]
    norm = Normalisation(mean or (0.0,) * channels, std or (1.0,) * channels)
    if len(norm.mean) != channels:
        raise ConfigError(f"data.mean has {len(norm.mean)} values for images of {channels} channels")
    return norm


def with_own_pixels(config: Config, backbone: Graph, x: Images) -> Config:
    """`config`; for an int8 backbone and where it gives neither mean nor std, with those that make a pixel its code.

    So int8 files mean their inputs: pixel p, 0 to 255, is code p - 128. Images `x` of floats are inputs already.

    Raises:
        ConfigError: where mean and std do not fit the images.
    """
    normalisation(config, x)
    integers = integer_part(backbone)
    if integers is None or x.dtype != np.uint8 or config.images.mean is not None or config.images.std is not None:
        return config
    quant, channels = integers.input_tensor.quant, backbone.input_shape[-1]
    mean, std = (quant.zero_point + 128) / 255, 1 / (255 * quant.scale)
    data = config.images.model_copy(update={"mean": (mean,) * channels, "std": (std,) * channels})
    return config.model_copy(update={"data": data})


def real_inputs(config: Config, x: Images) -> Float:
    """Network inputs, float32, of images."""
    norm = normalisation(config, x)
    return x.astype(np.float32) if norm is None else norm.apply(x.view(np.uint8))


def stored(graph: QuantGraph, x: Images) -> UInt8 | Int8:
    """Images as a project keeps them: pixels where the network has a pixel table, else input codes."""
    return codes_of(graph, x) if graph.preprocess is None else x.view(np.uint8)


def codes_of(graph: QuantGraph, x: Images) -> Int8:
    """Input codes of images."""
    if graph.preprocess is None:
        return graph.input_tensor.quant.codes(x.astype(np.float32))
    return graph.input_codes(x.view(np.uint8))
