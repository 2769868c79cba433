"""Int8 operators of TFLite files that move bytes: reshapes, pads, joins, cuts, enlargements."""

from math import prod

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.tflite.int8_file import Int8File, View
from ptee_mcu.frontends.tflite.model import Operator
from ptee_mcu.frontends.tflite.options import (
    ConcatOptions,
    Fused,
    ReshapeOptions,
    ResizeOptions,
    SplitOptions,
    StridedSliceOptions,
)
from ptee_mcu.frontends.tflite.shape_arithmetic import completed
from ptee_mcu.ops import QResizeNearest
from ptee_mcu.tensor import HW, INT8_MAX, INT8_MIN, Padding, Shape


def reshape(file: Int8File, op: Operator) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the same bytes, which become a copy only where a reader needs the shape."""
    view, declared = file.plain(op, 0), file.model.output(op)
    file.copied_quant(op, view.tensor)
    fits = declared.known and prod(declared.shape) == prod(view.shape)
    shape = declared.shape if fits else _target(file, op, view.shape)
    file.put(op, View(view.tensor, shape))


def _target(file: Int8File, op: Operator, source: Shape) -> Shape:
    """What a RESHAPE asks for; -1 takes what is left."""
    shape: Shape = ()
    if op.kind == "RESHAPE":
        given = file.model.optional(op, 1)
        shape = op.read(ReshapeOptions).shape if given is None else file.integers(op, 1)
    target = completed(shape, prod(source))
    if target is None:
        raise file.model.refuse(
            op, f"it makes {shape} of {source}, or its shape is not known", "convert with a fixed input shape, batch 1"
        )
    return target


def transpose(file: Int8File, op: Operator) -> None:
    """TRANSPOSE: no copy; what follows must undo it, average it away, or not care."""
    view, order = file.view(op, 0), file.integers(op, 1)
    rank = len(view.shape)
    order = tuple(axis + rank if axis < 0 else axis for axis in order)
    if sorted(order) != list(range(rank)):
        raise ModelError(f"{file.model.place(op)} permutes {view.shape} by {order}")
    file.copied_quant(op, view.tensor)
    shape = tuple(view.shape[axis] for axis in order)
    if view.axes is not None:
        file.put(op, View.of(view.tensor, shape, [view.axes[axis] for axis in order]))
        return
    moved = [axis for axis in order if view.shape[axis] > 1]
    if moved == sorted(moved):
        file.put(op, View(view.tensor, shape))
        return
    if not 3 <= rank <= 4 or view.shape[0] != 1:
        raise file.model.refuse(op, f"it permutes {view.shape} by {order}", "keep the layout NHWC")
    axes = (0, *range(5 - rank, 4))
    file.put(op, View.of(file.spatial(op, 0), shape, [axes[axis] for axis in order]))


def pad(file: Int8File, op: Operator) -> None:
    """PAD and PADV2 of height, width and channels."""
    source = file.spatial(op, 0)
    quant, listed = file.copied_quant(op, source), file.integers(op, 1)
    rank = len(file.view(op, 0).shape)
    if len(listed) != 2 * rank or any(listed[:2]) or not all(0 <= width < 2**15 for width in listed):
        raise ModelError(f"{file.model.place(op)} pads {rank} dimensions by {listed}")
    widths = np.array(listed, dtype=np.int64).reshape(rank, 2)
    rows = np.zeros((3, 2), dtype=np.int64)
    rows[4 - rank :] = widths[1:]
    (top, bottom), (left, right), channels = ((int(a), int(b)) for a, b in rows)
    value = quant.zero_point
    if file.model.optional(op, 2) is not None:
        fill = file.integers(op, 2)
        if len(fill) != 1 or file.quant(op, file.model.input(op, 2)) != quant or not INT8_MIN <= fill[0] <= INT8_MAX:
            raise ModelError(f"{file.model.place(op)} fills with {fill}, which is not one code of its output")
        value = fill[0]
    file.put_tensor(op, file.builder.pad(file.name(op), source, Padding(top, left, bottom, right), channels, value))


def concatenation(file: Int8File, op: Operator) -> None:
    """CONCATENATION along any axis but the batch."""
    options = op.read(ConcatOptions)
    if options.fused is not Fused.NONE:
        raise file.model.refuse(op, f"it ends with {options.fused.name}", "put the activation before the join")
    views = [file.plain(op, i) for i in range(len(op.inputs))]
    rank, quant = len(views[0].shape) if views else 0, file.output_quant(op)
    axis = options.axis + rank if options.axis < 0 else options.axis
    others = {(*view.shape[:axis], *view.shape[axis + 1 :]) for view in views}
    if not 0 < axis < rank or len(others) != 1 or any(len(view.shape) != rank for view in views):
        raise ModelError(f"{file.model.place(op)} joins {[view.shape for view in views]} along axis {options.axis}")
    for view in views:
        file.copied_quant(op, view.tensor)
    shape = (*views[0].shape[:axis], sum(view.shape[axis] for view in views), *views[0].shape[axis + 1 :])
    # Everything from the axis on becomes the channels: a join along any axis is one of those.
    first = file.builder.shape(views[0].tensor)
    lead = first[:-1] if first[-1] == prod(views[0].shape[axis:]) else (1, 1, prod(shape[:axis]))
    tensors = [file.bytes_as(view, (*lead, prod(view.shape[axis:]))) for view in views]
    file.put(op, View(file.builder.concat(file.name(op), tensors, quant), shape))


def split(file: Int8File, op: Operator) -> None:
    """A Slice for each part."""
    data = 1 if op.kind == "SPLIT" else 0
    view, count = file.plain(op, data), op.read(SplitOptions).count
    axis = (*file.integers(op, 0 if op.kind == "SPLIT" else 2), len(view.shape))[0]
    axis = axis + len(view.shape) if axis < 0 else axis
    if count != len(op.outputs) or count < 1 or not 0 < axis < len(view.shape):
        raise ModelError(f"{file.model.place(op)} splits axis {axis} of {view.shape} into {count} parts")
    extent = view.shape[axis]
    sizes = (extent // count,) * count if op.kind == "SPLIT" else _sizes(file.integers(op, 1), extent)
    if sum(sizes) != extent or min(sizes) < 1 or len(sizes) != count:
        raise ModelError(f"{file.model.place(op)} splits {extent} elements into {sizes}")
    start = 0
    for i, size in enumerate(sizes):
        starts, extents = [0] * len(view.shape), list(view.shape)
        starts[axis], extents[axis] = start, size
        _put_cut(file, op, view, f"_{i}", starts, extents, [1] * len(view.shape), tuple(extents), i)
        start += size


def _sizes(sizes: Shape, extent: int) -> Shape:
    """`sizes` with -1 as what is left."""
    left = extent - sum(size for size in sizes if size != -1)
    return tuple(left if size == -1 else size for size in sizes)


def slice_(file: Int8File, op: Operator) -> None:
    """Slice of H, W and C."""
    view = file.plain(op, 0)
    begin, size = file.integers(op, 1), file.integers(op, 2)
    if not len(begin) == len(size) == len(view.shape):
        raise ModelError(f"{file.model.place(op)} cuts {view.shape} from {begin} by {size}")
    extents = [e - b if s == -1 else s for b, s, e in zip(begin, size, view.shape, strict=True)]
    _put_cut(file, op, view, "", list(begin), extents, [1] * len(view.shape), tuple(extents), 0)


def strided_slice(file: Int8File, op: Operator) -> None:
    """Slice of H, W and C, with steps in H and W."""
    view, options = file.plain(op, 0), op.read(StridedSliceOptions)
    begin, end, step = (file.integers(op, i) for i in (1, 2, 3))
    if (
        options.ellipsis_mask
        or options.new_axis_mask
        or options.offset
        or not (len(begin) == len(end) == len(step) == len(view.shape))
    ):
        raise file.model.refuse(op, f"its masks or lengths on {view.shape} have no form here", "index every axis")
    starts, extents, shape = [], [], []
    for axis, extent in enumerate(view.shape):
        shrinks = options.shrink_axis_mask >> axis & 1
        if step[axis] < 1:
            raise file.model.refuse(op, f"axis {axis} has the step {step[axis]}", "use steps of 1 and above")
        ends = None if options.end_mask >> axis & 1 else end[axis]
        begins = None if options.begin_mask >> axis & 1 else begin[axis]
        first, last, _ = slice(begins, begin[axis] + 1 or None if shrinks else ends).indices(extent)
        starts.append(first)
        extents.append(len(range(first, last, step[axis])))
        shape += [] if shrinks else [extents[-1]]
    _put_cut(file, op, view, "", starts, extents, list(step), tuple(shape), 0)


def _put_cut(
    file: Int8File,
    op: Operator,
    view: View,
    suffix: str,
    starts: list[int],
    extents: list[int],
    steps: list[int],
    shape: Shape,
    position: int,
) -> None:
    """The elements start + i * step of every axis of `view`, seen as `shape`."""
    if any(
        not (a >= 0 and e >= 1 and a + (e - 1) * s < of)
        for a, e, s, of in zip(starts, extents, steps, view.shape, strict=True)
    ):
        raise ModelError(f"{file.model.place(op)} cuts {extents} from {starts} by {steps} out of {view.shape}")
    if not 1 <= len(view.shape) <= 4 or view.shape[0] != 1 or (len(steps) > 1 and steps[-1] != 1 and extents[-1] > 1):
        raise file.model.refuse(
            op, f"it cuts {view.shape} by steps of {steps}", "cut height and width, or channels in a row"
        )
    name = file.name(op) + suffix
    file.copied_quant(op, view.tensor, position)
    lead = 4 - len(view.shape)
    source = file.bytes_as(view, (1, *[1] * lead, *view.shape[1:]))
    h, w, c = ([0] * lead + starts[1:])[-3:]
    step = ([1] * lead + steps[1:])[-3:]
    size = (1, *([1] * lead + extents[1:])[-3:])
    made = file.builder.slice(name, source, HW(h, w), HW(step[0], step[1]), c, size)
    file.put(op, View(made, shape), position)


def resize_nearest(file: Int8File, op: Operator) -> None:
    """RESIZE_NEAREST_NEIGHBOR by whole factors."""
    options, source, target = op.read(ResizeOptions), file.spatial(op, 0), file.integers(op, 1)
    _, h, w, _ = file.builder.shape(source)
    quant = file.copied_quant(op, source)
    if len(target) != 2 or not all(0 < extent < 2**15 for extent in target):
        raise ModelError(f"{file.model.place(op)} has the output size {target}")
    whole = not (target[0] % h or target[1] % w)
    if not whole or not (_repeats(h, target[0], options) and _repeats(w, target[1], options)):
        raise file.model.refuse(
            op, f"it enlarges {h}x{w} to {target[0]}x{target[1]}, not pixel by pixel", "enlarge by whole factors"
        )
    made = QResizeNearest(HW(target[0] // h, target[1] // w))
    file.put_tensor(op, file.builder.add_node(file.name(op), made, [source], quant))


def _repeats(source: int, target: int, options: ResizeOptions) -> bool:
    """True where every element becomes a run of equal length.

    Source: GetNearestNeighbor, reference/resize_nearest_neighbor.h, LiteRT 2.3, in float.
    """
    aligned = options.align_corners and target > 1
    scale = np.float32(source - 1) / np.float32(target - 1) if aligned else np.float32(source) / np.float32(target)
    at = (np.arange(target, dtype=np.float32) + np.float32(0.5 if options.half_pixel_centers else 0.0)) * scale
    found = np.trunc(at + np.copysign(np.float32(0.5), at)) if options.align_corners else np.floor(at)
    return np.array_equal(np.clip(found, 0, source - 1), np.arange(target) // (target // source))


def tile(file: Int8File, op: Operator) -> None:
    """TILE along one axis: every run of bytes from that axis on, as often as asked for."""
    view, times = file.plain(op, 0), file.integers(op, 1)
    repeated = [axis for axis, count in enumerate(times) if count != 1]
    if len(times) != len(view.shape) or min(times, default=0) < 1 or len(repeated) > 1:
        raise file.model.refuse(op, f"it repeats {view.shape} by {times}", "repeat one axis")
    file.copied_quant(op, view.tensor)
    axis = repeated[0] if repeated else 0
    shape = (*view.shape[:axis], view.shape[axis] * times[axis], *view.shape[axis + 1 :])
    source = file.bytes_as(view, (1, prod(view.shape[:axis]), 1, prod(view.shape[axis:])))
    made = QResizeNearest(HW(1, times[axis]))
    file.put(op, View(file.builder.add_node(file.name(op), made, [source], file.builder.quant(source)), shape))
