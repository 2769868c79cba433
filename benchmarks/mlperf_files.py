"""An MLPerf Tiny int8 file as published: imported, compiled for a board, compared with the simulator, priced."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import numpy as np

from ptee_mcu import boards
from ptee_mcu.compare import Comparison, compare_project
from ptee_mcu.emit import emit
from ptee_mcu.errors import ModelError, ToolMissingError
from ptee_mcu.execute import count_instructions, emulated, linked_memory, trace_pass
from ptee_mcu.frontends.load import load_model
from ptee_mcu.passes.dead_channels import remove_dead_channels
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.place import placed
from ptee_mcu.plan.plan import verify_plan
from ptee_mcu.plan.settings import Mode, PlaceSettings
from ptee_mcu.project import Inputs, Project
from ptee_mcu.quant_graph import QuantGraph, verify_quant_graph
from ptee_mcu.report.console import Console
from ptee_mcu.sim import evaluate
from ptee_mcu.target import Target
from ptee_mcu.tensor import Int8

BOARD = "nucleo_l4r5zi"
BAKENN = "1.0.0"
_COUNTED = 2  # inputs whose instructions are counted


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The name of a network in the tables, and its file in MLPerf Tiny's data."""

    title: str
    path: str


FILES: Mapping[str, ModelFile] = MappingProxyType(
    {
        "ic": ModelFile("ResNet-8", "ic/pretrainedResnet_quant.tflite"),
        "kws": ModelFile("DS-CNN", "kws/kws_ref_model.tflite"),
        "vww": ModelFile("MobileNetV1-0.25", "vww/vww_96_int8.tflite"),
        "ad": ModelFile("autoencoder", "ad/ad01_int8.tflite"),
    }
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Linked firmware of one network on the board; `microjoules`: at the power of the board's file.

    `flash_bytes` and `ram_bytes`: of the smallest application around it, without the stack. `instructions`: exact, of
    one inference. `cycles`: of one inference, by trace.
    """

    flash_bytes: int
    ram_bytes: int
    arena_bytes: int
    instructions: int
    cycles: float
    ms: float
    microjoules: float
    compared: Comparison


@dataclass(frozen=True, slots=True)
class Measured:
    """A file; `dense`: with its dead channels, None where it has none. `unchanged`: inputs with equal logits without.

    `macs` and `channels`: of the file, and of what is compiled.
    """

    bench: str
    macs: tuple[int, int]
    channels: tuple[int, int]
    constant_bytes: tuple[int, int]
    inputs: int
    unchanged: int
    in_flash: Cost
    placed: Cost
    dense: Cost | None
    bakenn: str

    @property
    def title(self) -> str:
        """Its name in the tables."""
        return FILES[self.bench].title

    @property
    def costs(self) -> tuple[Cost, ...]:
        """Every firmware that was built."""
        return (self.in_flash, self.placed, *([self.dense] if self.dense else []))

    @property
    def bytes_compared(self) -> int:
        """Of outputs of ops and logits, over all firmwares."""
        return sum(cost.compared.bytes_compared for cost in self.costs)

    @property
    def mismatched(self) -> int:
        """Bytes and exits that differ between the emulated core and the simulator, over all firmwares."""
        return sum(cost.compared.mismatched_bytes + cost.compared.mismatched_exits for cost in self.costs)


def measure(bench: str, models: Path, random_inputs: int) -> Measured:
    """The file of `bench` in the folder `models`.

    Raises:
        PteeError: where the file is missing or not the published one, a tool is missing, or the firmware fails.
    """
    path = models / FILES[bench].path
    dense = imported(path)
    thin, removed = remove_dead_channels(dense)
    x = inputs_for(dense, random_inputs)
    same = (evaluate(dense, x).logits == evaluate(thin, x).logits).all(axis=1)
    target = boards.load(BOARD)
    return Measured(
        bench=bench,
        macs=(removed.before.macs, removed.after.macs),
        channels=(removed.before.channels, removed.after.channels),
        constant_bytes=(removed.before.constant_bytes, removed.after.constant_bytes),
        inputs=len(x),
        unchanged=int(same.sum()),
        in_flash=cost(thin, target, Mode.FLASH, x),
        placed=cost(thin, target, Mode.AUTO, x),
        dense=cost(dense, target, Mode.FLASH, x) if removed.layers else None,
        bakenn=bakenn_says(path),
    )


def imported(path: Path) -> QuantGraph:
    """The int8 network in the file at `path`.

    Raises:
        ModelError, UnsupportedOpError: where it holds none that can be compiled.
    """
    network = load_model(path).quantized
    if network is None:
        raise ModelError(f"{path} holds floats; the int8 files of MLPerf Tiny are expected")
    verify_quant_graph(network)
    return network


def inputs_for(network: QuantGraph, count: int) -> Int8:
    """`count` random inputs, then the extremes: lowest, highest, the zero point, both ends in turn."""
    tensor = network.input_tensor
    shape = tensor.shape[1:]
    random = np.random.default_rng(0).integers(-128, 128, (count, *shape))
    flat = [np.full(shape, code) for code in (-128, 127, tensor.quant.zero_point)]
    turns = np.where(np.indices(shape).sum(axis=0) % 2, 127, -128)
    return np.concatenate([random, np.stack([*flat, turns])]).astype(np.int8)


def cost(network: QuantGraph, target: Target, mode: Mode, x: Int8) -> Cost:
    """What `network` takes with its constants placed by `mode`, after comparing all inputs `x` in the emulator.

    Raises:
        PteeError: where it does not fit, a tool is missing, or the firmware fails.
    """
    plan = placed(make_plan(network, target), PlaceSettings(mode=mode)).plan
    verify_plan(plan)
    with TemporaryDirectory(prefix="ptee-bench-") as scratch:
        folder = Path(scratch) / "project"
        emit(plan).write(folder)
        project = Project(folder, plan, Inputs(x, None, "random codes and extremes"))
        compared = compare_project(project, ("qemu",), None, None, Console(quiet=True))
        memory = linked_memory(folder, plan)
        firmware = emulated(folder, plan, Path(scratch) / "firmware.elf")
        instructions = count_instructions(firmware, network, x[:_COUNTED])[-1]
        cycles = trace_pass(firmware, plan, x[:1]).exits[-1]
    microjoules = target.microjoules(cycles)
    assert microjoules is not None
    return Cost(
        memory.flash_bytes,
        memory.ram_bytes,
        plan.arena_bytes,
        instructions,
        cycles,
        target.milliseconds(cycles),
        microjoules,
        compared,
    )


def bakenn_says(path: Path) -> str:
    """The first line with which BakeNN's own importer refuses the file; "compiled" where it does not.

    Raises:
        ToolMissingError: where another BakeNN or none is installed.
    """
    try:
        found = importlib.metadata.version("bakenn")
    except importlib.metadata.PackageNotFoundError:
        found = "missing"
    if found != BAKENN:
        raise ToolMissingError(f"this asks BakeNN {BAKENN}; installed: {found}", hint=f"pip install bakenn=={BAKENN}")
    import bakenn  # noqa: PLC0415 - only where it was found

    with TemporaryDirectory(prefix="ptee-bench-") as scratch:
        try:
            bakenn.compile_tflite(path, Path(scratch) / "bakenn")
        except bakenn.BakeNNError as error:
            return str(error).splitlines()[0]
    return "compiled"
