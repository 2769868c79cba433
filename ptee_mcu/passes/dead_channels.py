"""An int8 network without the channels that no answer depends on; every answer and every remaining byte unchanged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from ptee_mcu.ops import (
    QConv2d,
    QConvTranspose2d,
    QDepthwiseConv2d,
    QFullyConnected,
    QOp,
    QPad,
    QSlice,
)
from ptee_mcu.passes.dead_codes import Bools, Shares, known_facts
from ptee_mcu.passes.dead_elementwise import Pointwise, thin_elementwise
from ptee_mcu.passes.dead_keep import kept_channels
from ptee_mcu.passes.dead_moves import Moved, thin_moved
from ptee_mcu.quant_graph import QNode, QuantGraph
from ptee_mcu.requant import Requant
from ptee_mcu.tensor import Int32, QTensor, readonly


@dataclass(frozen=True, slots=True)
class Size:
    """What a layer makes and needs: output channels, multiply-accumulates, bytes of constants."""

    channels: int
    macs: int
    constant_bytes: int

    @classmethod
    def of(cls, graph: QuantGraph, nodes: Sequence[QNode]) -> "Size":
        """The sum over `nodes`."""
        constants = [array.nbytes for node in nodes for array in node.op.constants.values()]
        channels = [graph.tensors[node.output].shape[-1] for node in nodes]
        return cls(sum(channels), graph.macs(nodes), sum(constants))


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that lost channels of its output or of its input."""

    name: str
    before: Size
    after: Size


@dataclass(frozen=True, slots=True)
class Removed:
    """What a network was and is, and the layers that changed."""

    before: Size
    after: Size
    layers: tuple[Layer, ...]

    @classmethod
    def between(cls, before: QuantGraph, after: QuantGraph) -> "Removed":
        """The difference of two networks with the same nodes."""
        pairs = zip(before.nodes, after.nodes, strict=True)
        layers = [Layer(a.name, Size.of(before, [a]), Size.of(after, [b])) for a, b in pairs]
        changed = tuple(layer for layer in layers if layer.before != layer.after)
        return cls(Size.of(before, before.nodes), Size.of(after, after.nodes), changed)

    def describe(self) -> tuple[str, ...]:
        """Lines for a report: the sum, then each layer that changed."""
        if not self.layers:
            return ("dead channels: none",)
        lost = self.before.channels - self.after.channels
        lines = [f"dead channels: {lost:,} of {self.before.channels:,} removed; {_change(self.before, self.after)}"]
        for layer in self.layers:
            channels = f"{layer.before.channels:,} -> {layer.after.channels:,} channels"
            lines.append(f"  {layer.name}: {channels}, {_change(layer.before, layer.after)}")
        return tuple(lines)


def _change(before: Size, after: Size) -> str:
    macs = f"{before.macs:,} -> {after.macs:,} MACs"
    return f"{macs}, {before.constant_bytes:,} -> {after.constant_bytes:,} B of constants"


def remove_dead_channels(graph: QuantGraph) -> tuple[QuantGraph, Removed]:
    """`graph` without channels that are constant or unread, and what went; `graph` itself where nothing is dead.

    A channel goes only where every reader can do without it: its constant share of a sum moves into the bias, which
    keeps the proof that no accumulator overflows, for |w * (code + offset)| <= |w| * (128 + |offset|).
    Input, logits and confidences stay whole.

    Raises:
        QuantizationError: where an accumulator could exceed int32, naming the layer.
    """
    facts = known_facts(graph)
    keep = kept_channels(graph, facts)
    if all(mask.all() for mask in keep.values()):
        return graph, Removed.between(graph, graph)
    tensors = {name: _thin_tensor(tensor, keep[name]) for name, tensor in graph.tensors.items()}
    nodes = tuple(_thin_node(node, facts.shares.get(node.name), keep) for node in graph.nodes)
    thin = replace(graph, tensors=MappingProxyType(tensors), nodes=nodes)
    return thin, Removed.between(graph, thin)


def _thin_tensor(tensor: QTensor, keep: Bools) -> QTensor:
    return replace(tensor, shape=(*tensor.shape[:-1], int(keep.sum())))


def _thin_node(node: QNode, shares: Shares | None, keep: Mapping[str, Bools]) -> QNode:
    source, output = keep[node.inputs[0]], keep[node.output]
    if all(keep[tensor].all() for tensor in (*node.inputs, node.output)):
        return node
    if isinstance(node.op, Moved):
        return replace(node, op=thin_moved(node.op, output))
    if isinstance(node.op, Pointwise):
        return replace(node, op=thin_elementwise(node.op, output))
    return replace(node, op=_thin_op(node.op, shares, source, output))


def _thin_op(op: QOp, shares: Shares | None, source: Bools, output: Bools) -> QOp:
    """The op on the kept channels of its first input, making the kept channels of its output."""
    match op:
        case QConv2d() | QConvTranspose2d():
            assert shares is not None
            weights = readonly(op.weights[output][..., source], np.int8)
            bias = _folded(op.bias, shares, source)[output]
            return replace(op, weights=weights, bias=readonly(bias, np.int32), requant=_thin_pairs(op.requant, output))
        case QFullyConnected():
            assert shares is not None
            rows = op.weights.reshape(len(output), -1, len(source))[output][..., source]
            weights = readonly(rows.reshape(len(rows), -1), np.int8)
            pairs = _thin_pairs(op.requant, output) if op.is_per_channel else op.requant
            bias = readonly(_folded(op.bias, shares, source)[output], np.int32)
            return replace(op, weights=weights, bias=bias, requant=pairs)
        case QDepthwiseConv2d():
            weights, bias = readonly(op.weights[..., output], np.int8), readonly(op.bias[output], np.int32)
            return replace(op, weights=weights, bias=bias, requant=_thin_pairs(op.requant, output))
        case QPad(channels_before=before):
            after = before + len(source)
            return replace(op, channels_before=int(output[:before].sum()), channels_after=int(output[after:].sum()))
        case QSlice(channel_start=start, shape=shape):
            return replace(op, channel_start=int(source[:start].sum()), shape=(*shape[:-1], int(output.sum())))
        case _:
            return op


def _folded(bias: Int32, shares: Shares, source: Bools) -> Int32:
    """`bias` with what the removed input channels add; where an output is constant, any code of theirs will do."""
    summed: Int32 = (bias + shares.low[:, ~source].sum(axis=1)).astype(np.int32)
    return summed


def _thin_pairs(requant: Requant, output: Bools) -> Requant:
    return Requant(readonly(requant.multiplier[output], np.int32), readonly(requant.shift[output], np.int32))
