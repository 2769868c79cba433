"""Small int8 networks written by hand: op by op, with seeded random weights whose outputs fill the int8 range."""

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt
from types import MappingProxyType
from typing import Any

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
    QLookup,
    QMaxPool2d,
    QMean,
    QMul,
    QPad,
    QPReLU,
    QReshape,
    QResizeNearest,
    QSlice,
)
from ptee_mcu.ops.base import QOp
from ptee_mcu.quant_graph import OperatingPoint, QConfidence, QExit, QNode, QuantGraph, verify_quant_graph
from ptee_mcu.requant import Requant
from ptee_mcu.tensor import HW, Int8, Padding, QTensor, Quant, Shape, readonly

Clamp = tuple[int, int]
OPEN: Clamp = (-128, 127)
ONE = HW(1, 1)
INPUT = Quant(0.05, -3)
SUM = Quant(0.09, 4)
SLOPES = Quant(0.01, 0)


class Builder:
    """Adds nodes in order; every method that adds one returns the name of its output."""

    def __init__(self, shape: Shape, *, quant: Quant = INPUT, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.tensors: dict[str, QTensor] = {"input": QTensor(shape, quant)}
        self.nodes: list[QNode] = []
        self.exits: list[QExit] = []

    def shape(self, tensor: str) -> Shape:
        return self.tensors[tensor].shape

    def node(self, op: QOp, *inputs: str, name: str | None = None, quant: Quant | None = None) -> str:
        """A node with any op; its output keeps the first input's quantization unless told otherwise."""
        name = name or f"{op.template}_{len(self.nodes)}"
        shape = op.output_shape([self.shape(tensor) for tensor in inputs])
        self.tensors[f"{name}:0"] = QTensor(shape, quant or self.tensors[inputs[0]].quant)
        self.nodes.append(QNode(name, op, inputs, f"{name}:0"))
        return f"{name}:0"

    def conv(
        self,
        x: str,
        out: int,
        kernel: HW = HW(3, 3),
        *,
        stride: HW = ONE,
        padding: Padding = Padding(),
        dilation: HW = ONE,
        act: Clamp = OPEN,
        zero_point: int = 2,
        gain: float = 1.0,
        name: str | None = None,
    ) -> str:
        channels = self.shape(x)[3]
        shape = (out, kernel.h, kernel.w, channels)
        return self._weighted(QConv2d, x, shape, 0, gain, zero_point, act, name, stride, padding, dilation)

    def depthwise(
        self,
        x: str,
        kernel: HW = HW(3, 3),
        *,
        multiplier: int = 1,
        stride: HW = ONE,
        padding: Padding = Padding(),
        dilation: HW = ONE,
        act: Clamp = OPEN,
        zero_point: int = 2,
        gain: float = 1.0,
        name: str | None = None,
    ) -> str:
        shape = (1, kernel.h, kernel.w, self.shape(x)[3] * multiplier)
        return self._weighted(QDepthwiseConv2d, x, shape, 3, gain, zero_point, act, name, stride, padding, dilation)

    def transposed(
        self,
        x: str,
        out: int,
        kernel: HW = HW(3, 3),
        *,
        stride: HW = HW(2, 2),
        padding: Padding = Padding(),
        output_padding: HW = HW(0, 0),
        act: Clamp = OPEN,
        zero_point: int = 2,
        gain: float = 1.0,
        name: str | None = None,
    ) -> str:
        channels = self.shape(x)[3]
        terms = max(1, channels * kernel.h * kernel.w // (stride.h * stride.w))
        op = QConvTranspose2d(
            weights=self.integers(-128, 128, (out, kernel.h, kernel.w, channels), np.int8),
            bias=self.integers(-3000, 3000, out, np.int32),
            requant=Requant.from_real(self._factor(terms, gain) * self.random.uniform(0.5, 2.0, out)),
            input_offset=-self.tensors[x].quant.zero_point,
            output_offset=zero_point,
            stride=stride,
            padding=padding,
            output_padding=output_padding,
            act_min=act[0],
            act_max=act[1],
        )
        return self.node(op, x, name=name, quant=Quant(0.05, zero_point))

    def linear(
        self,
        x: str,
        out: int,
        *,
        act: Clamp = OPEN,
        zero_point: int = 2,
        gain: float = 1.0,
        per_channel: bool = False,
        name: str | None = None,
    ) -> str:
        features = self.tensors[x].nbytes
        spread = self.random.uniform(0.5, 2.0, out) if per_channel else np.ones(1)
        op = QFullyConnected(
            weights=self.integers(-128, 128, (out, features), np.int8),
            bias=self.integers(-3000, 3000, out, np.int32),
            requant=Requant.from_real(self._factor(features, gain) * spread),
            input_offset=-self.tensors[x].quant.zero_point,
            output_offset=zero_point,
            act_min=act[0],
            act_max=act[1],
        )
        return self.node(op, x, name=name, quant=Quant(0.05, zero_point))

    def add(
        self,
        a: str,
        b: str,
        *,
        scales: tuple[float, float] = (1.0, 1.0),
        output: Quant = SUM,
        act: Clamp = OPEN,
        name: str | None = None,
    ) -> str:
        """The scales of both inputs count `scales` times."""
        sources = [self.tensors[t].quant for t in (a, b)]
        real = [source.scale * scale for source, scale in zip(sources, scales, strict=True)]
        widest = 2 * max(real)
        requant = Requant.from_real([real[0] / widest, real[1] / widest, widest / (2**20 * output.scale)])
        op = QAdd(-sources[0].zero_point, -sources[1].zero_point, output.zero_point, requant, *act)
        return self.node(op, a, b, name=name, quant=output)

    def lookup(self, x: str, *, output: Quant = SUM, name: str | None = None) -> str:
        """A table of random codes."""
        return self.node(QLookup(self.integers(-128, 128, 256, np.int8)), x, name=name, quant=output)

    def mul(
        self, a: str, b: str, *, scale: float = 1.0, output: Quant = SUM, act: Clamp = OPEN, name: str | None = None
    ) -> str:
        """The product of the inputs' scales counts `scale` times."""
        first, second = (self.tensors[t].quant for t in (a, b))
        requant = Requant.from_real([scale * first.scale * second.scale / output.scale])
        op = QMul(-first.zero_point, -second.zero_point, output.zero_point, requant, *act)
        return self.node(op, a, b, name=name, quant=output)

    def prelu(
        self,
        x: str,
        *,
        scale: float = 1.0,
        slopes: Quant = SLOPES,
        output: Quant = SUM,
        name: str | None = None,
    ) -> str:
        """The input's scale counts `scale` times."""
        source = self.tensors[x].quant
        alpha = self.integers(-128, 128, self.shape(x)[-1], np.int8)
        op = QPReLU.of(name or "prelu", replace(source, scale=source.scale * scale), alpha, slopes, output)
        return self.node(op, x, name=name, quant=output)

    def concat(self, *inputs: str, name: str | None = None) -> str:
        return self.node(QConcat(), *inputs, name=name)

    def pad(self, x: str, padding: Padding, before: int = 0, after: int = 0, *, name: str | None = None) -> str:
        return self.node(QPad(padding, before, after, self.tensors[x].quant.zero_point), x, name=name)

    def slice(
        self,
        x: str,
        shape: Shape,
        *,
        start: HW = HW(0, 0),
        step: HW = ONE,
        channel_start: int = 0,
        name: str | None = None,
    ) -> str:
        return self.node(QSlice(start, step, channel_start, shape), x, name=name)

    def reshape(self, x: str, shape: Shape, *, name: str | None = None) -> str:
        return self.node(QReshape(shape), x, name=name)

    def resize(self, x: str, scale: HW, *, name: str | None = None) -> str:
        return self.node(QResizeNearest(scale), x, name=name)

    def mean(self, x: str, output: Quant = SUM, *, keep_dims: bool = True, name: str | None = None) -> str:
        _, h, w, _ = self.shape(x)
        op = QMean.of(name or "mean", self.tensors[x].quant, output, HW(h, w), keep_dims=keep_dims)
        return self.node(op, x, name=name, quant=output)

    def cut(self, size: HW, channels: int, quant: Quant, *, start: int = 0) -> str:
        """A part of the input, from `start` on along every axis, read under another quantization."""
        op = QSlice(HW(start, start), ONE, start, (1, size.h, size.w, channels))
        return self.node(op, "input", quant=quant)

    def max_pool(
        self,
        x: str,
        kernel: HW,
        stride: HW,
        *,
        padding: Padding = Padding(),
        act: Clamp = OPEN,
        name: str | None = None,
    ) -> str:
        return self.node(QMaxPool2d(kernel, stride, padding, *act), x, name=name)

    def avg_pool(
        self,
        x: str,
        kernel: HW,
        stride: HW,
        *,
        padding: Padding = Padding(),
        act: Clamp = OPEN,
        name: str | None = None,
    ) -> str:
        return self.node(QAvgPool2d(kernel, stride, padding, *act), x, name=name)

    def exit(self, name: str, x: str, classes: int = 4, *, final: bool = False) -> None:
        """A classifier on `x` and, unless it is the final exit, a confidence."""
        logits = self.linear(x, classes, name=f"{name}.logits")
        rule = None if final else QConfidence(self.linear(x, 1, name=f"{name}.confidence"))
        self.exits.append(QExit(name, logits, rule))

    def graph(
        self, name: str = "net", thresholds: Sequence[int] | None = None, *, preprocess: Int8 | None = None
    ) -> QuantGraph:
        """The network so far; thresholds default to 0."""
        chosen = tuple(thresholds) if thresholds is not None else (0,) * (len(self.exits) - 1)
        graph = QuantGraph(
            name,
            "input",
            MappingProxyType(dict(self.tensors)),
            tuple(self.nodes),
            tuple(self.exits),
            (OperatingPoint("default", chosen),),
            preprocess=preprocess,
        )
        verify_quant_graph(graph)
        return graph

    def integers(self, low: int, high: int, shape: int | Shape, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Read-only random integers in [low, high)."""
        return readonly(self.random.integers(low, high, shape), dtype)

    def _weighted(
        self,
        op: type[QConv2d | QDepthwiseConv2d],
        x: str,
        shape: Shape,
        channel_axis: int,
        gain: float,
        zero_point: int,
        act: Clamp,
        name: str | None,
        stride: HW,
        padding: Padding,
        dilation: HW,
    ) -> str:
        out = shape[channel_axis]
        factors = self._factor(int(np.prod(shape)) // out, gain) * self.random.uniform(0.5, 2.0, out)
        made = op(
            weights=self.integers(-128, 128, shape, np.int8),
            bias=self.integers(-3000, 3000, out, np.int32),
            requant=Requant.from_real(factors),
            input_offset=-self.tensors[x].quant.zero_point,
            output_offset=zero_point,
            stride=stride,
            padding=padding,
            dilation=dilation,
            act_min=act[0],
            act_max=act[1],
        )
        return self.node(made, x, name=name, quant=Quant(0.05, zero_point))

    def _factor(self, terms: int, gain: float) -> float:
        """Rescale that spreads a sum of `terms` products of random codes over the int8 range; `gain` times wider."""
        return gain * 50.0 / (74.0 * 74.0 * sqrt(terms))


def small_network(
    name: str = "small", *, preprocess: bool = False, thresholds: Sequence[int] = (10,), seed: int = 0
) -> QuantGraph:
    """Two exits, every op kind, an input of 8x8x3."""
    b = Builder((1, 8, 8, 3), seed=seed)
    stem = b.conv("input", 8, padding=Padding.same(1, 1), act=(2, 127), name="stem.conv")
    block = b.depthwise(stem, padding=Padding.same(1, 1), act=(2, 127), name="block.depthwise")
    joined = b.add(b.conv(block, 8, ONE, name="block.pointwise"), stem, name="block.add")
    b.exit("early", b.avg_pool(joined, HW(4, 4), HW(4, 4), name="early.pool"))
    sliced = b.slice(joined, (1, 4, 4, 8), step=HW(2, 2), name="shortcut.slice")
    padded = b.pad(sliced, Padding(), 2, 2, name="shortcut.pad")
    deep = b.conv(joined, 12, stride=HW(2, 2), padding=Padding.same(1, 1), name="deep.conv")
    both = b.concat(b.add(deep, padded, name="deep.add"), b.pad(sliced, Padding(), name="copy"), name="both")
    b.exit("final", b.max_pool(both, HW(2, 2), HW(2, 2), name="last.pool"), final=True)
    table = b.integers(-128, 128, (256, 3), np.int8) if preprocess else None
    return b.graph(name, thresholds, preprocess=table)


def imported_network(name: str = "imported") -> QuantGraph:
    """One exit, the op kinds that small_network leaves out, an input of 8x8x3."""
    b = Builder((1, 8, 8, 3))
    wide = b.transposed(b.conv("input", 8, stride=HW(2, 2), name="stem"), 6, name="up")
    gate = b.mean(b.lookup(b.prelu(wide, name="prelu"), name="lookup"), name="squeeze")
    scaled = b.mul(wide, gate, name="scale")
    larger = b.resize(b.slice(scaled, (1, 3, 3, 6)), HW(2, 1), name="larger")
    flat = b.reshape(larger, (1, 1, 18, 6), name="row")
    b.exits.append(QExit("final", b.linear(flat, 4, per_channel=True, name="logits")))
    return b.graph(name)
