"""Layers that call CMSIS-NN: that each descriptor field reaches the library, against a plain statement in numpy."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from runtime.descriptors import Conv2d, DepthwiseConv2d, FullyConnected, Pool2d
from runtime.native import Int8, Runtime

Int64 = npt.NDArray[np.int64]
Pair = tuple[int, int]

OK, KERNEL_ERROR = 0, 10


def requantize(value: Int64, multiplier: Int64, shift: Int64) -> Int64:
    """Source: arm_nn_requantize, CMSIS-NN 4.0.0, with double rounding."""
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    high = ((value << left) * multiplier + (1 << 30)) >> 31
    rounded: Int64 = np.sign(high) * ((2 * np.abs(high) + (1 << right)) >> (right + 1))
    return rounded


@dataclass(frozen=True)
class Window:
    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    padding: Pair = (1, 1)  # top, left
    end_padding: Pair | None = None  # bottom, right; as at the start if None
    dilation: Pair = (1, 1)
    size: Pair = (7, 6)
    channels: Pair = (5, 6)  # input, output

    def output(self, axis: int) -> int:
        end = (self.end_padding or self.padding)[axis]
        span = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        return (self.size[axis] + self.padding[axis] + end - span) // self.stride[axis] + 1

    def fields(self) -> dict[str, int]:
        """What convolutions and pools share."""
        names = {"kernel": self.kernel, "stride": self.stride, "padding": self.padding, "input": self.size}
        pairs = {f"{name}_{axis}": pair[i] for name, pair in names.items() for i, axis in enumerate("hw")}
        return pairs | {"output_h": self.output(0), "output_w": self.output(1)}

    def patches(self, image: Int8, fill: int) -> tuple[Int64, npt.NDArray[np.bool_]]:
        """[output_h, output_w, kernel_h, kernel_w, c] and which of them lie inside the image."""
        h, w, c = image.shape
        values = np.full((self.output(0), self.output(1), *self.kernel, c), fill, np.int64)
        within = np.zeros(values.shape, np.bool_)
        for y, x, i, j in np.ndindex(values.shape[:4]):
            row = y * self.stride[0] - self.padding[0] + i * self.dilation[0]
            column = x * self.stride[1] - self.padding[1] + j * self.dilation[1]
            if 0 <= row < h and 0 <= column < w:
                values[y, x, i, j] = image[row, column]
                within[y, x, i, j] = True
        return values, within


CONVOLUTIONS = {
    "3x3 same": Window(),
    "3x3 stride 2, padded at the end only": Window(stride=(2, 2), padding=(0, 0), end_padding=(1, 1), size=(8, 8)),
    "5x2, everything differs": Window((5, 2), (2, 3), (2, 1), (1, 0), (1, 2), (11, 13), (3, 7)),
    "dilated": Window(dilation=(2, 2), padding=(2, 2)),
    "1x1": Window((1, 1), padding=(0, 0)),
    "1x1 stride 2": Window((1, 1), (2, 2), (0, 0), size=(8, 6), channels=(16, 8)),
    "1xN": Window((1, 5), (1, 1), (0, 2), size=(1, 8), channels=(4, 3)),
    "one channel in, one out": Window(channels=(1, 1)),
    "many channels": Window(channels=(33, 17), size=(4, 4)),
}
ARITHMETIC = ((128, 5, -128, 127), (-127, -128, -128, 127), (3, 127, -20, 101))  # offsets in and out, clamp


def random_channels(rng: np.random.Generator, count: int) -> dict[str, npt.NDArray[np.int32]]:
    """Bias and requantization per channel; multipliers and shifts vary, left shifts among them."""
    return {
        "bias": rng.integers(-20000, 20000, count).astype(np.int32),
        "multiplier": rng.integers(1 << 30, 1 << 31, count).astype(np.int32),
        "shift": rng.choice([-12, -9, -8, -7, -6, 0, 1], count).astype(np.int32),
    }


def finish(sums: Int64, channels: dict[str, npt.NDArray[np.int32]], offset: int, low: int, high: int) -> Int8:
    wide = {name: value.astype(np.int64) for name, value in channels.items()}
    codes = requantize(sums + wide["bias"], wide["multiplier"], wide["shift"]) + offset
    return np.clip(codes, low, high).astype(np.int8)


@pytest.mark.parametrize("arithmetic", ARITHMETIC, ids=str)
@pytest.mark.parametrize("window", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_conv2d_equals_its_arithmetic(runtime: Runtime, window: Window, arithmetic: tuple[int, int, int, int]) -> None:
    rng = np.random.default_rng(1)
    offset_in, offset_out, low, high = arithmetic
    input_c, output_c = window.channels
    image = rng.integers(-128, 128, (*window.size, input_c), dtype=np.int8)
    weights = rng.integers(-128, 128, (output_c, *window.kernel, input_c), dtype=np.int8)
    channels = random_channels(rng, output_c)
    op = Conv2d(
        weights=weights,
        **channels,
        **window.fields(),
        input_c=input_c,
        output_c=output_c,
        dilation_h=window.dilation[0],
        dilation_w=window.dilation[1],
        input_offset=offset_in,
        output_offset=offset_out,
        act_min=low,
        act_max=high,
    )
    patches, _ = window.patches(image, -offset_in)
    sums = np.einsum("yxijc,oijc->yxo", patches + offset_in, weights.astype(np.int64))
    expected = finish(sums, channels, offset_out, low, high)
    pointwise = {*window.kernel, *window.stride} == {1} and not any(window.padding)
    for kernel in ["ptee_conv2d", *(["ptee_pointwise_conv2d"] if pointwise else [])]:
        op.scratch_bytes = runtime.scratch_bytes(kernel, op)
        output = runtime.kernel(kernel, op, image, expected.size).reshape(expected.shape)
        np.testing.assert_array_equal(output, expected)


DEPTHWISE = {
    "3x3": Window(channels=(5, 5)),
    "3x3 stride 2": Window(stride=(2, 2), padding=(0, 0), end_padding=(1, 1), size=(8, 8), channels=(8, 8)),
    "5x2, everything differs": Window((5, 2), (2, 3), (2, 1), (1, 0), (1, 1), (11, 13), (7, 7)),
    "dilated": Window(dilation=(1, 2), padding=(1, 2), channels=(4, 4)),
    "multiplier 2": Window(channels=(3, 6)),
    "multiplier 4": Window(channels=(2, 8)),
    "one channel becomes eight": Window((10, 8), (2, 2), (4, 3), (5, 4), size=(12, 10), channels=(1, 8)),
}


@pytest.mark.parametrize("arithmetic", ARITHMETIC, ids=str)
@pytest.mark.parametrize("window", DEPTHWISE.values(), ids=DEPTHWISE)
def test_depthwise_conv2d_equals_its_arithmetic(
    runtime: Runtime, window: Window, arithmetic: tuple[int, int, int, int]
) -> None:
    rng = np.random.default_rng(2)
    offset_in, offset_out, low, high = arithmetic
    input_c, output_c = window.channels
    image = rng.integers(-128, 128, (*window.size, input_c), dtype=np.int8)
    weights = rng.integers(-128, 128, (*window.kernel, output_c), dtype=np.int8)
    channels = random_channels(rng, output_c)
    op = DepthwiseConv2d(
        weights=weights,
        **channels,
        **window.fields(),
        input_c=input_c,
        output_c=output_c,
        channel_multiplier=output_c // input_c,
        dilation_h=window.dilation[0],
        dilation_w=window.dilation[1],
        input_offset=offset_in,
        output_offset=offset_out,
        act_min=low,
        act_max=high,
    )
    op.scratch_bytes = runtime.scratch_bytes("ptee_depthwise_conv2d", op)
    patches, _ = window.patches(image, -offset_in)
    repeated = np.repeat(patches + offset_in, output_c // input_c, axis=-1)
    expected = finish(np.einsum("yxijo,ijo->yxo", repeated, weights.astype(np.int64)), channels, offset_out, low, high)
    output = runtime.kernel("ptee_depthwise_conv2d", op, image, expected.size).reshape(expected.shape)
    np.testing.assert_array_equal(output, expected)


@pytest.mark.parametrize("shift", [-9, 0, 1])
@pytest.mark.parametrize("arithmetic", ARITHMETIC, ids=str)
@pytest.mark.parametrize("features", [(1, 1), (64, 10), (70001, 3), (37, 7)], ids=str)
def test_fully_connected_equals_its_arithmetic(
    runtime: Runtime, features: Pair, arithmetic: tuple[int, int, int, int], shift: int
) -> None:
    rng = np.random.default_rng(3)
    offset_in, offset_out, low, high = arithmetic
    codes = rng.integers(-128, 128, features[0], dtype=np.int8)
    weights = rng.integers(-128, 128, features[::-1], dtype=np.int8)
    bias = rng.integers(-2000, 2000, features[1]).astype(np.int32)
    multiplier = int(rng.integers(1 << 30, 1 << 31))
    op = FullyConnected(
        weights=weights,
        bias=bias + offset_in * weights.sum(axis=1, dtype=np.int32),
        multiplier=multiplier,
        shift=shift,
        input_features=features[0],
        output_features=features[1],
        output_offset=offset_out,
        act_min=low,
        act_max=high,
    )
    sums = weights.astype(np.int64) @ (codes.astype(np.int64) + offset_in)
    per_tensor = {
        "bias": bias,
        "multiplier": np.full(features[1], multiplier, np.int32),
        "shift": np.full(features[1], shift, np.int32),
    }
    expected = finish(sums, per_tensor, offset_out, low, high)
    np.testing.assert_array_equal(runtime.kernel("ptee_fully_connected", op, codes, features[1]), expected)


POOLS = {
    "2x2": Window((2, 2), (2, 2), (0, 0), size=(8, 8), channels=(6, 6)),
    "3x3 padded": Window((3, 3), (2, 2), (1, 1), size=(7, 7), channels=(5, 5)),
    "everything differs": Window((4, 3), (3, 2), (1, 0), (2, 1), size=(11, 9), channels=(3, 3)),
    "global": Window((8, 8), (8, 8), (0, 0), size=(8, 8), channels=(64, 64)),
    "longer than 255": Window((300, 1), (300, 1), (0, 0), size=(300, 1), channels=(2, 2)),
}


def pool(window: Window, low: int, high: int) -> Pool2d:
    return Pool2d(**window.fields(), channels=window.channels[0], act_min=low, act_max=high)


@pytest.mark.parametrize("clamp", [(-128, 127), (-7, 30)], ids=str)
@pytest.mark.parametrize("window", POOLS.values(), ids=POOLS)
def test_max_pool2d_equals_its_arithmetic(runtime: Runtime, window: Window, clamp: Pair) -> None:
    image = np.random.default_rng(4).integers(-128, 128, (*window.size, window.channels[0]), dtype=np.int8)
    expected = np.clip(window.patches(image, -128)[0].max(axis=(2, 3)), *clamp)
    output = runtime.kernel("ptee_max_pool2d", pool(window, *clamp), image, expected.size)
    np.testing.assert_array_equal(output.reshape(expected.shape), expected)


@pytest.mark.parametrize("clamp", [(-128, 127), (-7, 30)], ids=str)
@pytest.mark.parametrize("window", POOLS.values(), ids=POOLS)
def test_avg_pool2d_rounds_half_away_and_leaves_padding_out(runtime: Runtime, window: Window, clamp: Pair) -> None:
    image = np.random.default_rng(5).integers(-128, 128, (*window.size, window.channels[0]), dtype=np.int8)
    patches, within = window.patches(image, 0)
    total, count = patches.sum(axis=(2, 3)), within.sum(axis=(2, 3))
    expected = np.clip(np.sign(total) * ((np.abs(total) + count // 2) // count), *clamp)
    op = pool(window, *clamp)
    op.scratch_bytes = runtime.scratch_bytes("ptee_avg_pool2d", op)
    output = runtime.kernel("ptee_avg_pool2d", op, image, expected.size)
    np.testing.assert_array_equal(output.reshape(expected.shape), expected)


def test_a_kernel_that_needs_scratch_and_gets_none_returns_an_error(runtime: Runtime) -> None:
    image = np.zeros((4, 4, 1), np.int8)
    window = Window(size=(4, 4), channels=(1, 1))
    one = np.ones(1, np.int32)
    op = Conv2d(
        weights=np.zeros((1, 3, 3, 1), np.int8),
        bias=one,
        multiplier=one,
        shift=one,
        **window.fields(),
        input_c=1,
        output_c=1,
        dilation_h=1,
        dilation_w=1,
    )
    assert runtime.scratch_bytes("ptee_conv2d", op) == 2 * 2 * 9
    assert runtime.kernel_without_scratch("ptee_conv2d", op, image, 16) == KERNEL_ERROR
