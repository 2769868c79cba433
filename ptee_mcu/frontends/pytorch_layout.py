"""ATen calls that move or copy elements, as graph nodes or as nothing at all."""

from math import prod

from torch import fx

from ptee_mcu.frontends.pytorch_trace import Call, Value, nhwc
from ptee_mcu.ops import Concat, Flatten, Pad, Reshape, ResizeNearest, Slice, Span
from ptee_mcu.tensor import HW, Float, Padding, Shape


def cat(call: Call) -> Value:
    """Concat along the channels."""
    parts = [call.tensor(argument) for argument in call["tensors"]]
    if call["dim"] % len(call.shape) != 1 or len(call.shape) not in (2, 3, 4):
        raise call.refuse(f"joins dimension {call['dim']} of {len(call.shape)}", "only channels (dimension 1) can be")
    if any(part.order for part in parts):
        raise call.refuse("joins feature maps that were flattened before", "join them first, then flatten")
    return call.emit(Concat(), *parts)


def reshape(call: Call) -> Value:
    """Flatten, nothing where only dimensions of size 1 come or go, or Reshape where channels stay channels."""
    x = call.value(flattened=True)
    shape = x.shape
    if call.shape == shape:
        return x
    if len(shape) in (3, 4) and call.shape == (1, call.trace.elements(x)):
        _, h, w, c = nhwc(shape)
        flat = call.emit(Flatten(), x, label="flatten")
        return Value(flat.tensor, call.shape, (c, h, w) if c > 1 and h * w > 1 else None)
    # A 1x1 map keeps its order under any shape; only (1, C) needs a node, for the graph to have two dimensions.
    pixel = call.trace.shapes[x.tensor][:-1] == (1, 1, 1)
    if pixel and call.shape == (1, call.trace.elements(x)):
        return call.emit(Flatten(), x, label="flatten")
    if pixel and call.shape[:2] == shape[:2]:
        return call.alias(x)
    if _keeps_channels(x, call.shape):
        return _reshaped(call, x)
    raise call.refuse(
        f"reshapes {shape} to {call.shape}",
        "only flattening to (1, features), and other heights and widths of the same channels, are supported; channel "
        "shuffles and other layouts are not",
    )


def _keeps_channels(x: Value, shape: Shape) -> bool:
    """Whether `shape` is a map whose pixels, in order, are those of `x`: its bytes in the graph stay where they are."""
    if len(shape) not in (3, 4) or shape[0] != 1:
        return False
    flat = len(x.shape) == 2 and x.order is None
    channels = x.order[0] if x.order else x.shape[1]
    return (flat and (shape[1] == 1 or prod(shape[2:]) == 1)) or (not flat and shape[1] == channels)


def _reshaped(call: Call, x: Value) -> Value:
    shape = nhwc(call.shape)
    if call.trace.shapes[x.tensor] == shape:
        return Value(x.tensor, call.shape)
    return Value(call.emit(Reshape(shape), x, label="reshape").tensor, call.shape)


def upsample_nearest(call: Call) -> Value:
    """ResizeNearest."""
    x = call.value("input", rank=call.map_rank)
    (_, h, w, _), (_, out_h, out_w, _) = nhwc(x.shape), nhwc(call.shape)
    factors = call["scale_factors"] or ()  # PyTorch divides by them, not by the size they round down to
    if out_h % h or out_w % w or any(factor % 1 for factor in factors):
        by = f" by factors {tuple(factors)}" if factors else ""
        raise call.refuse(f"resizes {h}x{w} to {out_h}x{out_w}{by}", "only whole factors are supported")
    scale = HW(out_h // h, out_w // w)
    return call.alias(x) if scale == HW(1, 1) else call.emit(ResizeNearest(scale), x)


def pad(call: Call) -> Value:
    """Pad with zeros."""
    x = call.value(rank=3 if len(call.shape) == 3 else 4)
    mode = "constant" if "constant_pad" in str(call.node.target) else call["mode"]
    if mode != "constant" or call["value"]:
        raise call.refuse(f"pads with {mode} {call['value'] or ''}".strip(), "only zeros are supported")
    given = list(call["pad"])
    if len(call.shape) == 3:  # a line has no height
        given[2:2] = [0, 0]
    amounts = [*given, *[0] * 8][:8]
    left, right, top, bottom, before, after, *batch = amounts
    if min(amounts) < 0 or any(batch):
        raise call.refuse(
            f"pads by {call['pad']}", "slice instead of padding by a negative amount; never pad the batch"
        )
    if not any(amounts):
        return x
    return call.emit(Pad(Padding(top, left, bottom, right), before, after), x)


def strided_slice(call: Call) -> Value:
    """Slice; slices of several dimensions in a row become one."""
    x = call.value()
    dim, extent = call["dim"] % len(x.shape), x.shape[call["dim"]]
    wanted = range(extent)[slice(call["start"], call["end"], call["step"])]
    if wanted == range(extent):
        return x
    if len(x.shape) not in (3, 4) or dim == 0 or (dim == 1 and wanted.step != 1):
        raise call.refuse(
            f"takes {wanted.start}:{wanted.stop}:{wanted.step} of dimension {dim} of {x.shape}",
            "only H and W with any step, and a contiguous range of channels, are supported",
        )
    source, spans = x, [Span(0, n) for n in nhwc(x.shape)[1:]]
    before = call.trace.producer(x)
    if before is not None and isinstance(before.op, Slice):  # x[:, :, ::2, ::2] arrives as two slices
        spans = [before.op.h, before.op.w, before.op.c]
        _, h, w, c = call.trace.shapes[before.inputs[0]]
        source = Value(before.inputs[0], (1, c, h, w))
    axis = 2 if dim == 1 else dim - len(x.shape) + 2
    inner = spans[axis]
    indices = range(inner.start, inner.stop, inner.step)[wanted.start : wanted.stop : wanted.step]
    spans[axis] = Span(indices.start, min(indices.stop, inner.stop), indices.step)
    return call.emit(Slice(*spans), source)


def same_values(call: Call) -> Value | Float:
    """A copy, an alias or a cast that changes nothing."""
    source = call.node.args[0]
    if str(call.node.meta["val"].dtype) != "torch.float32":
        raise call.refuse(f"casts to {call.node.meta['val'].dtype}", "keep the network in float32")
    if isinstance(source, fx.Node) and source in call.trace.arrays:
        return call.trace.arrays[source]
    return call.tensor(source)


def transpose(call: Call) -> Float:
    """Of a parameter, where a product is written out; feature maps keep their layout."""
    source = call.node.args[0]
    if isinstance(source, fx.Node) and source in call.trace.arrays:
        array = call.trace.arrays[source]
        if array.ndim == 2 and array.shape == call.shape[::-1]:
            call.trace.owners[call.node] = call.trace.owners[source]
            return array.T
    why = "moves dimensions of a tensor"
    raise call.refuse(why, "keep (N, C, H, W); channel shuffles and attention are not supported")


def nothing(call: Call) -> None:
    """A check that exporting inserts."""
