"""Int8 arithmetic and activations of TFLite files: ADD, SUB, MUL, PRELU, functions of one code."""

import math
from collections.abc import Callable

import numpy as np

from ptee_mcu.frontends.quantized_weights import Clamp8
from ptee_mcu.frontends.tflite import int8_tables as tables
from ptee_mcu.frontends.tflite.int8_file import Int8File, View
from ptee_mcu.frontends.tflite.model import Operator
from ptee_mcu.frontends.tflite.options import ArithmeticOptions, Fused, LeakyReluOptions
from ptee_mcu.ops import QLookup, QMul, QPReLU
from ptee_mcu.ops.code_requant import product_requant
from ptee_mcu.requant import Int64
from ptee_mcu.tensor import Quant, readonly

Handler = Callable[[Int8File, Operator], None]


def add(file: Int8File, op: Operator) -> None:
    """Add of two tensors of one shape; of one number, a table."""
    fused = op.read(ArithmeticOptions).fused
    if _constant(file, op) is not None:
        _with_number(file, op, fused, signs=(1, 1))
        return
    quant = file.output_quant(op)
    (first, second), view = file.elementwise(op, 0, 1)
    made = file.builder.add(file.name(op), first, second, quant, file.clamp(op, fused, quant))
    file.put(op, View(made, view.shape, view.axes))


def sub(file: Int8File, op: Operator) -> None:
    """A table: one number less, or one number less the tensor."""
    at = _constant(file, op)
    if at is None:
        raise file.model.refuse(
            op, "CMSIS-NN has no difference of two tensors", "negate a layer's weights and add, before conversion"
        )
    _with_number(file, op, op.read(ArithmeticOptions).fused, signs=(1, -1) if at == 1 else (-1, 1))


def _constant(file: Int8File, op: Operator) -> int | None:
    """The position of the constant operand; None where both are computed."""
    return next((i for i in (0, 1) if file.model.input(op, i).data is not None), None)


def _with_number(file: Int8File, op: Operator, fused: Fused, signs: tuple[int, int]) -> None:
    """A table: the other operand is one number. `signs` of the tensor and of the number."""
    at = _constant(file, op)
    assert at is not None
    values, number = file.model.constant(op, at), file.quant(op, file.model.input(op, at))
    if values.size != 1:
        raise file.model.refuse(
            op, f"its constant has the shape {values.shape}", "one number is supported; fold others into a layer"
        )
    view, quant = file.view(op, 1 - at), file.output_quant(op)
    clamp = file.clamp(op, fused, quant)
    source = file.builder.quant(view.tensor)
    codes = tables.sum_with(file.name(op), source, number, int(values.reshape(-1)[0]), quant, signs)
    _put_table(file, op, view, quant, np.clip(codes, clamp.low, clamp.high))


def mul(file: Int8File, op: Operator) -> None:
    """Mul of two tensors of one shape, by a gate per channel, or by constants: one or one per channel."""
    quant, name = file.output_quant(op), file.name(op)
    clamp = file.clamp(op, op.read(ArithmeticOptions).fused, quant)
    tensors = [file.model.input(op, i) for i in (0, 1)]
    codes = [file.quant(op, tensor) for tensor in tensors]
    first, second = (np.float32(code.scale) for code in codes)
    # mul.cc of LiteRT 2.3 multiplies and divides in float.
    requant = product_requant(name, float(first * second / np.float32(quant.scale)))
    offsets = (-codes[0].zero_point, -codes[1].zero_point)
    at = _constant(file, op)
    if at is not None:
        view, values = file.plain(op, 1 - at), file.model.constant(op, at)
        channels = view.shape[-1] if view.shape else 1
        if values.size not in (1, channels) or values.size != (values.shape[-1] if values.ndim else 1):
            raise file.model.refuse(
                op, f"its constant has the shape {values.shape}", f"one number or ({channels},) is supported"
            )
        factor = readonly(values.reshape(-1), np.int8)
        source = file.bytes_as(view, _channels_last(file, view))
        ordered = offsets if at == 1 else offsets[::-1]
        made = QMul(*ordered, quant.zero_point, requant, clamp.low, clamp.high, factor)
        file.put(op, View(file.builder.add_node(name, made, [source], quant), view.shape))
        return
    views = [file.view(op, i) for i in (0, 1)]
    if views[0].shape == views[1].shape:
        inputs, view = file.elementwise(op, 0, 1)
    else:
        big = 0 if math.prod(views[0].shape) >= math.prod(views[1].shape) else 1
        view, gate = file.plain(op, big), file.plain(op, 1 - big)
        channels = math.prod(view.shape[-1:])
        if gate.shape[-1:] != view.shape[-1:] or math.prod(gate.shape) != channels or len(gate.shape) > len(view.shape):
            raise file.model.refuse(
                op, f"its inputs have the shapes {view.shape} and {gate.shape}", f"a gate is (1, 1, 1, {channels})"
            )
        source = file.bytes_as(view, _channels_last(file, view))
        shape = (1, 1, 1, channels) if len(file.builder.shape(source)) == 4 else (1, channels)
        inputs = (source, file.bytes_as(gate, shape))
        offsets = offsets if big == 0 else offsets[::-1]
    made = QMul(*offsets, quant.zero_point, requant, clamp.low, clamp.high)
    file.put(op, View(file.builder.add_node(name, made, inputs, quant), view.shape, view.axes))


def _channels_last(file: Int8File, view: View) -> tuple[int, ...]:
    """A shape of the network for the bytes of `view` whose last axis is that of the file's tensor."""
    have, channels = file.builder.shape(view.tensor), view.shape[-1] if view.shape else 1
    count = math.prod(have)
    return have if have[-1] == channels else (1, 1, count // channels, channels)


def prelu(file: Int8File, op: Operator) -> None:
    """PReLU with a slope per channel."""
    code, quant, view = file.quant(op, file.model.input(op, 1)), file.output_quant(op), file.plain(op, 0)
    slopes = file.model.constant(op, 1)
    channels = view.shape[-1] if view.shape else 1
    if slopes.size not in (1, channels) or slopes.size != (slopes.shape[-1] if slopes.ndim else 1):
        raise file.model.refuse(op, f"its slopes have the shape {slopes.shape}", f"one number or ({channels},)")
    alpha = readonly(np.broadcast_to(slopes.reshape(-1), channels), np.int8)
    source = file.bytes_as(view, _channels_last(file, view))
    made = QPReLU.of(file.name(op), file.builder.quant(source), alpha, code, quant)
    file.put(op, View(file.builder.add_node(file.name(op), made, [source], quant), view.shape))


def _put_table(file: Int8File, op: Operator, view: View, quant: Quant, codes: Int64) -> None:
    made = file.builder.add_node(file.name(op), QLookup.of_codes(codes), [view.tensor], quant)
    file.put(op, View(made, view.shape, view.axes))


def _unary(codes: Callable[[Int8File, Operator, Quant, Quant], Int64]) -> Handler:
    def handle(file: Int8File, op: Operator) -> None:
        view, quant = file.view(op, 0), file.output_quant(op)
        _put_table(file, op, view, quant, codes(file, op, file.builder.quant(view.tensor), quant))

    return handle


def _clamping(low: float, high: float | None) -> Handler:
    return _unary(
        lambda file, op, source, quant: tables.rescaled(file.name(op), source, quant, Clamp8.of(quant, low, high))
    )


def quantize(file: Int8File, op: Operator) -> None:
    """A table: the same values under another code."""
    view, quant = file.view(op, 0), file.output_quant(op)
    made = QLookup.requantized(file.builder.quant(view.tensor), quant)
    file.put(op, View(file.builder.add_node(file.name(op), made, [view.tensor], quant), view.shape, view.axes))


relu = _clamping(0.0, None)
relu6 = _clamping(0.0, 6.0)
relu_n1_to_1 = _clamping(-1.0, 1.0)
relu_0_to_1 = _clamping(0.0, 1.0)
logistic = _unary(lambda _file, _op, source, quant: tables.transformed(source, quant, tables.sigmoid))
tanh = _unary(lambda _file, _op, source, quant: tables.transformed(source, quant, math.tanh))
hard_swish = _unary(lambda file, op, source, quant: tables.hard_swish(file.name(op), source, quant))
leaky_relu = _unary(
    lambda file, op, source, quant: tables.leaky_relu(file.name(op), source, quant, op.read(LeakyReluOptions).alpha)
)
