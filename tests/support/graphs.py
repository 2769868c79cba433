"""Random small int8 networks: any ops in any order on any earlier tensor, branches, joins, exits."""

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from support.builder import Builder

from ptee_mcu.quant_graph import QConfidence, QExit, QuantGraph
from ptee_mcu.tensor import HW, Int8, Padding, Quant, window_shape

CLASSES = 3
Step = Callable[[DrawFn, Builder, str], str | None]


def codes_for(graph: QuantGraph, count: int, *, seed: int = 0) -> Int8:
    """`count` random inputs."""
    shape = (count, *graph.input_tensor.shape[1:])
    return np.random.default_rng(seed).integers(-128, 128, shape, dtype=np.int8)


@st.composite
def networks(draw: DrawFn, *, largest_exits: int = 3) -> QuantGraph:
    """A verified network; its thresholds lie where confidences of random inputs do."""
    quant = Quant(0.05, draw(st.integers(-128, 127)))
    b = Builder((1, draw(st.integers(1, 7)), draw(st.integers(1, 7)), draw(st.integers(1, 4))), quant=quant)
    b.random = np.random.default_rng(draw(st.integers(0, 2**32)))
    maps = ["input"]
    exits = draw(st.integers(1, largest_exits))
    for i in range(exits):
        for _ in range(draw(st.integers(1, 4))):
            source = draw(st.sampled_from(maps))
            made = draw(st.sampled_from(STEPS))(draw, b, source)
            if made is not None:
                maps.append(made)
        if i < exits - 1:
            _exit(draw, b, f"exit{i}", draw(st.sampled_from(maps)))
    b.exit("final", _everything(b, maps), CLASSES, final=True)
    return b.graph("random", [draw(st.integers(-40, 40)) for _ in range(exits - 1)])


def _exit(draw: DrawFn, b: Builder, name: str, x: str) -> None:
    """A classifier with a confidence that reads the same map, or the logits."""
    logits = b.linear(x, CLASSES, name=f"{name}.logits")
    confidence = b.linear(draw(st.sampled_from([x, logits])), 1, name=f"{name}.confidence")
    b.exits.append(QExit(name, logits, QConfidence(confidence)))


def _everything(b: Builder, maps: list[str]) -> str:
    """One tensor that depends on every map that nothing has read yet."""
    read = {tensor for node in b.nodes for tensor in node.inputs}
    loose = [tensor for tensor in maps if tensor not in read] or [maps[-1]]
    pooled = [b.avg_pool(tensor, HW(*b.shape(tensor)[1:3]), HW(1, 1)) for tensor in loose]
    return pooled[0] if len(pooled) == 1 else b.concat(*pooled)


def _window(draw: DrawFn, b: Builder, x: str, *, dilated: bool) -> tuple[HW, HW, Padding, HW] | None:
    """Kernel, stride, padding and dilation that fit `x`; None where those drawn do not."""
    _, h, w, _ = b.shape(x)
    kernel = HW(draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    stride = HW(draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    dilation = HW(draw(st.integers(1, 2)), draw(st.integers(1, 2))) if dilated else HW(1, 1)
    sides = (kernel.h, kernel.w, kernel.h, kernel.w)
    padding = Padding(*(draw(st.integers(0, side - 1)) for side in sides))
    out = window_shape(HW(h, w), kernel, stride, padding, dilation)
    return (kernel, stride, padding, dilation) if min(out.h, out.w) > 0 else None


def _conv(draw: DrawFn, b: Builder, x: str) -> str | None:
    if (window := _window(draw, b, x, dilated=True)) is None:
        return None
    kernel, stride, padding, dilation = window
    out = draw(st.integers(1, 5))
    return b.conv(x, out, kernel, stride=stride, padding=padding, dilation=dilation, zero_point=draw(ZERO_POINTS))


def _depthwise(draw: DrawFn, b: Builder, x: str) -> str | None:
    if (window := _window(draw, b, x, dilated=True)) is None:
        return None
    kernel, stride, padding, dilation = window
    multiplier = draw(st.sampled_from([1, 1, 2, 4]))
    return b.depthwise(x, kernel, multiplier=multiplier, stride=stride, padding=padding, dilation=dilation)


def _max_pool(draw: DrawFn, b: Builder, x: str) -> str | None:
    window = _window(draw, b, x, dilated=False)
    return window and b.max_pool(x, window[0], window[1], padding=window[2], act=draw(ACTS))


def _avg_pool(draw: DrawFn, b: Builder, x: str) -> str | None:
    window = _window(draw, b, x, dilated=False)
    return window and b.avg_pool(x, window[0], window[1], padding=window[2], act=draw(ACTS))


def _add(draw: DrawFn, b: Builder, x: str) -> str:
    """With any earlier tensor of this shape, itself included."""
    same = [tensor for tensor, of in b.tensors.items() if of.shape == b.shape(x)]
    return b.add(x, draw(st.sampled_from(same)))


def _mul(draw: DrawFn, b: Builder, x: str) -> str:
    """With any earlier tensor of this shape, itself included, or a gate per channel."""
    h, w = b.shape(x)[1:3]
    same = [tensor for tensor, of in b.tensors.items() if of.shape == b.shape(x)]
    gate = draw(st.booleans())
    other = b.avg_pool(x, HW(h, w), HW(1, 1)) if gate else draw(st.sampled_from(same))
    return b.mul(x, other, act=draw(ACTS))


def _lookup(_: DrawFn, b: Builder, x: str) -> str:
    return b.lookup(x)


def _prelu(draw: DrawFn, b: Builder, x: str) -> str:
    return b.prelu(x, slopes=Quant(0.01, draw(ZERO_POINTS)))


def _concat(draw: DrawFn, b: Builder, x: str) -> str:
    same = [tensor for tensor, of in b.tensors.items() if of.shape[:-1] == b.shape(x)[:-1] and len(of.shape) == 4]
    return b.concat(x, *draw(st.lists(st.sampled_from(same), min_size=1, max_size=2)))


def _pad(draw: DrawFn, b: Builder, x: str) -> str:
    padding = Padding(*(draw(st.integers(0, 2)) for _ in range(4)))
    return b.pad(x, padding, draw(st.integers(0, 2)), draw(st.integers(0, 2)))


def _slice(draw: DrawFn, b: Builder, x: str) -> str:
    _, h, w, c = b.shape(x)
    start = HW(draw(st.integers(0, h - 1)), draw(st.integers(0, w - 1)))
    step = HW(draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    first = draw(st.integers(0, c - 1))
    shape = (1, -(-(h - start.h) // step.h), -(-(w - start.w) // step.w), c - first)
    return b.slice(x, shape, start=start, step=step, channel_start=first)


ZERO_POINTS = st.integers(-128, 127)
ACTS = st.sampled_from([(-128, 127), (-20, 50)])
STEPS: tuple[Step, ...] = (
    _conv, _conv, _depthwise, _max_pool, _avg_pool, _add, _concat, _pad, _slice, _mul, _lookup, _prelu,
)  # fmt: skip
