"""What becomes of every model file of a folder, and how far its answers stand from LiteRT's and onnxruntime's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from support import float_litert
from support.litert import reference
from support.onnx_files import runtime

from benchmarks.litert_ops import KNOWN, Apart, as_file_takes, random_codes
from benchmarks.mlperf_accuracy import INDEX_TABLE, named_images
from ptee_mcu.errors import PteeError, ToolMissingError
from ptee_mcu.exits.cuts import path_macs
from ptee_mcu.frontends.imported import Imported
from ptee_mcu.frontends.keras import convert_keras
from ptee_mcu.frontends.load import LOADERS, load_model
from ptee_mcu.frontends.onnx.file import read_onnx
from ptee_mcu.frontends.onnx.tail import final_softmax
from ptee_mcu.frontends.tflite.file import read_tflite
from ptee_mcu.graph import Graph, forward
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import Float, Int8

FOLDERS = ("mlperf_tiny", "models")
_KERAS = (".keras", ".h5", ".hdf5")
_BORDERS = ("SOFTMAX", "DEQUANTIZE")  # operators behind the last one that computes the codes compared


@dataclass(frozen=True, slots=True, eq=False)
class ModelFile:
    """A file by its path in the data folder; `file`: what was read, TensorFlow's conversion where it is Keras'."""

    name: str
    file: Path
    imported: Imported | None
    refused: str | None

    @property
    def kind(self) -> str:
        """What it becomes."""
        if self.imported is None:
            return "refused"
        if self.imported.quantized is not None:
            return "int8"
        return "float, from dynamic range" if self.is_dynamic else "float"

    @property
    def is_dynamic(self) -> bool:
        """True where TFLite would round activations from input to input anew."""
        return self.imported is not None and any(note.startswith("dynamic-range") for note in self.imported.notes)

    @property
    def ops(self) -> int:
        """Of the network that it becomes."""
        return len(self._network.nodes)

    @property
    def macs(self) -> int:
        """Of the network that it becomes."""
        return path_macs(self._network)

    @property
    def _network(self) -> Graph | QuantGraph:
        assert self.imported is not None
        network = self.imported.quantized or self.imported.graph
        assert network is not None
        return network


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """Codes before a final softmax; `labels`: inputs with another largest one, None where codes are no logits.

    `fault`: what no known cause explains. `refused`: why the yardstick does not take the file.
    """

    name: str
    inputs: int
    what: str
    apart: Apart
    labels: int | None
    fault: str | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class FloatRow:
    """The largest difference between logits, to the largest logit; `judged`: False for dynamic-range files."""

    name: str
    yardstick: str
    inputs: int
    error: float
    judged: bool


def model_files(data: Path, scratch: Path) -> Iterator[ModelFile]:
    """Every file of a known format in the folders of `data`, in order; `scratch` holds conversions of Keras files.

    Raises:
        ToolMissingError: where a package that reads a format is not installed.
    """
    paths = (path for folder in FOLDERS for path in sorted((data / folder).rglob("*")) if path.suffix in LOADERS)
    for path in paths:
        name = path.relative_to(data).as_posix()
        try:
            file = convert_keras(path, scratch) if path.suffix in _KERAS else path
            yield ModelFile(name, file, load_model(file), None)
        except ToolMissingError:
            raise
        except PteeError as error:
            yield ModelFile(name, path, None, str(error))


def real_inputs(data: Path, count: int) -> Mapping[str, Float]:
    """At most `count` inputs of each kind that the data folder holds, (N, ...), in the units of a network's input."""
    found: dict[str, Float] = {}
    tiny = data / "mlperf_tiny"
    if (data / "cifar10").is_dir():
        found["CIFAR-10"] = named_images(data / "cifar10", tiny / "ic" / INDEX_TABLE).x[:count].astype(np.float32)
    if (sound := tiny / "ad" / "normal_id_01_00000000_hist_librosa.bin").is_file():
        found["of a machine's sound"] = np.fromfile(sound, np.float32).reshape(-1, 640)[:count]
    if (speech := tiny / "sww" / "calibration_samples.npz").is_file():
        with np.load(speech) as samples:
            found["of speech"] = samples["specs"][:count].astype(np.float32)
    return found


def network_rows(found: ModelFile, inputs: int, real: Mapping[str, Float]) -> Iterator[NetworkRow]:
    """An int8 file on random inputs, and on those of `real` that have the shape of its own."""
    assert found.imported is not None
    network = found.imported.quantized
    assert network is not None
    answer = _onnx_codes if found.file.suffix == ".onnx" else _tflite_codes
    given = {"random": random_codes(network, inputs)}
    tensor = network.input_tensor
    given |= {what: tensor.quant.codes(x) for what, x in real.items() if x.shape[1:] == tensor.shape[1:]}
    for what, x in given.items():
        try:
            expected = answer(found.file, network, x).reshape(len(x), -1)
        except ValueError as error:  # LiteRT's refusal
            yield NetworkRow(found.name, 0, what, Apart(), None, refused=str(error).split(".")[0])
            return
        codes = evaluate(network, x).logits.reshape(len(x), -1)
        apart = Apart.of(codes, expected)
        is_logits = 1 < codes.shape[1] < prod(network.input_tensor.shape)
        labels = int((codes.argmax(1) != expected.argmax(1)).sum()) if is_logits else None
        yield NetworkRow(found.name, len(x), what, apart, labels, _fault(found, apart))


def float_row(found: ModelFile, inputs: int) -> FloatRow:
    """A float file on standard normal inputs."""
    if found.file.suffix == ".onnx":
        return FloatRow(found.name, "onnxruntime", inputs, _onnx_error(found, inputs), judged=True)
    error = float_litert.relative_error(found.file, inputs)
    return FloatRow(found.name, "LiteRT", inputs, error, judged=not found.is_dynamic)


def _fault(found: ModelFile, apart: Apart) -> str | None:
    """A TFLite file that differs holds an operator that is known to."""
    if found.file.suffix != ".tflite" or not apart.differing:
        return None
    kinds = {op.kind for op in read_tflite(found.file).operators}
    return None if kinds & set(KNOWN) else f"{found.name}: {apart.differing} codes differ, and no operator is known to"


def _tflite_codes(path: Path, network: QuantGraph, x: Int8) -> npt.NDArray[np.int64]:
    model = read_tflite(path)
    last = next(op for op in reversed(model.operators) if op.kind not in _BORDERS).outputs[0]
    return reference(path, as_file_takes(model, network, x), [last])[last].astype(np.int64)


def _onnx_codes(path: Path, network: QuantGraph, x: Int8) -> npt.NDArray[np.int64]:
    """The codes of the last QuantizeLinear, as int8."""
    proto = onnx.load(path)
    last = next(node for node in reversed(proto.graph.node) if node.op_type == "QuantizeLinear")
    codes = runtime(proto, _as_onnx_takes(proto, network.input_tensor.quant.reals(x)), last.output[0])
    return codes.astype(np.int64) - (128 if codes.dtype == np.uint8 else 0)


def _onnx_error(found: ModelFile, inputs: int) -> float:
    assert found.imported is not None
    graph = found.imported.graph
    assert graph is not None
    x = np.random.default_rng(0).normal(size=(inputs, *graph.input_shape[1:])).astype(np.float32)
    proto, softmax, logits = onnx.load(found.file), final_softmax(read_onnx(found.file)), graph.exits[-1].logits
    expected = runtime(proto, _as_onnx_takes(proto, x), None if softmax is None else softmax.inputs[0])
    off = np.abs(forward(graph, x, [logits])[logits].reshape(expected.shape) - expected)
    return float(off.max() / np.abs(expected).max())


def _as_onnx_takes(proto: onnx.ModelProto, x: Float) -> Float:
    """Channels first where the file has them so."""
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    is_same = tuple(dim.dim_value for dim in dims)[1:] == x.shape[1:]
    return x if is_same else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
