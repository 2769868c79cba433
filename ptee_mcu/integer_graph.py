"""An int8 network as a float graph whose every node computes, exactly, what the integers compute.

So exits are attached to an imported int8 network, trained and quantized as to any other, on what the device will see.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from hashlib import sha256
from types import MappingProxyType

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.graph import Exit, Graph, Node, Tap, make_graph, needed
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Op, Params, QOp
from ptee_mcu.quant_graph import OperatingPoint, QExit, QNode, QuantGraph
from ptee_mcu.sim.kernels import KERNELS
from ptee_mcu.tensor import INT8_MAX, INT8_MIN, Float, QTensor, Quant, Shape


@dataclass(frozen=True, slots=True, eq=False)
class IntegerOp(Op):
    """An int8 op between the real values of its codes; it quantizes to itself."""

    op: QOp = field(repr=False)
    inputs: tuple[QTensor, ...]
    output: QTensor
    digest: str  # of the op: its arrays do not show in a repr

    @property
    def bounds(self) -> tuple[float, float]:  # type: ignore[override]  # of its codes, not of its class
        """What the lowest and the highest code stand for."""
        low, high = self.output.quant.reals(np.array([INT8_MIN, INT8_MAX], np.int8))
        return float(low), float(high)

    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """The int8 op's."""
        return self.op.output_shape(inputs)

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """Real values of the codes that the op makes of the inputs' codes."""
        codes = [tensor.quant.codes(x) for tensor, x in zip(self.inputs, inputs, strict=True)]
        return self.output.quant.reals(KERNELS[type(self.op)](self.op, codes, self.output))

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """The op itself.

        Raises:
            ModelError: where a tensor has another code than the op was made for.
        """
        if (*inputs, output) != (*(tensor.quant for tensor in self.inputs), self.output.quant):
            raise ModelError(f"{name}: an int8 layer cannot take other scales than it came with")
        return self.op

    def macs(self, inputs: Sequence[Shape], params: Params) -> int:
        """The int8 op's."""
        return self.op.counts(self.inputs, self.output, Isa.SCALAR).macs


def integer_graph(network: QuantGraph, taps: Sequence[Tap] = ()) -> Graph:
    """The nodes of `network`, under their names, as a float graph with one exit.

    Raises:
        ModelError: where `network` has early exits.
    """
    if len(network.exits) != 1:
        raise ModelError(f"{network.name}: has {len(network.exits) - 1} early exits already")
    nodes = [Node(n.name, _integer_op(network, n), n.inputs, n.output, module=n.name) for n in network.nodes]
    exits = [Exit("final", network.exits[-1].logits)]
    shape = network.input_tensor.shape
    return make_graph(network.name, network.input, shape, nodes, exits, taps=taps, softmax=network.softmax)


def integer_part(graph: Graph) -> QuantGraph | None:
    """The int8 backbone that `graph` stands on, without its exits; None where the backbone is of floats."""
    nodes = needed(graph.nodes, graph.exits[-1].tensors)
    tensors: dict[str, QTensor] = {}
    integers: list[QNode] = []
    for node in nodes:
        if not isinstance(node.op, IntegerOp):
            return None
        tensors |= dict(zip(node.inputs, node.op.inputs, strict=True)) | {node.output: node.op.output}
        integers.append(QNode(node.name, node.op.op, node.inputs, node.output))
    return QuantGraph(
        name=graph.name,
        input=graph.input,
        tensors=MappingProxyType(tensors),
        nodes=tuple(integers),
        exits=(QExit("final", graph.exits[-1].logits),),
        points=(OperatingPoint("never", ()),),
        softmax=graph.softmax,
    )


def _integer_op(network: QuantGraph, node: QNode) -> IntegerOp:
    inputs = tuple(network.tensors[tensor] for tensor in node.inputs)
    return IntegerOp(node.op, inputs, network.tensors[node.output], _digest(node.op))


def _digest(op: QOp) -> str:
    total = sha256(type(op).__name__.encode())
    for part in _content(op):
        total.update(part + b"\0")
    return total.hexdigest()


def _content(value: object) -> Iterator[bytes]:
    """Everything that a frozen dataclass holds, its arrays and those of its fields included."""
    if isinstance(value, np.ndarray):
        yield f"{value.dtype}{value.shape}".encode()
        yield value.tobytes()
    elif is_dataclass(value):
        for part in fields(value):
            yield part.name.encode()
            yield from _content(getattr(value, part.name))
    else:
        yield repr(value).encode()
