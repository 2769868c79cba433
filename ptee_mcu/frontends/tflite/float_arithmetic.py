"""TFLite arithmetic on one or two tensors and its activations, as graph nodes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.tflite.float_affine import affine, clamped, per_channel
from ptee_mcu.frontends.tflite.float_trace import Call, Value
from ptee_mcu.frontends.tflite.options import ArithmeticOptions, LeakyReluOptions
from ptee_mcu.ops import Activation, Add, HardSigmoid, HardSwish, LeakyReLU, Mul, Op, PReLU, Sigmoid, SiLU, Tanh
from ptee_mcu.tensor import Float

_CLAMPS: Mapping[str, Activation] = {
    "RELU": Activation(min=0.0),
    "RELU6": Activation(0.0, 6.0),
    "RELU_0_TO_1": Activation(0.0, 1.0),
    "RELU_N1_TO_1": Activation(-1.0, 1.0),
}
_CURVES: Mapping[str, Op] = {"HARD_SWISH": HardSwish(), "LOGISTIC": Sigmoid(), "TANH": Tanh()}
_MINUS = np.full(1, -1, np.float32)
_GATED: Mapping[type[Op], Op] = {Sigmoid: SiLU(), HardSigmoid: HardSwish()}


def relu(call: Call) -> Value:
    """Clamp to the limits of the kind of ReLU."""
    return clamped(call, call.value(), _CLAMPS[call.op.kind])


def limit(call: Call) -> Value:
    """MAXIMUM or MINIMUM with a number: a Clamp."""
    x, constant = _and_constant(call)
    if constant is None or constant.size != 1:
        raise call.refuse("it compares tensors", "only a limit that is one number is supported")
    bound = float(constant.ravel()[0])
    if not np.isfinite(bound):
        raise call.fault(f"its limit is {bound}")
    return clamped(call, x, Activation(min=bound) if call.op.kind == "MAXIMUM" else Activation(max=bound))


def curve(call: Call) -> Value:
    """A function of one element at a time."""
    x = call.value()
    return call.emit(_CURVES[call.op.kind], x.tensor, shape=x.shape)


def leaky_relu(call: Call) -> Value:
    """LeakyReLU."""
    x, slope = call.value(), call.op.read(LeakyReluOptions).alpha
    if not np.isfinite(slope):
        raise call.fault(f"its slope is {slope}")
    return call.emit(LeakyReLU(slope), x.tensor, shape=x.shape)


def prelu(call: Call) -> Value:
    """PReLU with a slope per channel."""
    x = call.value()
    slope = per_channel(call, x, call.real(1))
    return call.emit(PReLU(), call.in_graph_shape(x), shape=x.shape, slope=slope)


def negative(call: Call) -> Value:
    """Mul by -1."""
    return affine(call, call.value(), scale=_MINUS)


def add(call: Call) -> Value:
    """Add of two tensors, or a shift by a constant."""
    act = call.activation(call.op.read(ArithmeticOptions).fused)
    x, constant = _and_constant(call)
    if constant is not None:
        return affine(call, x, shift=constant, act=act)
    return _sum(call, x, call.value(1), act)


def sub(call: Call) -> Value:
    """A shift by a constant, one from a constant, or Add of a negated tensor."""
    act = call.activation(call.op.read(ArithmeticOptions).fused)
    x, constant = _and_constant(call)
    if constant is None:
        y = call.value(1)
        minus = call.emit(Mul(), y.tensor, shape=y.shape, factor=_MINUS)
        return _sum(call, x, minus, act)
    if call.is_constant(1):
        return affine(call, x, shift=-constant, act=act)
    return affine(call, x, scale=_MINUS, shift=constant, act=act)


def div(call: Call) -> Value:
    """Mul by one over a constant."""
    act = call.activation(call.op.read(ArithmeticOptions).fused)
    if not call.is_constant(1):
        raise call.refuse("it divides by a tensor", "only division by constants is supported")
    divisor = call.real(1)
    if not divisor.all():
        raise call.fault("it divides by zero")
    return affine(call, call.value(), scale=(1 / divisor.astype(np.float64)).astype(np.float32), act=act)


def mul(call: Call) -> Value:
    """Mul of two tensors, of one by a gate per channel or by a constant; SiLU and HardSwish where it gates itself."""
    act = call.activation(call.op.read(ArithmeticOptions).fused)
    x, constant = _and_constant(call)
    if constant is not None:
        return affine(call, x, scale=constant, act=act)
    a, b = sorted((x, call.value(1)), key=lambda value: -prod(value.shape))
    for gate, source in ((a, b), (b, a)):
        made_by = call.trace.producer(gate)
        if made_by is not None and gate.alone and made_by.inputs == (source.tensor,) and type(made_by.op) in _GATED:
            return clamped(call, call.emit(_GATED[type(made_by.op)], source.tensor, shape=source.shape), act)
    if prod(b.shape) == b.shape[-1] == a.shape[-1] and len(b.shape) <= len(a.shape):
        whole = call.in_graph_shape(a)
        gate_form = (1, 1, 1, b.shape[-1]) if len(call.trace.shapes[whole]) == 4 else (1, b.shape[-1])
        return call.emit(Mul(act), whole, call.in_graph_shape(replace(b, shape=gate_form)), shape=a.shape)
    pair = _Pair.of(call, a, b)
    return call.emit(Mul(act), pair.a, pair.b, shape=pair.shape)


def _sum(call: Call, a: Value, b: Value, act: Activation) -> Value:
    pair = _Pair.of(call, a, b)
    return call.emit(Add(act), pair.a, pair.b, shape=pair.shape)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two graph tensors of one shape, and the shape of what is made of them in the file."""

    a: str
    b: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, call: Call, a: Value, b: Value) -> "_Pair":
        longer, shorter = (a, b) if len(a.shape) >= len(b.shape) else (b, a)
        lead = len(longer.shape) - len(shorter.shape)
        if longer.shape != (1,) * lead + shorter.shape:
            raise call.refuse(
                f"it broadcasts shapes {a.shape} and {b.shape}",
                "only tensors of one shape are supported, and MUL by a gate per channel (1, 1, 1, C)",
            )
        shape = longer.shape
        first, second = (call.in_graph_shape(replace(value, shape=shape)) for value in (a, b))
        return cls(first, second, shape)


def _and_constant(call: Call) -> tuple[Value, Float | None]:
    """The first input that is computed, and the other one where it is a constant."""
    try:
        constants = [call.is_constant(0), call.is_constant(1)]
    except ModelError as error:
        raise call.fault("it needs two inputs") from error
    if not any(constants):
        return call.value(0), None
    computed = 1 if constants[0] else 0
    return call.value(computed), call.real(1 - computed)
