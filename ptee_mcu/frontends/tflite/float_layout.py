"""TFLite operators that move, join or rename elements, as graph nodes or as nothing at all."""

from dataclasses import replace
from math import prod

import numpy as np

from ptee_mcu.frontends.tflite.float_trace import Call, Value
from ptee_mcu.frontends.tflite.options import (
    ConcatOptions,
    ReshapeOptions,
    ResizeOptions,
    SqueezeOptions,
)
from ptee_mcu.frontends.tflite.shape_arithmetic import completed
from ptee_mcu.frontends.tflite.tail import require_over_classes
from ptee_mcu.ops import Concat, Pad, ResizeNearest
from ptee_mcu.tensor import HW, Padding


def reshape(call: Call) -> Value:
    """The same elements under another shape; a node appears where an op needs one."""
    x = call.alias_value()
    given = len(call.op.inputs) > 1 and call.is_constant(1)
    wanted = call.integers(1) if given else call.op.read(ReshapeOptions).shape
    shape = completed(wanted, prod(x.shape))
    if shape is None:
        raise call.fault(f"it asks for the shape {wanted} of {prod(x.shape)} elements")
    return call.alias(x, shape)


def squeeze(call: Call) -> Value:
    """Without the axes named, or all of extent 1."""
    x = call.alias_value()
    axes = {_axis(call, axis, len(x.shape)) for axis in call.op.read(SqueezeOptions).axes}
    axes = axes or {i for i, extent in enumerate(x.shape) if extent == 1}
    if any(x.shape[axis] != 1 for axis in axes):
        raise call.fault(f"it drops axes {sorted(axes)} of {x.shape}")
    return call.alias(x, tuple(extent for i, extent in enumerate(x.shape) if i not in axes))


def expand_dims(call: Call) -> Value:
    """With an axis of extent 1 more."""
    x = call.alias_value()
    axes = call.integers(1)
    if len(axes) != 1:
        raise call.fault(f"it adds {len(axes)} axes, not one")
    at = _axis(call, axes[0], len(x.shape) + 1)
    return call.alias(x, (*x.shape[:at], 1, *x.shape[at:]))


def transpose(call: Call) -> Value:
    """Nothing, where only axes of extent 1 move."""
    x = call.alias_value()
    order = call.integers(1)
    if sorted(order) != list(range(len(x.shape))):
        raise call.fault(f"it orders {len(x.shape)} axes as {order}")
    moved = [axis for axis in order if x.shape[axis] > 1]
    if moved != sorted(moved):
        raise call.refuse(
            f"it moves the axes of {x.shape} to the order {order}", "keep (1, H, W, C); other layouts have no form here"
        )
    return call.alias(x, tuple(x.shape[axis] for axis in order))


def concatenation(call: Call) -> Value:
    """Concat along the channels."""
    options = call.op.read(ConcatOptions)
    parts = [call.value(i) for i in range(len(call.op.inputs))]
    if not parts:
        raise call.fault("it joins nothing")
    rank = len(parts[0].shape)
    if any(len(part.shape) != rank for part in parts):
        raise call.fault(f"it joins shapes {[part.shape for part in parts]}")
    if _axis(call, options.axis, rank) != rank - 1:
        raise call.refuse(f"it joins axis {options.axis} of {parts[0].shape}", "only channels, the last axis, can be")
    shape = (*parts[0].shape[:-1], sum(part.shape[-1] for part in parts))
    joined = call.emit(Concat(), *(call.in_graph_shape(part) for part in parts), shape=shape)
    return call.clamp(joined, options.fused)


def pad(call: Call) -> Value:
    """Pad with zeros."""
    x = call.value()
    rank = len(x.shape)
    amounts = call.integers(1)
    if len(amounts) != 2 * rank or not 1 <= rank <= 4:
        raise call.fault(f"it pads {rank} axes by {len(amounts)} numbers")
    if call.op.kind == "PADV2" and np.any(call.real(2) != 0):
        raise call.refuse("it pads with something else than zeros", "pad with zeros")
    pairs = [(0, 0)] * (4 - rank) + list(zip(amounts[::2], amounts[1::2], strict=True))
    if min(amounts) < 0 or pairs[0] != (0, 0):
        raise call.refuse(f"it pads by {amounts}", "only H, W and channels can be padded, by 0 or more")
    if not any(amounts):
        return x
    tensor, _ = call.image(x)
    (top, bottom), (left, right), channels = pairs[1:]
    shape = tuple(extent + sum(pair) for extent, pair in zip(x.shape, pairs[4 - rank :], strict=True))
    return call.emit(Pad(Padding(top, left, bottom, right), *channels), tensor, shape=shape)


def resize_nearest(call: Call) -> Value:
    """ResizeNearest by whole factors."""
    tensor, (_, h, w, _) = call.image(call.value())
    size = call.integers(1)
    if len(size) != 2 or min(size) < 1:
        raise call.fault(f"it resizes to {size}")
    # With whole factors both rules for pixel centers pick the same pixel; aligned corners do not.
    if call.op.read(ResizeOptions).align_corners or size[0] % h or size[1] % w:
        raise call.refuse(f"it resizes {h}x{w} to {size[0]}x{size[1]}", "enlarge by whole factors, corners not aligned")
    return call.emit(ResizeNearest(HW(size[0] // h, size[1] // w)), tensor)


def tile(call: Call) -> Value:
    """ResizeNearest: an axis of extent 1 repeated, as the Keras converter enlarges an image."""
    x, times = call.value(), call.integers(1)
    if len(times) != len(x.shape) or min(times, default=0) < 1:
        raise call.fault(f"it repeats {x.shape} by {times}")
    repeated = [axis for axis, count in enumerate(times) if count > 1]
    if not repeated:
        return x
    at = repeated[0]
    if len(repeated) > 1 or x.shape[at] != 1 or at == 0:
        raise call.refuse(f"it repeats {x.shape} by {times}", "only one axis of extent 1 can be repeated")
    before, after = x.shape[:at], x.shape[at + 1 :]
    shape = tuple(extent * count for extent, count in zip(x.shape, times, strict=True))
    if len(after) == 1:  # pixels of a row
        image, scale = (1, prod(before[:-1]), before[-1], after[0]), HW(1, times[at])
    else:  # rows
        image, scale = (1, prod(before), prod(after[:-1]), prod(after[-1:])), HW(times[at], 1)
    return call.emit(ResizeNearest(scale), call.in_graph_shape(replace(x, shape=image)), shape=shape)


def softmax(call: Call) -> Value:
    """Nothing: a final softmax is an attribute of the graph."""
    x = call.value()
    require_over_classes(call.model, call.op, x.shape)
    return replace(x, softmax=call.op)


def _axis(call: Call, axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise call.fault(f"it names axis {axis} of {rank}")
    return axis % rank
