"""ONNX nodes that move, copy or rename elements, as graph nodes or as nothing at all."""

from math import prod

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.onnx import layout
from ptee_mcu.frontends.onnx.trace import Call, Known, Param, Value
from ptee_mcu.ops import Concat, Pad, Reshape, Slice, Span
from ptee_mcu.tensor import Padding, Shape


def identity(call: Call) -> Known:
    """Nothing."""
    found = call.given(0)
    return call.value() if found is None else found


def cast(call: Call) -> Value:
    """Nothing, where it casts to float32."""
    if call.node.integer("to", 1) != 1:
        raise call.refuse("casts to another type than float32", "keep the network in float32")
    return call.value()


def shape_of(call: Call) -> Param:
    """The shape, which is constant here."""
    shape = np.asarray(call.value().shape, dtype=np.int64)
    end = call.node.integer("end", len(shape))
    return Param(shape[call.node.integer("start", 0) : end])


def size_of(call: Call) -> Param:
    """How many elements there are, which is constant here."""
    return Param(np.asarray(prod(call.value().shape), dtype=np.int64))


def transpose(call: Call) -> Known:
    """Nothing but another order of the dimensions."""
    found = call.given(0)
    shape = found.shape if isinstance(found, Value) else call.param(0, "input").values.shape
    perm = call.node.integers("perm", tuple(reversed(range(len(shape)))))
    if sorted(perm) != list(range(len(shape))):
        raise ModelError(f"{call.node.place}: perm {perm} on {len(shape)} dimensions")
    if isinstance(found, Param):
        return found.transposed(*perm)
    x = call.value()
    return Value(x.tensor, tuple(x.shape[i] for i in perm), tuple(x.dims[i] for i in perm))


def reshape(call: Call) -> Value:
    """Nothing where dimensions merge, split as they were merged, or have one element; else a Reshape."""
    x, wanted = call.value(), call.integers(1, "shape")
    assert wanted is not None
    keep_zero = bool(call.node.integer("allowzero", 0))
    if len(wanted) > 8 or wanted.count(-1) > 1 or any(size < -1 for size in wanted):
        raise ModelError(f"{call.node.place}: to shape {wanted}")
    copied = [x.shape[i] if size == 0 and not keep_zero and i < len(x.shape) else size for i, size in enumerate(wanted)]
    rest = prod(size for size in copied if size != -1)
    shape = tuple(prod(x.shape) // max(rest, 1) if size == -1 else size for size in copied)
    if prod(shape) != prod(x.shape):
        raise ModelError(f"{call.node.place}: shape {x.shape} to {wanted}")
    return _as_shape(call, x, shape)


def flatten(call: Call) -> Value:
    """Two dimensions: those before `axis` and the others."""
    x = call.value()
    rank, axis = len(x.shape), call.node.integer("axis", 1)
    if not -rank <= axis <= rank:
        raise ModelError(f"{call.node.place}: axis {axis} of {rank} dimensions")
    axis = axis + rank if axis < 0 else axis
    return _as_shape(call, x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


def squeeze(call: Call) -> Value:
    """Without dimensions of one element."""
    x, axes = call.value(), _axes(call)
    rank = len(x.shape)
    wanted = [i for i, size in enumerate(x.shape) if size == 1] if axes is None else axes
    gone = {axis % rank for axis in wanted if -rank <= axis < rank}
    if any(x.shape[i] != 1 for i in gone) or any(not -rank <= axis < rank for axis in wanted):
        raise ModelError(f"{call.node.place}: axes {axes} of shape {x.shape}")
    return _as_shape(call, x, tuple(size for i, size in enumerate(x.shape) if i not in gone))


def unsqueeze(call: Call) -> Value:
    """With dimensions of one element."""
    x, axes = call.value(), _axes(call) or ()
    rank = len(x.shape) + len(axes)
    new = {axis % rank for axis in axes}
    if any(not -rank <= axis < rank for axis in axes) or len(new) != len(axes) or rank > 8:
        raise ModelError(f"{call.node.place}: axes {axes} of shape {x.shape}")
    sizes = iter(x.shape)
    return _as_shape(call, x, tuple(1 if i in new else next(sizes) for i in range(rank)))


def _axes(call: Call) -> tuple[int, ...] | None:
    found = call.integers(1, "axes")
    if found is not None:
        return found
    return call.node.integers("axes", ()) if call.node.has("axes") else None


def _as_shape(call: Call, x: Value, shape: Shape) -> Value:
    have = call.trace.shapes[x.tensor]
    dims = layout.regrouped(x.dims, layout.extents(have), shape)
    if dims is not None:
        return Value(x.tensor, shape, dims)
    target = layout.reshaped_shape(shape)
    if target is None or shape[0] != 1 or "".join(x.dims) != layout.used_axes(have):
        raise call.refuse(
            f"reshapes {x.shape} to {shape}",
            "flattening to (1, features) and dimensions of 1 are supported; channel shuffles and attention are not",
        )
    graph_shape, letters = target
    return call.trace.value(call.add(Reshape(graph_shape), [x.tensor]), letters)


def concat(call: Call) -> Value:
    """Concat along the channels."""
    values = [call.value(i) for i in range(len(call.node.inputs))]
    rank, axis = len(values[0].shape), call.node.integer("axis", 1)
    orders = [call.letters(value) for value in values if value.dims != ("",) * rank] or [call.letters(values[0])]
    if len(set(orders)) != 1 or not -rank <= axis < rank or orders[0][axis] != "C":
        raise call.refuse(f"joins dimension {axis} of {values[0].shape}", "only channels can be joined")
    tensors = [call.placed(value, orders[0]) for value in values]
    return call.trace.value(call.add(Concat(), tensors), orders[0])


def pad(call: Call) -> Value:
    """Pad with zeros."""
    x = call.value()
    rank, letters = len(x.shape), call.letters(x)
    pads = call.integers(1, "pads") or call.node.integers("pads", ())
    axes = call.integers(3, "axes") or tuple(range(rank))
    if len(pads) != 2 * len(axes) or any(not -rank <= axis < rank for axis in axes):
        raise ModelError(f"{call.node.place}: {len(pads)} pads for {len(axes)} axes of {rank} dimensions")
    mode, value = call.node.text("mode", "constant"), call.scalar(2, "value") or call.node.real("value", 0.0)
    if mode != "constant" or value:
        raise call.refuse(f"pads by {mode} with {value}", "only zeros are supported")
    if not any(pads):
        return x
    amounts = {letters[axis % rank]: pads[i :: len(axes)] for i, axis in enumerate(axes) if any(pads[i :: len(axes)])}
    if min(pads) < 0 or max(pads) >= 1 << 16 or not set(amounts) <= {"H", "W", "C"} or rank == 2:
        raise call.refuse(f"pads {letters} by {pads}", "height, width and channels of feature maps can be padded")
    (top, bottom), (left, right), (before, after) = (amounts.get(axis, (0, 0)) for axis in layout.AXES)
    op = Pad(Padding(top, left, bottom, right), before, after)
    return call.trace.value(call.add(op, [call.placed(x, letters)]), letters)


def strided_slice(call: Call) -> Value:
    """Slice; slices in a row become one."""
    x = call.value()
    rank = len(x.shape)
    starts, ends = call.integers(1, "starts") or (), call.integers(2, "ends") or ()
    axes = call.integers(3, "axes") or tuple(range(len(starts)))
    steps = call.integers(4, "steps") or (1,) * len(starts)
    if len({len(starts), len(ends), len(axes), len(steps)}) != 1 or any(not -rank <= axis < rank for axis in axes):
        raise ModelError(f"{call.node.place}: starts, ends, axes and steps do not match shape {x.shape}")
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 1:
            raise call.refuse(f"steps by {step}", "only steps of 1 and more are supported")
        x = _cut(call, x, axis % rank, range(x.shape[axis])[start:end:step])
    return x


def split(call: Call) -> tuple[Value, ...]:
    """One Slice per output."""
    x = call.value()
    rank, axis, count = len(x.shape), call.node.integer("axis", 0), len(call.node.outputs)
    if not -rank <= axis < rank:
        raise ModelError(f"{call.node.place}: axis {axis} of shape {x.shape}")
    even = -(-x.shape[axis] // count)
    sizes = call.integers(1, "split") or call.node.integers("split", ())
    if not sizes:
        sizes = (*[even] * (count - 1), x.shape[axis] - even * (count - 1))
    if len(sizes) != count or sum(sizes) != x.shape[axis] or min(sizes) < 1:
        raise ModelError(f"{call.node.place}: parts of {sizes} of shape {x.shape}")
    ends = np.cumsum(sizes).tolist()
    return tuple(_cut(call, x, axis % rank, range(end - n, end)) for end, n in zip(ends, sizes, strict=True))


def _cut(call: Call, x: Value, dim: int, wanted: range) -> Value:
    """The indices `wanted` of the dimension `dim`."""
    if wanted == range(x.shape[dim]):
        return x
    letters = call.letters(x)
    axis = letters[dim]
    if axis not in layout.AXES or not layout.fits(x.dims, letters) or (axis == "C" and wanted.step != 1) or not wanted:
        raise call.refuse(
            f"takes {wanted.start}:{wanted.stop}:{wanted.step} of dimension {dim} of {x.shape}",
            "height and width with any step, and a contiguous range of channels, are supported",
        )
    source, flat = call.placed(x, letters), letters == "NC"
    if flat:
        source = call.add(Reshape((1, 1, 1, x.shape[1])), [source], label="reshape")
    spans = {name: Span(0, size) for name, size in layout.extents(call.trace.shapes[source]).items()}
    before = call.trace.nodes.get(source)
    if before is not None and isinstance(before.op, Slice) and source not in call.trace.quants:
        spans, source = {"H": before.op.h, "W": before.op.w, "C": before.op.c}, before.inputs[0]
    inner = spans[axis]
    indices = range(inner.start, inner.stop, inner.step)[wanted.start : wanted.stop : wanted.step]
    spans[axis] = Span(indices.start, min(indices.stop, inner.stop), indices.step)
    result = call.add(Slice(spans["H"], spans["W"], spans["C"]), [source])
    return call.trace.value(result, letters)
