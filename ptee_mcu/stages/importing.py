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
from ptee_mcu.tensor import Float

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
        DataError, QuantizationError: where those do not suit it, or int8 cannot hold it.
    """
    for note in network.notes:
        console.say(note)
    quant_graph = network.quantized
    if quant_graph is None:
        assert network.graph is not None
        quant_graph = _calibrated(config, network.graph, given, console)
    smaller, removed = remove_dead_channels(replace(quant_graph, name=config.build.name))
    if removed.layers:
        console.say("\n".join(removed.describe()))
    return smaller


def calibration_inputs(config: Config, *, beside: Path) -> Float | None:
    """Network inputs (N, ...), float32, of the file that the config's quantize.inputs names; None where it names none.

    Raises:
        ConfigError: where there is no such file.
        DataError: where it holds no array of numbers.
    """
    if config.quantize.inputs is None:
        return None
    path = found_file("quantize.inputs", config.quantize.inputs, beside, None)
    advice = "np.save(path, inputs) or np.savez(path, x=inputs), float32 (N, height, width, channels)"
    try:
        stored = np.load(path, allow_pickle=False)
        x = stored if isinstance(stored, np.ndarray) else stored["x"]
    except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
        raise DataError(f"{path}: holds no array of inputs: {error}", hint=advice) from error
    if not np.issubdtype(x.dtype, np.floating):
        raise DataError(f"{path}: inputs are {x.dtype}; real network inputs are expected", hint=advice)
    return x.astype(np.float32)


def reported_without_labels(
    plan: Plan, given: Float | None, seed: int, notes: tuple[str, ...]
) -> tuple[Report, Inputs]:
    """What the network costs, on the calibration inputs or on random codes; nothing is known of its accuracy."""
    tensor = plan.graph.input_tensor
    if given is None:
        random = np.random.default_rng(seed).integers(-128, 128, (_RANDOM_INPUTS, *tensor.shape[1:]))
        codes, of = random.astype(np.int8), "random codes, on which accuracy means nothing"
    else:
        codes, of = tensor.quant.codes(given), "calibration inputs, without labels"
    run = evaluate(plan.graph, codes, full=True)
    assert run.labels is not None
    report = summarise(plan, Answers(run.exit, run.label, run.labels[-1], None), of=of, notes=notes)
    # Images are stored as pixels where the network has a pixel table.
    stored = codes if plan.graph.preprocess is None else _pixels(seed, tensor.shape)
    return report, Inputs(stored, None, of)


def _pixels(seed: int, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (_RANDOM_INPUTS, *shape[1:])).astype(np.uint8)


def _calibrated(config: Config, graph: Graph, given: Float | None, console: Console) -> QuantGraph:
    if given is None:
        raise ConfigError(
            f"{config.model.title}: holds floats, and quantizing them needs inputs to measure ranges on",
            hint="give a .npy of inputs (N, height, width, channels) with --calibration, or a config with [data]",
        )
    whole = folded(config, graph)
    with console.progress(f"calibrating on {len(given)} inputs") as advance:
        ranges = calibrate(whole, given, observer=config.quantize.observer, progress=advance)
    return quantize(whole, ranges, bias_correction=config.quantize.bias_correction)
