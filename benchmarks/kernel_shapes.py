"""Networks of one layer kind in many shapes, drawn by a seed: what kernel rates are fitted to and tested on."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from support.builder import INPUT, ONE, Builder

from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import HW, Padding

_IMAGE = (1, 24, 24, 80)  # every layer reads a part of it

Layer = Callable[[Builder, np.random.Generator], str]


def network(layer: Layer, count: int, seed: int) -> tuple[QuantGraph, tuple[str, ...]]:
    """A network of `count` layers side by side, and their nodes' names."""
    random = np.random.default_rng(seed)
    builder, ends, names = Builder(_IMAGE, seed=seed), [], []
    for _ in range(count):
        made = layer(builder, random)
        names.append(builder.nodes[-1].name)
        # One element of each leads to the exit, so that none is dead and few bytes stay alive.
        flat = builder.shape(made)[:-1] == (1,)
        ends.append(made if flat else builder.slice(made, (1, 1, 1, 1)))
    shape = len(builder.shape(ends[0]))
    assert all(len(builder.shape(end)) == shape for end in ends)
    builder.exit("final", builder.concat(*ends), 2, final=True)
    return builder.graph("sweep"), tuple(names)


def _cut(b: Builder, random: np.random.Generator, channels: int, least: HW = ONE, largest: int = 12) -> str:
    h, w = (int(random.integers(max(low, 2), max(low, largest) + 1)) for low in (least.h, least.w))
    return b.cut(HW(h, w), channels, INPUT)


def _channels(random: np.random.Generator, most: int = 64) -> int:
    """Multiples of four as often as not, as networks have them; now and then fewer than four."""
    if random.random() < 0.15:
        return int(random.integers(1, 4))
    found = int(random.integers(1, most + 1))
    return max(4, found // 4 * 4) if random.random() < 0.5 else found


def _kernel(random: np.random.Generator) -> HW:
    square = int(random.choice([1, 2, 3, 3, 3, 5]))
    return HW(square, square) if random.random() < 0.7 else HW(*(int(k) for k in random.integers(1, 6, 2)))


def _stride(random: np.random.Generator) -> HW:
    step = int(random.choice([1, 1, 2]))
    return HW(step, step)


def _padding(random: np.random.Generator, kernel: HW) -> Padding:
    if random.random() < 0.4:
        return Padding()
    return Padding.same((kernel.h - 1) // 2, (kernel.w - 1) // 2)


def convolution(b: Builder, random: np.random.Generator) -> str:
    """arm_convolve_s8: anything but 1x1 without a stride."""
    kernel, stride = _kernel(random), _stride(random)
    if kernel == ONE:
        stride = HW(2, 2)
    channels = _channels(random, 48)
    out = _channels(random, min(64, max(8, 40_000 // (channels * kernel.h * kernel.w * 4))))
    x = _cut(b, random, channels, kernel)
    return b.conv(x, out, kernel, stride=stride, padding=_padding(random, kernel))


def pointwise(b: Builder, random: np.random.Generator) -> str:
    """arm_convolve_1x1_s8_fast."""
    return b.conv(_cut(b, random, _channels(random, 80)), _channels(random), ONE)


def depthwise_3x3(b: Builder, random: np.random.Generator) -> str:
    """arm_depthwise_conv_3x3_s8."""
    pad = int(random.integers(0, 2))
    x = _cut(b, random, _channels(random), HW(3, 3), 16)
    return b.depthwise(x, stride=_stride(random), padding=Padding.same(pad, pad))


def depthwise_columns(b: Builder, random: np.random.Generator) -> str:
    """arm_depthwise_conv_s8_opt where the instruction set has it."""
    kernel = [HW(5, 5), HW(2, 2), HW(10, 4), HW(3, 5), HW(4, 4), HW(1, 3)][int(random.integers(6))]
    x = _cut(b, random, _channels(random), kernel)
    return b.depthwise(x, kernel, stride=_stride(random), padding=_padding(random, kernel))


def depthwise_tiled(b: Builder, random: np.random.Generator) -> str:
    """depthwise_conv_s8_mult_4: a channel multiplier of four or eight."""
    kernel, multiplier = _kernel(random), int(random.choice([4, 8]))
    x = _cut(b, random, int(random.integers(1, 9)), kernel)
    return b.depthwise(x, kernel, multiplier=multiplier, stride=_stride(random), padding=_padding(random, kernel))


def depthwise_direct(b: Builder, random: np.random.Generator) -> str:
    """depthwise_conv_s8_generic: dilated, or an odd channel multiplier."""
    kernel = HW(*(int(k) for k in random.integers(2, 5, 2)))
    dilation = HW(*(int(d) for d in random.integers(1, 3, 2)))
    multiplier = int(random.choice([2, 3])) if dilation == ONE else 1
    reach = HW(dilation.h * (kernel.h - 1) + 1, dilation.w * (kernel.w - 1) + 1)
    x = _cut(b, random, _channels(random, 24), reach)
    padding = _padding(random, reach)
    return b.depthwise(x, kernel, multiplier=multiplier, stride=_stride(random), padding=padding, dilation=dilation)


def fully_connected(b: Builder, random: np.random.Generator) -> str:
    """arm_fully_connected_s8."""
    features = int(random.choice([1, 2, 3, 4])) if random.random() < 0.1 else _channels(random, 80)
    h, w = (int(side) for side in random.integers(1, 6, 2))
    x = b.cut(HW(h, w), features, INPUT)
    return b.linear(x, 1 if random.random() < 0.1 else int(random.integers(1, 65)))


def fully_connected_per_channel(b: Builder, random: np.random.Generator) -> str:
    """ptee_per_channel_fully_connected: arm_convolve_1x1_s8_fast on one pixel."""
    x = b.cut(HW(*(int(side) for side in random.integers(1, 4, 2))), _channels(random, 80), INPUT)
    return b.linear(x, int(random.integers(2, 65)), per_channel=True)


def transposed_convolution(b: Builder, random: np.random.Generator) -> str:
    """ptee_transposed_conv2d."""
    kernel, step = int(random.integers(1, 5)), int(random.choice([1, 2, 2]))
    x = _cut(b, random, _channels(random, 32), largest=5)
    padding = Padding.same((kernel - 1) // 2, (kernel - 1) // 2)
    return b.transposed(x, _channels(random, 16), HW(kernel, kernel), stride=HW(step, step), padding=padding)


def average_pool(b: Builder, random: np.random.Generator) -> str:
    """arm_avgpool_s8."""
    return _pooled(b.avg_pool, b, random)


def max_pool(b: Builder, random: np.random.Generator) -> str:
    """arm_max_pool_s8."""
    return _pooled(b.max_pool, b, random)


def _pooled(pool: Callable[..., str], b: Builder, random: np.random.Generator) -> str:
    side = int(random.integers(2, 9))
    kernel = HW(side, side)
    x = _cut(b, random, _channels(random), kernel)
    stride = kernel if random.random() < 0.6 else HW(2, 2)
    return pool(x, kernel, stride, padding=Padding() if random.random() < 0.6 else Padding.same(side // 3, side // 3))


def addition(b: Builder, random: np.random.Generator) -> str:
    """ptee_add."""
    size, channels = HW(*(int(side) for side in random.integers(1, 17, 2))), _channels(random)
    return b.add(b.cut(size, channels, INPUT), b.cut(size, channels, INPUT, start=1))


def table(b: Builder, random: np.random.Generator) -> str:
    """ptee_lookup."""
    return b.lookup(_cut(b, random, _channels(random), largest=16))


def multiplication(b: Builder, random: np.random.Generator) -> str:
    """ptee_mul: two tensors of one shape, or a map and a gate per channel."""
    size, channels = HW(*(int(side) for side in random.integers(1, 17, 2))), _channels(random)
    second = b.cut(ONE if random.random() < 0.5 else size, channels, INPUT, start=1)
    return b.mul(b.cut(size, channels, INPUT), second)


def parametric_relu(b: Builder, random: np.random.Generator) -> str:
    """ptee_prelu."""
    return b.prelu(_cut(b, random, _channels(random), largest=16))


def concatenation(b: Builder, random: np.random.Generator) -> str:
    """ptee_concat."""
    size = HW(*(int(side) for side in random.integers(1, 13, 2)))
    return b.concat(*(b.cut(size, _channels(random, 80), INPUT) for _ in range(int(random.integers(2, 4)))))


def padded(b: Builder, random: np.random.Generator) -> str:
    """ptee_pad."""
    sides = Padding(*(int(side) for side in random.integers(0, 3, 4)))
    before, after = (int(c) * int(random.choice([1, 4])) for c in random.integers(0, 5, 2))
    return b.pad(_cut(b, random, _channels(random, 40)), sides, before, after)


def sliced(b: Builder, random: np.random.Generator) -> str:
    """ptee_slice."""
    channels = _channels(random, 40)
    x = _cut(b, random, channels)
    _, h, w, c = b.shape(x)
    first = int(random.integers(0, c)) // 4 * 4
    step = _stride(random)
    return b.slice(x, (1, -(-h // step.h), -(-w // step.w), c - first), step=step, channel_start=first)


def reshaped(b: Builder, random: np.random.Generator) -> str:
    """ptee_reshape."""
    _, h, w, c = b.shape(x := _cut(b, random, _channels(random)))
    return b.reshape(x, (1, w, h, c))


def enlarged(b: Builder, random: np.random.Generator) -> str:
    """ptee_resize."""
    scale = HW(*(int(side) for side in random.integers(1, 4, 2)))
    return b.resize(_cut(b, random, _channels(random, 40), largest=6), scale)


def averaged(b: Builder, random: np.random.Generator) -> str:
    """ptee_mean."""
    return b.mean(_cut(b, random, _channels(random)))


LAYERS: Mapping[str, Layer] = MappingProxyType(
    {
        layer.__name__: layer
        for layer in (
            convolution, pointwise, depthwise_3x3, depthwise_columns, depthwise_tiled, depthwise_direct,
            fully_connected, average_pool, max_pool, addition, concatenation, padded, sliced,
            table, multiplication, parametric_relu,
            fully_connected_per_channel, transposed_convolution, reshaped, enlarged, averaged,
        )
    }
)  # fmt: skip
