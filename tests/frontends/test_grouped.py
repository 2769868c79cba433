"""Grouped int8 convolutions of imports, split into slices, a convolution per group and a concatenation."""

import numpy as np
import numpy.typing as npt
import pytest

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.quantized import QuantBuilder
from ptee_mcu.frontends.quantized_weights import Clamp8, Steps, Weights
from ptee_mcu.requant import Requant, requantize
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import HW, Int8, Padding, Quant

SOURCE, OUTPUT, CLAMP, PADDING = Quant(0.05, -3), Quant(0.9, 4), Clamp8(-100, 127), Padding(1, 1, 1, 0)


def weights(out: int, per_group: int) -> Weights:
    random = np.random.default_rng(out)
    return Weights(
        codes=random.integers(-128, 128, (out, 3, 3, per_group)).astype(np.int8),
        scales=random.uniform(0.01, 0.04, out).astype(np.float32),
        bias=random.integers(-3000, 3000, out).astype(np.int32),
    )


def grouped(x: Int8, of: Weights, stride: HW, size: HW) -> npt.NDArray[np.int64]:
    """Sums of one image, output by output and tap by tap over the channels of the output's own group."""
    assert of.bias is not None
    out, _, _, per_group = of.codes.shape
    groups = x.shape[2] // per_group
    sums = np.tile(of.bias.astype(np.int64), (size.h, size.w, 1))
    for y, column, o, i, j in np.ndindex(size.h, size.w, out, 3, 3):
        first = o // (out // groups) * per_group
        row, at = y * stride.h - PADDING.top + i, column * stride.w - PADDING.left + j
        if 0 <= row < x.shape[0] and 0 <= at < x.shape[1]:
            pixel = x[row, at, first : first + per_group].astype(np.int64) - SOURCE.zero_point
            sums[y, column, o] += pixel @ of.codes[o, i, j].astype(np.int64)
    return sums


@pytest.mark.parametrize(
    ("channels", "out", "groups", "stride"),
    [(4, 6, 2, HW(1, 1)), (6, 6, 3, HW(2, 2)), (4, 8, 4, HW(1, 2)), (3, 5, 1, HW(1, 1))],
    ids=str,
)
def test_groups_apart_give_the_bytes_of_the_grouped_convolution(
    channels: int, out: int, groups: int, stride: HW
) -> None:
    of = weights(out, channels // groups)
    b = QuantBuilder.start("grouped", "x", (1, 6, 5, channels), SOURCE)
    graph = b.finish(b.conv2d("conv", "x", OUTPUT, of, Steps(stride, PADDING), CLAMP))
    x = np.random.default_rng(1).integers(-128, 128, (3, 6, 5, channels), dtype=np.int8)
    found = evaluate(graph, x, thresholds=(), record=True).tensors["conv"]
    pairs = Requant.from_real(SOURCE.scale * of.scales.astype(np.float64) / OUTPUT.scale)
    for image, codes in zip(x, found, strict=True):
        sums = grouped(image, of, stride, HW(*codes.shape[:2]))
        expected = np.clip(requantize(sums, pairs) + OUTPUT.zero_point, CLAMP.low, CLAMP.high)
        np.testing.assert_array_equal(codes, expected)
    apart = 1 < groups < channels  # each channel its own group: a depthwise convolution
    assert len(graph.nodes) == (2 * groups + 1 if apart else 1)
    assert len(np.unique(found)) > 20


@pytest.mark.parametrize(("out", "per_group"), [(6, 3), (5, 2), (4, 5), (4, 0)])
def test_groups_that_do_not_divide_are_refused(out: int, per_group: int) -> None:
    b = QuantBuilder.start("grouped", "x", (1, 6, 5, 4), SOURCE)
    with pytest.raises(ModelError, match=rf"conv: weights of shape \({out}, 3, 3, {per_group}\) on 4 channels"):
        b.conv2d("conv", "x", OUTPUT, weights(out, per_group))
