"""How far int8 operators stand from LiteRT's reference kernels on equal inputs, and why where they do."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from support.litert import reference
from support.tflite_cases import LAYERS, Case, Chance, Net, fully_connected
from support.tflite_files import write
from support.tflite_moves import MOVES

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.tflite.file import read_tflite
from ptee_mcu.frontends.tflite.load import load_tflite
from ptee_mcu.frontends.tflite.model import Dtype, TfliteModel
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.sim import evaluate
from ptee_mcu.sim.kernels import KERNELS
from ptee_mcu.tensor import Int8, Shape

Codes = npt.NDArray[np.integer[Any]]

MOST = 1  # codes by which an operator with a known cause may differ
KNOWN: Mapping[str, str] = MappingProxyType(
    {"FULLY_CONNECTED": "LiteRT rounds once, from double; CMSIS-NN twice, from integers"}
)


@dataclass(frozen=True, slots=True)
class Apart:
    """Codes that were compared, those of them that differ, and by how much at most."""

    compared: int = 0
    differing: int = 0
    largest: int = 0

    @classmethod
    def of(cls, found: Codes, expected: Codes) -> "Apart":
        """Two arrays with as many codes."""
        off = np.abs(found.astype(np.int64).reshape(-1) - expected.astype(np.int64).reshape(-1))
        return cls(off.size, int(np.count_nonzero(off)), int(off.max(initial=0)))

    def __add__(self, other: "Apart") -> "Apart":
        return Apart(self.compared + other.compared, self.differing + other.differing, max(self.largest, other.largest))


@dataclass(frozen=True, slots=True)
class OpRow:
    """An op: TFLite operators by which files hold it, and in how many networks or layers it was compared."""

    title: str
    operators: tuple[str, ...]
    count: int
    apart: Apart

    @property
    def cause(self) -> str | None:
        """Why codes differ; None where none do, or no operator is known to."""
        causes = (KNOWN[kind] for kind in self.operators if kind in KNOWN)
        return next(causes, None) if self.apart.differing else None

    @property
    def fault(self) -> str | None:
        """What no known cause explains."""
        if self.apart.differing and self.cause is None:
            return f"{self.title}: {self.apart.differing} codes differ, and no operator of {self.operators} is known to"
        if self.apart.largest > MOST:
            return f"{self.title}: a code differs by {self.apart.largest}, more than {MOST}"
        return None


def cases() -> Mapping[str, Case]:
    """Every op by its title: networks of random shapes, scales, zero points, weights and options."""
    layers = {
        "fully connected, one scale": _fully_connected(per_channel=False),
        "fully connected, a scale per output": _fully_connected(per_channel=True),
    }
    return layers | LAYERS | MOVES


def op_rows(networks: int, inputs: int) -> Iterator[OpRow]:
    """Each op in `networks` files, each on `inputs` random inputs, the first of which begins with all codes."""
    with tempfile.TemporaryDirectory(prefix="ptee-litert-") as folder:
        for title, case in cases().items():
            yield _op_row(title, case, Path(folder) / "net.tflite", networks, inputs)


def layer_rows(paths: Sequence[Path], inputs: int) -> list[OpRow]:
    """Every layer of the int8 files at `paths` on the codes that LiteRT itself computes for `inputs` random inputs."""
    layers: dict[str, list[Apart]] = defaultdict(list)
    for path in paths:
        for kind, apart in _layers(path, inputs):
            layers[kind].append(apart)
    return [OpRow(kind, (kind,), len(found), sum(found, Apart())) for kind, found in sorted(layers.items())]


def integers(path: Path) -> QuantGraph:
    """The int8 network in the TFLite file at `path`.

    Raises:
        ModelError: where it holds floats.
    """
    network = load_tflite(path, "net").quantized
    if network is None:
        raise ModelError(f"{path} holds floats; int8 is expected")
    return network


def random_codes(network: QuantGraph, inputs: int) -> Int8:
    """`inputs` random inputs, always the same."""
    shape = network.input_tensor.shape
    return np.random.default_rng(0).integers(-128, 128, (inputs, *shape[1:])).astype(np.int8)


def as_file_takes(model: TfliteModel, network: QuantGraph, x: Int8) -> npt.NDArray[Any]:
    """The codes `x`, or what they stand for where the file's input is float."""
    is_int8 = model.tensors[model.inputs[0]].dtype is Dtype.INT8
    return x if is_int8 else network.input_tensor.quant.reals(x)


def _fully_connected(*, per_channel: bool) -> Case:
    def case(chance: Chance) -> Net:
        while True:
            tensors, operators = fully_connected(chance)
            if (len(tensors[1].scales) > 1) is per_channel:
                return tensors, operators

    return case


def _op_row(title: str, case: Case, path: Path, networks: int, inputs: int) -> OpRow:
    apart, operators = Apart(), set[str]()
    for seed in range(networks):
        chance = np.random.default_rng(seed)
        model = read_tflite(write(path, *case(chance)))
        network = integers(path)
        x = chance.integers(-128, 128, (inputs, *model.tensors[model.inputs[0]].shape[1:])).astype(np.int8)
        x[0].reshape(-1)[:256] = np.arange(-128, 128, dtype=np.int8)[: x[0].size]
        (expected,) = reference(path, x, model.outputs).values()
        apart += Apart.of(evaluate(network, x.reshape(inputs, *network.input_tensor.shape[1:])).logits, expected)
        operators |= {op.kind for op in model.operators}
    return OpRow(title, tuple(sorted(operators)), networks, apart)


def _layers(path: Path, inputs: int) -> Iterator[tuple[str, Apart]]:
    model, network = read_tflite(path), integers(path)
    x = random_codes(network, inputs)
    # Nodes end in the index of their operator; what else there is only gives bytes another shape.
    of_file = {
        node.output: model.operators[int(index)]
        for node in network.nodes
        if (index := node.name.rpartition("_")[2]).isdigit()
    }
    tensors = reference(path, as_file_takes(model, network, x), [op.outputs[0] for op in of_file.values()])
    values = {network.input: x}
    for node in network.nodes:
        tensor = network.tensors[node.output]
        values[node.output] = KERNELS[type(node.op)](node.op, [values[name] for name in node.inputs], tensor)
        if node.output in of_file:
            op = of_file[node.output]
            expected = _channels_last(tensors[op.outputs[0]], values[node.output].shape)
            yield op.kind, Apart.of(values[node.output], expected)
            values[node.output] = expected


def _channels_last(codes: Int8, shape: Shape) -> Int8:
    """`codes` in the order of `shape`: a file may hold them channels first, behind a TRANSPOSE that nothing is left of.

    Args:
        codes: (inputs, 1, ...), as the file's tensor has them.
        shape: (inputs, ...), as the network's tensor has them; a TRANSPOSE shows by extents in another order.
    """
    theirs, ours = ([extent for extent in each[1:] if extent > 1] for each in (codes.shape, shape))
    if theirs == ours or sorted(theirs) != sorted(ours):
        return codes.reshape(shape)
    return np.ascontiguousarray(np.moveaxis(codes.reshape(len(codes), *theirs), 1, -1)).reshape(shape)
