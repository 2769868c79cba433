"""Int8 pools and means of TFLite files."""

from dataclasses import dataclass

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.quantized_weights import Steps, per_channel
from ptee_mcu.frontends.tflite.int8_file import Int8File, View
from ptee_mcu.frontends.tflite.model import Operator
from ptee_mcu.frontends.tflite.options import PoolOptions, ReducerOptions
from ptee_mcu.frontends.tflite.windows import window_padding
from ptee_mcu.ops import QDepthwiseConv2d, QMean
from ptee_mcu.tensor import HW, INT8_MAX, INT8_MIN, Padding, Shape, readonly


def average_pool2d(file: Int8File, op: Operator) -> None:
    """AVERAGE_POOL_2D, in the code of its input."""
    _pool(file, op, average=True)


def max_pool2d(file: Int8File, op: Operator) -> None:
    """MAX_POOL_2D, in the code of its input."""
    _pool(file, op, average=False)


def _pool(file: Int8File, op: Operator, *, average: bool) -> None:
    options, source = op.read(PoolOptions), file.spatial(op, 0)
    clamp = file.clamp(op, options.fused, file.copied_quant(op, source))
    _, h, w, _ = file.builder.shape(source)
    steps = Steps(options.stride, window_padding(options.padding, HW(h, w), options.kernel, options.stride))
    make = file.builder.avg_pool2d if average else file.builder.max_pool2d
    file.put_tensor(op, make(file.name(op), source, options.kernel, steps, clamp))


def mean(file: Int8File, op: Operator) -> None:
    """MEAN over height, width or both, whatever order a TRANSPOSE before it left them in."""
    over, quant = _over(file, op), file.output_quant(op)
    h, w, c = file.builder.shape(over.source)[1:]
    whole = QMean.of(file.name(op), file.builder.quant(over.source), quant, over.size, keep_dims=True)
    if over.size == HW(h, w):
        made = file.builder.add_node(file.name(op), whole, [over.source], quant)
    else:
        # A mean over one axis is the same sum, rescaled by the same pair, as a depthwise convolution with ones.
        part = QDepthwiseConv2d(
            weights=readonly(np.ones((1, over.size.h, over.size.w, c), np.int8), np.int8),
            bias=readonly(np.zeros(c, np.int32), np.int32),
            requant=per_channel(whole.requant, c),
            input_offset=whole.input_offset,
            output_offset=whole.output_offset,
            stride=over.size,
            padding=Padding(),
            dilation=HW(1, 1),
            act_min=INT8_MIN,
            act_max=INT8_MAX,
        )
        made = file.builder.add_node(file.name(op), part, [over.source], quant)
    file.put(op, View.of(made, over.shape, over.axes))


def reduce_max(file: Int8File, op: Operator) -> None:
    """REDUCE_MAX over height, width or both: one window over all of them."""
    over = _over(file, op)
    file.copied_quant(op, over.source)
    made = file.builder.max_pool2d(file.name(op), over.source, over.size, Steps(over.size))
    file.put(op, View.of(made, over.shape, over.axes))


@dataclass(frozen=True, slots=True)
class _Over:
    """What is reduced: a tensor (1, H, W, C), the extents of H and W that go, and what is left as the file sees it."""

    source: str
    size: HW
    shape: Shape
    axes: tuple[int, ...]


def _over(file: Int8File, op: Operator) -> _Over:
    view, rank = file.view(op, 0), len(file.view(op, 0).shape)
    reduced = {axis + rank if axis < 0 else axis for axis in file.integers(op, 1)}
    if not reduced <= set(range(rank)):
        raise ModelError(f"{file.model.place(op)} names axes {sorted(reduced)} of {view.shape}")
    if view.axes is None:
        source, axes = file.spatial(op, 0), (0, *range(5 - rank, 4))
    else:
        source, axes = view.tensor, view.axes
    gone = {axes[axis] for axis in reduced if view.shape[axis] > 1}
    if not gone <= {1, 2}:
        raise file.model.refuse(op, f"it reduces axes {sorted(reduced)} of {view.shape}", "reduce height and width")
    keep = op.read(ReducerOptions).keep_dims
    shape = tuple(1 if i in reduced else extent for i, extent in enumerate(view.shape) if keep or i not in reduced)
    left = tuple(axis for i, axis in enumerate(axes) if keep or i not in reduced)
    _, h, w, _ = file.builder.shape(source)
    return _Over(source, HW(h if 1 in gone else 1, w if 2 in gone else 1), shape, left)
