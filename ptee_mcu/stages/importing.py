"""A model file compiled as it is: no exits, no data set; a float one is calibrated on inputs of the user's."""

from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ptee_mcu.calibrate import calibrate
from ptee_mcu.config import Config
from ptee_mcu.errors import ConfigError, DataError
from ptee_mcu.frontends.imported import Imported
from ptee_mcu.graph import Graph
from ptee_mcu.passes.dead_channels import remove_dead_channels
from ptee_mcu.plan.plan import Plan
from ptee_mcu.project import Inputs
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.quantize import quantize
from ptee_mcu.report.console import Console
from ptee_mcu.report.summary import Answers, Report, summarise
from ptee_mcu.sim import evaluate
from ptee_mcu.stages.choosing import folded
from ptee_mcu.stages.inputs import found_file
from ptee_mcu.tensor import Float, Shape

_RANDOM_INPUTS = 32


def as_int8(config: Config, network: Imported, given: Float | None, console: Console) -> QuantGraph:
    """The int8 network of a file, without channels that are constant or that nothing reads.

    Args:
        config: of the build.
        network: what the file holds.
        given: network inputs to calibrate a float network on.
        console: shows progress.

    Raises:
        ConfigError: where a float network has no inputs to calibrate on.
        QuantizationError: where int8 cannot hold it.
    """
    quant_graph = network.quantized
    if quant_graph is None:
        assert network.graph is not None
        quant_graph = _calibrated(config, network.graph, given, console)
    smaller, removed = remove_dead_channels(replace(quant_graph, name=config.build.name))
    if removed.layers:
        console.say("\n".join(removed.describe()))
    return smaller


def calibration_inputs(config: Config, network: Imported, *, beside: Path) -> Float | None:
    """Inputs of `network` (N, ...), float32, from the file of the config's quantize.inputs; None where it names none.

    Raises:
        ConfigError: where there is no such file, or the network takes no real inputs.
        DataError: where it holds no array of finite numbers in the shape of the network's inputs.
    """
    if config.quantize.inputs is None:
        return None
    path = found_file("quantize.inputs (--calibration)", config.quantize.inputs, beside, None)
    if network.quantized is not None and network.quantized.preprocess is not None:
        raise ConfigError(
            f"{config.model.title}: takes uint8 pixels, for which inputs of floats cannot stand: {path}",
            hint="leave --calibration (quantize.inputs) out: an int8 file needs none",
        )
    shape = _input_shape(network)
    advice = f"np.save(path, inputs) or np.savez(path, x=inputs): floats {_of_many(shape)}"
    try:
        stored = np.load(path, allow_pickle=False)
        x = stored if isinstance(stored, np.ndarray) else stored["x"]
    except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
        said = str(error).splitlines()[0]
        raise DataError(f"{path}: holds no array of inputs: {said}", hint=advice) from error
    if not np.issubdtype(x.dtype, np.floating):
        raise DataError(f"{path}: inputs are {x.dtype}; real network inputs are expected", hint=advice)
    if x.shape[1:] != shape or not x.ndim:
        raise DataError(f"{path}: has shape {x.shape}, {config.model.title} takes {_of_many(shape)}", hint=advice)
    if not len(x):
        raise DataError(f"{path}: holds no input, at least one is needed", hint="give 100 or more")
    with np.errstate(over="ignore"):  # refused below
        inputs = x.astype(np.float32)
    if bad := int(inputs.size - np.isfinite(inputs).sum()):
        raise DataError(f"{path}: {bad:,} of {inputs.size:,} values are NaN, infinite or beyond float32")
    return inputs


def reported_without_labels(
    plan: Plan, given: Float | None, seed: int, notes: tuple[str, ...]
) -> tuple[Report, Inputs]:
    """What the network costs, on the given inputs or on random ones; nothing is known of its accuracy."""
    graph = plan.graph
    inputs = _random_inputs(graph, seed)
    if given is not None:
        inputs = Inputs(graph.input_tensor.quant.codes(given), None, "inputs of the user's, without labels")
    codes = inputs.x.view(np.int8) if graph.preprocess is None else graph.input_codes(inputs.x.view(np.uint8))
    run = evaluate(graph, codes, full=True)
    assert run.labels is not None
    report = summarise(plan, Answers(run.exit, run.label, run.labels[-1], None), of=inputs.of, notes=notes)
    return report, inputs


def _random_inputs(graph: QuantGraph, seed: int) -> Inputs:
    """Codes, or pixels where the network has a pixel table."""
    pixels = np.random.default_rng(seed).integers(0, 256, (_RANDOM_INPUTS, *graph.input_tensor.shape[1:]), np.uint8)
    if graph.preprocess is None:
        return Inputs(pixels.view(np.int8), None, "random codes, on which accuracy means nothing")
    return Inputs(pixels, None, "random pixels, on which accuracy means nothing")


def _calibrated(config: Config, graph: Graph, given: Float | None, console: Console) -> QuantGraph:
    if given is None:
        raise ConfigError(
            f"{config.model.title}: holds floats, and quantizing them needs inputs to measure ranges on",
            hint=f"give a .npy of inputs {_of_many(graph.input_shape[1:])} with --calibration (in a config: "
            "quantize.inputs), or a config with [data]",
        )
    whole = folded(config, graph)
    with console.progress(f"calibrating on {len(given)} inputs") as advance:
        ranges = calibrate(whole, given, observer=config.quantize.observer, progress=advance)
    return quantize(whole, ranges, bias_correction=config.quantize.bias_correction)


def _input_shape(network: Imported) -> Shape:
    """Of one input, without the batch."""
    if network.quantized is not None:
        return network.quantized.input_tensor.shape[1:]
    assert network.graph is not None
    return network.graph.input_shape[1:]


def _of_many(shape: Shape) -> str:
    return f"(N, {', '.join(map(str, shape))})"
