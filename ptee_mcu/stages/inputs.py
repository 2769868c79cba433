"""From a config's data section to what networks read."""

from pathlib import Path

import numpy as np

from ptee_mcu.config import Config
from ptee_mcu.data import Dataset, Images, Splits, data_folder, divide
from ptee_mcu.errors import ConfigError
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import Float, Int8, UInt8
from ptee_mcu.train.record import trained_here, training_record


def found_weights(path: Path, beside: Path, data: Path | None) -> Path:
    """The weights file: absolute, beside the config, or in the data folder.

    Raises:
        ConfigError: saying where it was looked for.
    """
    folder = data_folder(data)
    places = [path] if path.is_absolute() else [beside / path, *([folder / path] if folder else [])]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place) for place in places)
    raise ConfigError(f"model.weights: no such file: {looked}", hint="put it there, or name its folder with --data DIR")


def divided(config: Config, dataset: Dataset, *, beside: Path, data: Path | None) -> Splits:
    """The splits of `dataset`: by what the backbone has seen of it, as far as its weights say."""
    weights = config.model.weights
    record = None if weights is None else training_record(found_weights(weights, beside, data))
    ours = weights is None or (record is not None and trained_here(record, dataset))
    return divide(dataset, pretrained=not ours, calibration=config.quantize.images)


def normalisation(config: Config, x: Images) -> Normalisation | None:
    """How the data set's pixels become inputs; None where it holds inputs already.

    Raises:
        ConfigError: where mean and std do not fit the images.
    """
    mean, std = config.data.mean, config.data.std
    if x.dtype != np.uint8:
        if mean or std:
            raise ConfigError("data.mean and data.std are for uint8 pixels; these images are float inputs already")
        return None
    channels = x.shape[-1]
    norm = Normalisation(mean or (0.0,) * channels, std or (1.0,) * channels)
    if len(norm.mean) != channels:
        raise ConfigError(f"data.mean has {len(norm.mean)} values for images of {channels} channels")
    return norm


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
