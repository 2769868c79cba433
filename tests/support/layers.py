"""Generated int8 layers with inputs for them: geometry by Hypothesis, codes by a seed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from ptee_mcu.ops import QAdd, QAvgPool2d, QConv2d, QDepthwiseConv2d, QFullyConnected, QMaxPool2d, QOp
from ptee_mcu.ops.add import LEFT_SHIFT
from ptee_mcu.requant import Requant
from ptee_mcu.tensor import HW, Int8, Padding, QTensor, Quant, Shape, readonly, window_shape

ONE = HW(1, 1)
OUTPUT = Quant(1.0, 0)  # kernels read only the shape

codes = st.integers(-128, 127)
offsets = st.integers(-127, 128)  # minus a zero point


@dataclass(frozen=True, eq=False)
class Layer:
    """An op, a batch of inputs, and the output's shape."""

    op: QOp
    inputs: tuple[Int8, ...]
    output: QTensor

    def __repr__(self) -> str:
        return f"{self.op} on {[x.shape for x in self.inputs]}"


def layer(op: QOp, *inputs: Int8) -> Layer:
    shape = op.output_shape([(1, *x.shape[1:]) for x in inputs])
    return Layer(op, inputs, QTensor(shape, OUTPUT))


@st.composite
def clamps(draw: DrawFn) -> tuple[int, int]:
    low, high = sorted((draw(codes), draw(codes)))
    return draw(st.sampled_from([(-128, 127), (low, high)]))


@st.composite
def windows(draw: DrawFn, *, largest: int = 9, dilated: bool = True) -> dict[str, Any]:
    """Input size and kernel, stride, padding, dilation that fit; padding lies on any side, below the kernel's size."""
    kernel = draw(st.builds(HW, st.integers(1, 5), st.integers(1, 5)))
    stride = draw(st.builds(HW, st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(st.builds(HW, st.integers(1, 3), st.integers(1, 3))) if dilated else ONE
    sides = [st.integers(0, size - 1) for size in (kernel.h, kernel.w, kernel.h, kernel.w)]
    padding = draw(st.builds(Padding, *sides))
    spare = [draw(st.integers(0, largest)) for _ in range(2)]
    size = HW(
        max(1, dilation.h * (kernel.h - 1) + 1 - padding.top - padding.bottom) + spare[0],
        max(1, dilation.w * (kernel.w - 1) + 1 - padding.left - padding.right) + spare[1],
    )
    out = window_shape(size, kernel, stride, padding, dilation)
    assert out.h > 0
    assert out.w > 0
    return {"size": size, "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}


@st.composite
def rows(draw: DrawFn) -> dict[str, Any]:
    """Windows on one row, whose width the wrapper treats apart where it is a multiple of four."""
    kernel, stride = HW(1, draw(st.integers(1, 5))), HW(draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    padding = Padding(0, draw(st.integers(0, kernel.w - 1)), 0, draw(st.integers(0, kernel.w - 1)))
    out_w = 4 * draw(st.integers(1, 3))
    width = (out_w - 1) * stride.w + kernel.w - padding.left - padding.right
    return {"size": HW(1, max(1, width)), "kernel": kernel, "stride": stride, "padding": padding, "dilation": ONE}


def convolutions() -> SearchStrategy[Layer]:
    pointwise = st.builds(
        lambda h, w, stride: {"size": HW(h, w), "kernel": ONE, "stride": stride, "padding": Padding(), "dilation": ONE},
        st.integers(1, 8),
        st.integers(1, 8),
        st.builds(HW, st.integers(1, 3), st.integers(1, 3)),
    )
    return _weighted(QConv2d, st.one_of(windows(), windows(dilated=False), rows(), pointwise), st.just(0))


def depthwise_convolutions() -> SearchStrategy[Layer]:
    return _weighted(
        QDepthwiseConv2d, st.one_of(windows(), windows(dilated=False), _three_by_three()), st.integers(1, 8)
    )


@st.composite
def _three_by_three(draw: DrawFn) -> dict[str, Any]:
    stride = draw(st.builds(HW, st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.builds(Padding, *[st.integers(0, 1)] * 4))
    size = draw(st.builds(HW, st.integers(3, 9), st.integers(3, 9)))
    return {"size": size, "kernel": HW(3, 3), "stride": stride, "padding": padding, "dilation": ONE}


@st.composite
def _weighted(
    draw: DrawFn,
    kind: type[QConv2d | QDepthwiseConv2d],
    geometry: SearchStrategy[dict[str, Any]],
    multipliers: SearchStrategy[int],
) -> Layer:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    window = dict(draw(geometry))
    size, kernel = window.pop("size"), window.pop("kernel")
    channels, multiplier = draw(st.integers(1, 9)), draw(multipliers)
    out = channels * multiplier or draw(st.integers(1, 9))
    shape = (1, kernel.h, kernel.w, out) if multiplier else (out, kernel.h, kernel.w, channels)
    terms = kernel.h * kernel.w * (1 if multiplier else channels)
    act_min, act_max = draw(clamps())
    op = kind(
        weights=readonly(random_codes(random, shape), np.int8),
        bias=readonly(random.integers(-20000, 20000, out), np.int32),
        requant=random_requant(random, out, terms),
        input_offset=draw(offsets),
        output_offset=draw(codes),
        act_min=act_min,
        act_max=act_max,
        **window,
    )
    return layer(op, random_codes(random, (draw(st.integers(1, 3)), size.h, size.w, channels)))


@st.composite
def fully_connected_layers(draw: DrawFn) -> Layer:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.sampled_from([(1,), (7,), (64,), (3, 2, 5), (4, 4, 64), (2500,)]))
    features, out = int(np.prod(size)), draw(st.integers(1, 12))
    act_min, act_max = draw(clamps())
    op = QFullyConnected(
        weights=readonly(random_codes(random, (out, features)), np.int8),
        bias=readonly(random.integers(-20000, 20000, out), np.int32),
        requant=random_requant(random, 1, features),
        input_offset=draw(offsets),
        output_offset=draw(codes),
        act_min=act_min,
        act_max=act_max,
    )
    return layer(op, random_codes(random, (draw(st.integers(1, 3)), *size)))


@st.composite
def pools(draw: DrawFn, kind: type[QMaxPool2d | QAvgPool2d]) -> Layer:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    window = draw(windows(dilated=False))
    op = kind(window["kernel"], window["stride"], window["padding"], *draw(clamps()))
    size, channels = window["size"], draw(st.integers(1, 9))
    return layer(op, random_codes(random, (draw(st.integers(1, 3)), size.h, size.w, channels)))


@st.composite
def adds(draw: DrawFn) -> Layer:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    scales = [draw(st.floats(1e-4, 10.0)) for _ in range(2)]
    widest = 2 * max(scales)
    output = draw(st.floats(widest * 1e-5, widest * 4))
    factors = [scales[0] / widest, scales[1] / widest, widest / ((1 << LEFT_SHIFT) * output)]
    op = QAdd(draw(offsets), draw(offsets), draw(codes), Requant.from_real(factors), *draw(clamps()))
    shape = (draw(st.integers(1, 3)), 3, 5, draw(st.integers(1, 9)))
    return layer(op, random_codes(random, shape), random_codes(random, shape))


def random_codes(random: np.random.Generator, shape: Shape) -> npt.NDArray[np.int8]:
    """Uniform codes; now and then all at one end, where sums are largest."""
    low, high = [(-128, 128), (-128, 128), (-128, 128), (127, 128), (-128, -127)][int(random.integers(5))]
    return random.integers(low, high, shape).astype(np.int8)


def random_requant(random: np.random.Generator, channels: int, terms: int) -> Requant:
    """Factors that spread sums of `terms` products over the output, and some far smaller and larger."""
    usual = 50.0 / (74.0 * 74.0 * np.sqrt(terms)) * random.uniform(0.3, 3.0, channels)
    return Requant.from_real(usual * random.choice([1.0, 1.0, 1.0, 2.0**-12, 2.0**-24, 40.0], channels))
