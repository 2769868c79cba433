"""QuantizeLinear and DequantizeLinear: the codes of tensors and the integers behind constants, noted in the trace."""

import numpy as np
import onnx

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.onnx.trace import Call, Codes, Known, Param, Value
from ptee_mcu.ops import Clamp
from ptee_mcu.ops.base import Activation
from ptee_mcu.tensor import Quant

_UINT8_OFFSET = 128  # uint8 codes and zero points less 128 are the int8 ones of the same real values


def quantize_linear(call: Call) -> Value:
    """The tensor itself, its code noted; a node of its own where it has another code already."""
    x = call.value()
    quant = _tensor_code(call)
    known = call.trace.quants.setdefault(x.tensor, quant)
    if known == quant:
        return x
    again = call.emit(Clamp(Activation()), x)
    call.trace.quants[again.tensor] = quant
    return again


def dequantize_linear(call: Call) -> Known:
    """The tensor itself, or a constant with the integers behind it."""
    found = call.given(0)
    if isinstance(found, Param):
        return _constant(call, found)
    x = call.value()
    quant = _tensor_code(call)
    known = call.trace.quants.get(x.tensor)
    if known is not None and call.given(2) is None and known.zero_point in (0, -_UINT8_OFFSET):
        quant = Quant(quant.scale, known.zero_point)  # without a zero point: that of the codes' own type
    if call.trace.quants.setdefault(x.tensor, quant) != quant:
        raise call.refuse(
            f"reads codes of scale {call.trace.quants[x.tensor].scale:.6g} as ones of scale {quant.scale:.6g}",
            "the DequantizeLinear behind a QuantizeLinear must have its scale and zero point",
        )
    return x


def _tensor_code(call: Call) -> Quant:
    """Scale and zero point of an activation, as int8."""
    scale, zero = call.param(1, "scale").values, call.optional_param(2, "zero point")
    zero_point = np.zeros(1, dtype=_default_type(call)) if zero is None else zero.values
    if scale.size != 1 or zero_point.size != 1 or call.node.integer("block_size", 0):
        raise call.refuse(f"has {scale.size} scales for one activation", "only one per tensor is supported")
    if zero_point.dtype not in (np.int8, np.uint8):
        raise call.refuse(f"makes codes of type {zero_point.dtype}", "only int8 and uint8 activations are supported")
    offset = _UINT8_OFFSET if zero_point.dtype == np.uint8 else 0
    step = float(scale.ravel()[0])
    if not (step > 0 and np.isfinite(step)):
        raise ModelError(f"{call.node.place}: its scale {step} is not a positive finite number")
    return Quant(step, int(zero_point.ravel()[0]) - offset)


def _default_type(call: Call) -> type[np.generic]:
    """Of codes without a zero point: what output_dtype says, else uint8; codes that no node made are the input's."""
    if call.node.op_type == "DequantizeLinear":
        return np.int8 if call.trace.model.input_dtype == np.int8 else np.uint8
    return np.int8 if call.node.integer("output_dtype", 0) == onnx.TensorProto.INT8 else np.uint8


def _constant(call: Call, param: Param) -> Param:
    scale, zero = call.param(1, "scale").values, call.optional_param(2, "zero point")
    integers = param.values
    place = call.node.place
    if integers.dtype not in (np.int8, np.uint8, np.int32):
        raise call.refuse(
            f"reads integers of type {integers.dtype}", "int8 and uint8 weights and int32 biases are supported"
        )
    if call.node.integer("block_size", 0):
        raise call.refuse("has a scale per block", "one per tensor or one per channel is supported")
    zero_point = np.zeros(1) if zero is None else zero.values.astype(np.int64)
    call.trace.spend(place, integers.size)
    offset = _UINT8_OFFSET if integers.dtype == np.uint8 else 0
    if np.any(zero_point - offset):
        raise call.refuse(
            f"has constants with zero point {zero_point.ravel()[0]}, where {offset} would be symmetric",
            "quantize weights symmetrically (int8, zero point 0)",
        )
    if not (np.all(scale > 0) and np.all(np.isfinite(scale))):
        raise ModelError(f"{place}: a scale is not a positive finite number")
    steps = scale.astype(np.float64).reshape(_scale_shape(call, integers.shape, scale.size))
    codes = Codes(integers.astype(np.int64) - offset, steps)
    with np.errstate(over="ignore"):  # the finite check of the weights says so
        return Param((codes.integers * steps).astype(np.float32), codes)


def _scale_shape(call: Call, shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    rank, axis = len(shape), call.node.integer("axis", 1)
    if count == 1:
        return (1,) * rank
    if not -rank <= axis < rank or shape[axis] != count:
        raise ModelError(f"{call.node.place}: {count} scales on axis {axis} of shape {shape}")
    return tuple(count if i == axis % rank else 1 for i in range(rank))
