"""ATen functions of one element at a time, and products, as graph nodes."""

from dataclasses import replace
from math import prod

import numpy as np
from torch import fx

from ptee_mcu.frontends.pytorch_trace import Call, Value, base_name
from ptee_mcu.ops import HardSigmoid, HardSwish, LeakyReLU, Mul, PReLU, Sigmoid, SiLU, Tanh
from ptee_mcu.ops.elementwise import Elementwise
from ptee_mcu.tensor import Float, Shape


def sigmoid(call: Call) -> Value:
    """Sigmoid."""
    return _elementwise(call, Sigmoid())


def hard_sigmoid(call: Call) -> Value:
    """HardSigmoid."""
    return _elementwise(call, HardSigmoid())


def hard_swish(call: Call) -> Value:
    """HardSwish."""
    return _elementwise(call, HardSwish())


def silu(call: Call) -> Value:
    """SiLU."""
    return _elementwise(call, SiLU())


def tanh(call: Call) -> Value:
    """Tanh."""
    return _elementwise(call, Tanh())


def leaky_relu(call: Call) -> Value:
    """LeakyReLU."""
    return _elementwise(call, LeakyReLU(float(call["negative_slope"])))


def _elementwise(call: Call, op: Elementwise) -> Value:
    x = call.value(flattened=True)
    return replace(call.emit(op, x), order=x.order)


def prelu(call: Call) -> Value:
    """PReLU."""
    return call.emit(PReLU(), call.value(), slope=call.array("weight"))


def mul(call: Call) -> Value:
    """Mul of two tensors, of a tensor and a gate per channel, or by a constant."""
    operands = [call[name] for name in ("self", "other")]
    tensors = [operand for operand in operands if isinstance(operand, fx.Node) and operand in call.trace.values]
    if len(tensors) == 1:
        (constant,) = (operand for operand in operands if operand is not tensors[0])
        return _scaled(call, call.trace.values[tensors[0]], _constant(call, constant))
    x, gate = sorted((call.tensor(operand) for operand in operands), key=call.trace.elements, reverse=True)
    if x.order != gate.order or not _is_gate(call, x, gate):
        raise call.refuse(
            f"multiplies shapes {x.shape} and {gate.shape}",
            "tensors of one shape, or a feature map and one number per channel (1, C, 1, 1), can be multiplied",
        )
    return replace(call.emit(Mul(), x, gate), order=x.order)


def div(call: Call) -> Value:
    """Mul by the reciprocal of a constant."""
    if isinstance(call["other"], fx.Node) and call["other"] in call.trace.values:
        raise call.refuse("divides by a tensor", "only division by a constant is supported")
    divisor = _constant(call, call["other"])
    if not divisor.all():
        raise call.refuse("divides by zero", "check the constant")
    return _scaled(call, call.tensor(call["self"]), np.reciprocal(divisor))


def expand(call: Call) -> Value:
    """Nothing, where only products read it: they repeat a gate by themselves."""
    x = call.value()
    if x.shape == call.shape:
        return x
    if x.shape != _per_channel(call) or any(base_name(user).strip("_") != "mul" for user in call.node.users):
        raise call.refuse(
            f"repeats shape {x.shape} as {call.shape}",
            "only a gate (1, C, 1, 1) that multiplies a feature map can be repeated",
        )
    return call.alias(x)


def _is_gate(call: Call, x: Value, gate: Value) -> bool:
    """Whether the product is of one shape on both sides, or repeats `gate` over height and width of `x`."""
    return _is_whole(call, x) and gate.shape in (call.shape, _per_channel(call))


def _is_whole(call: Call, x: Value) -> bool:
    """Whether `x` has the result's shape, in the graph too, where a repeated gate has one number per channel."""
    return x.shape == call.shape and call.trace.elements(x) == prod(call.shape)


def _per_channel(call: Call) -> Shape:
    """What a number per channel of the result has for a shape."""
    return (*call.shape[:2], *[1] * (len(call.shape) - 2))


def _constant(call: Call, operand: object) -> Float:
    if isinstance(operand, int | float):
        return np.array([operand], dtype=np.float32)
    if isinstance(operand, fx.Node) and operand in call.trace.arrays:
        return call.trace.arrays[operand].astype(np.float32)  # whose reciprocal would be 0 if it were an integer
    raise call.refuse("has an operand that is computed at run time without the input", "store it as a parameter")


def _scaled(call: Call, x: Value, factor: Float) -> Value:
    """`x` times a constant: one number, or one per channel."""
    shape, channels = factor.shape, x.shape[1]
    if not _is_whole(call, x):
        raise call.refuse(
            f"scales shape {x.shape} of {call.trace.elements(x)} elements as {call.shape}",
            "scale a gate before it is repeated, by a constant of no more dimensions than it has",
        )
    aligned = (1,) * (len(x.shape) - len(shape)) + shape
    if prod(shape) != 1 and (x.order is not None or aligned != (1, channels, *[1] * (len(x.shape) - 2))):
        raise call.refuse(
            f"scales shape {x.shape} by a constant of shape {shape}",
            "a constant of one number, or of one per channel, is supported",
        )
    return replace(call.emit(Mul(), x, factor=factor.reshape(-1)), order=x.order)
