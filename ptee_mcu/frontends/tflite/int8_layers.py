"""Int8 convolutions and fully connected layers of TFLite files."""

from dataclasses import replace
from math import prod

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.quantized_weights import Steps
from ptee_mcu.frontends.tflite.int8_file import Int8File, View
from ptee_mcu.frontends.tflite.model import Operator
from ptee_mcu.frontends.tflite.options import (
    ConvOptions,
    FullyConnectedOptions,
    TransposeConvOptions,
)
from ptee_mcu.frontends.tflite.windows import plus, transposed_padding, window_padding
from ptee_mcu.ops import QPad
from ptee_mcu.tensor import HW


def conv2d(file: Int8File, op: Operator) -> None:
    """CONV_2D, in groups where its weights have fewer input channels, and DEPTHWISE_CONV_2D."""
    kernel = HW(*file.weights(op, 1, bias=2, axis=_axis(op), rank=4).codes.shape[1:3])
    file.put_tensor(op, convolve(file, op, *_steps(file, op, op.read(ConvOptions), kernel)))


def convolve(file: Int8File, op: Operator, source: str, steps: Steps) -> str:
    """The convolution `op` of `source`, whatever `op` says of its steps."""
    weights = file.weights(op, 1, bias=2, axis=_axis(op), rank=4)
    quant, make = file.output_quant(op), file.builder.depthwise_conv2d if _axis(op) else file.builder.conv2d
    return make(file.name(op), source, quant, weights, steps, file.clamp(op, op.read(ConvOptions).fused, quant))


def _axis(op: Operator) -> int:
    """Where the output channels of its weights are."""
    return 3 if op.kind == "DEPTHWISE_CONV_2D" else 0


def _steps(file: Int8File, op: Operator, options: ConvOptions, kernel: HW) -> tuple[str, Steps]:
    """What the kernel moves over and how; a PAD with the code of zero before it becomes its padding."""
    source = file.spatial(op, 0)
    _, h, w, _ = file.builder.shape(source)
    padding = window_padding(options.padding, HW(h, w), kernel, options.stride, options.dilation)
    steps = Steps(options.stride, padding, options.dilation)
    before = file.builder.producer(source)
    if before is None or not isinstance(before.op, QPad):
        return source, steps
    pad = before.op
    total = plus(padding, before.op.padding)
    reach = HW((kernel.h - 1) * options.dilation.h, (kernel.w - 1) * options.dilation.w)
    zeros = pad.value == file.builder.quant(source).zero_point and not (pad.channels_before or pad.channels_after)
    if not zeros or max(total.top, total.bottom) > reach.h or max(total.left, total.right) > reach.w:
        return source, steps
    return before.inputs[0], replace(steps, padding=total)


def fully_connected(file: Int8File, op: Operator) -> None:
    """FULLY_CONNECTED; where its input has several rows of features, a 1x1 convolution."""
    options = op.read(FullyConnectedOptions)
    if options.shuffled:
        raise file.model.refuse(op, "its weights are shuffled", "convert again with TensorFlow 2")
    weights, view = file.weights(op, 1, bias=2, axis=0, rank=2), file.plain(op, 0)
    out, features = weights.codes.shape
    rows, rest = divmod(prod(view.shape), features)
    if rest or not rows:
        raise ModelError(f"{file.model.place(op)} has {features} columns of weights for the shape {view.shape}")
    quant, name = file.output_quant(op), file.name(op)
    clamp = file.clamp(op, options.fused, quant)
    have = file.builder.shape(view.tensor)
    fits = rows == 1 or (len(have) == 4 and have[-1] == features)
    source = view.tensor if fits else file.bytes_as(view, (1, 1, rows, features))
    made = file.builder.fully_connected(name, source, quant, weights, clamp)
    shape = (*view.shape[:-1], out) if options.keep_dims else (rows, out)
    file.put(op, View(made, shape))


def transpose_conv(file: Int8File, op: Operator) -> None:
    """TRANSPOSE_CONV: inputs are the output's shape, the weights, the map, and biases or none."""
    options = op.read(TransposeConvOptions)
    target = file.integers(op, 0)
    weights, source = file.weights(op, 1, bias=3, axis=0, rank=4), file.spatial(op, 2)
    _, h, w, _ = file.builder.shape(source)
    kernel, stride, quant = HW(*weights.codes.shape[1:3]), options.stride, file.output_quant(op)
    if len(target) != 4 or target[0] != 1 or min(target) < 1:
        raise ModelError(f"{file.model.place(op)} has the output shape {target}")
    around = transposed_padding(options.padding, HW(h, w), HW(target[1], target[2]), kernel, stride)
    if around is None:
        raise ModelError(f"{file.model.place(op)} does not make {target[1]}x{target[2]} of a {h}x{w} map")
    padding, more = around
    clamp, steps = file.clamp(op, options.fused, quant), Steps(stride, padding)
    file.put_tensor(op, file.builder.transposed_conv2d(file.name(op), source, quant, weights, steps, more, clamp))
