"""Which int8 codes every channel of every tensor can hold, whatever the input: bounds by exact interval arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ptee_mcu.ops import (
    QAdd,
    QAvgPool2d,
    QConcat,
    QConv2d,
    QConvTranspose2d,
    QDepthwiseConv2d,
    QFullyConnected,
    QMaxPool2d,
    QOp,
    QPad,
    QSlice,
)
from ptee_mcu.ops.add import LEFT_SHIFT
from ptee_mcu.ops.weights import check_accumulator
from ptee_mcu.passes.dead_elementwise import Pointwise, elementwise_bounds
from ptee_mcu.passes.dead_moves import Moved, moved_bounds
from ptee_mcu.quant_graph import QNode, QuantGraph
from ptee_mcu.requant import Int64, Requant, requantize
from ptee_mcu.tensor import INT8_MAX, INT8_MIN

Bools: TypeAlias = npt.NDArray[np.bool_]
Weighted: TypeAlias = QConv2d | QConvTranspose2d | QDepthwiseConv2d | QFullyConnected


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Smallest and largest code of each channel (C,), over all inputs and all positions of the map."""

    low: Int64
    high: Int64

    @classmethod
    def every(cls, channels: int) -> "Codes":
        """No bound but int8's."""
        return cls(np.full(channels, INT8_MIN, np.int64), np.full(channels, INT8_MAX, np.int64))

    @property
    def constant(self) -> Bools:
        """Channels that hold one code for every input."""
        one: Bools = self.low == self.high
        return one

    def clamped(self, op: Weighted | QAdd | QMaxPool2d | QAvgPool2d) -> "Codes":
        """The same within the op's clamp."""
        return Codes(np.clip(self.low, op.act_min, op.act_max), np.clip(self.high, op.act_min, op.act_max))


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """Bounds on what input channel c adds to the accumulator of output o, (out, channels), bias not included.

    Where both are equal, the channel adds the same at every position for every input. A depthwise layer has one column:
    the channel that the output reads.
    """

    low: Int64
    high: Int64


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What holds for every input: the codes of each tensor, the shares of each weighted node."""

    codes: Mapping[str, Codes]
    shares: Mapping[str, Shares]


def known_facts(graph: QuantGraph) -> Facts:
    """Bounds for the whole network; its input may hold any code, whatever a preprocessing table would give.

    Raises:
        QuantizationError: where an accumulator could exceed int32, naming the layer: no bound holds behind it.
    """
    codes = {graph.input: Codes.every(graph.input_tensor.shape[-1])}
    shares: dict[str, Shares] = {}
    for node in graph.nodes:
        inputs = [codes[tensor] for tensor in node.inputs]
        if isinstance(node.op, Weighted):
            shares[node.name] = _shares(graph, node, inputs[0])
            codes[node.output] = _rescaled(node.op, shares[node.name])
        elif isinstance(node.op, Moved):
            channels = graph.tensors[node.output].shape[-1]
            codes[node.output] = Codes(*moved_bounds(node.op, (inputs[0].low, inputs[0].high), channels))
        elif isinstance(node.op, Pointwise):
            codes[node.output] = Codes(*elementwise_bounds(node.op, [(x.low, x.high) for x in inputs]))
        else:
            codes[node.output] = _passed(node.op, inputs, graph.tensors[node.output].shape[-1])
    return Facts(MappingProxyType(codes), MappingProxyType(shares))


def _shares(graph: QuantGraph, node: QNode, codes: Codes) -> Shares:
    op = node.op
    assert isinstance(op, Weighted)
    weights = _by_tap(op, len(codes.low))
    check_accumulator(
        node.name, weights.reshape(len(weights), -1).astype(np.float64), op.bias.astype(np.float64), op.input_offset,
        op.requant,
    )  # fmt: skip
    ends = (codes.low + op.input_offset, codes.high + op.input_offset)
    if isinstance(op, QDepthwiseConv2d):
        repeat = len(weights) // len(codes.low)
        ends = (np.repeat(ends[0], repeat)[:, None], np.repeat(ends[1], repeat)[:, None])
    low, high = (np.zeros((len(weights), weights.shape[2]), np.int64) for _ in range(2))
    for tap, (ever, always) in enumerate(zip(*_inside(graph, node), strict=True)):
        if not ever:
            continue
        products = [weights[:, tap] * end for end in ends]
        if not always:
            products.append(np.zeros_like(low))  # padding adds nothing
        low += np.minimum.reduce(products)
        high += np.maximum.reduce(products)
    return Shares(low, high)


def _by_tap(op: Weighted, channels: int) -> Int64:
    """Weights as (out, taps, channels), or (out, taps, 1) of a depthwise layer."""
    out = len(op.bias)
    if isinstance(op, QDepthwiseConv2d):
        return op.weights.reshape(-1, out).T[:, :, None].astype(np.int64)
    return op.weights.reshape(out, -1, channels).astype(np.int64)


def _inside(graph: QuantGraph, node: QNode) -> tuple[Bools, Bools]:
    """Per tap: whether it lies inside the map at any output position, and whether at all of them."""
    op, shape = node.op, graph.tensors[node.inputs[0]].shape
    if isinstance(op, QFullyConnected):
        taps = op.weights.shape[1] // shape[-1]
        return np.ones(taps, np.bool_), np.ones(taps, np.bool_)
    if isinstance(op, QConvTranspose2d):  # each output sees some taps
        taps = op.kernel.h * op.kernel.w
        return np.ones(taps, np.bool_), np.zeros(taps, np.bool_)
    assert isinstance(op, QConv2d | QDepthwiseConv2d)
    _, out_h, out_w, _ = graph.tensors[node.output].shape
    rows = _seen(op.kernel.h, op.stride.h, op.dilation.h, op.padding.top, shape[1], out_h)
    columns = _seen(op.kernel.w, op.stride.w, op.dilation.w, op.padding.left, shape[2], out_w)
    ever = np.outer(rows.any(axis=1), columns.any(axis=1))
    always = np.outer(rows.all(axis=1), columns.all(axis=1))
    return ever.reshape(-1), always.reshape(-1)


def _seen(kernel: int, stride: int, dilation: int, before: int, extent: int, out: int) -> Bools:
    """(kernel, out) along one axis: whether the tap of this output position lies inside the map."""
    position = np.arange(out) * stride - before + np.arange(kernel)[:, None] * dilation
    return (position >= 0) & (position < extent)


def _rescaled(op: Weighted, shares: Shares) -> Codes:
    """Codes of a weighted op's output: rescaling keeps the order of accumulators."""
    low, high = (requantize(op.bias + side.sum(axis=1), op.requant) for side in (shares.low, shares.high))
    return Codes(low.astype(np.int64) + op.output_offset, high.astype(np.int64) + op.output_offset).clamped(op)


def _passed(op: QOp, inputs: Sequence[Codes], channels: int) -> Codes:
    """Codes of the output of an op without weights; of one that is not known here, every code."""
    match op:
        case QMaxPool2d() | QAvgPool2d():  # a mean of integers, rounded, stays between them
            return inputs[0].clamped(op)
        case QAdd():
            first, second = inputs
            return Codes(_sum(op, first.low, second.low), _sum(op, first.high, second.high)).clamped(op)
        case QConcat():
            return Codes(np.concatenate([x.low for x in inputs]), np.concatenate([x.high for x in inputs]))
        case QSlice():
            part = slice(op.channel_start, op.channel_start + channels)
            return Codes(inputs[0].low[part], inputs[0].high[part])
        case QPad():
            low, high = inputs[0].low, inputs[0].high
            if not op.padding.is_zero:
                low, high = np.minimum(low, op.value), np.maximum(high, op.value)
            widths = (op.channels_before, op.channels_after)
            fill = [np.pad(side, widths, constant_values=op.value) for side in (low, high)]
            return Codes(fill[0], fill[1])
        case _:
            return Codes.every(channels)


def _sum(op: QAdd, first: Int64, second: Int64) -> Int64:
    """The codes that two codes add up to, before the clamp: non-decreasing in both."""
    pairs = [Requant(op.requant.multiplier[i : i + 1], op.requant.shift[i : i + 1]) for i in range(3)]
    a = requantize((first + op.input1_offset) << LEFT_SHIFT, pairs[0])
    b = requantize((second + op.input2_offset) << LEFT_SHIFT, pairs[1])
    return requantize(a + b, pairs[2]).astype(np.int64) + op.output_offset
