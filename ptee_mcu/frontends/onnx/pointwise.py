"""ONNX activations, functions of one element at a time, as graph nodes."""

import numpy as np

from ptee_mcu.frontends.onnx.affine import per_channel, scaled, shifted
from ptee_mcu.frontends.onnx.trace import Call, Param, Value
from ptee_mcu.ops import Activation, Clamp, Dropout, HardSigmoid, HardSwish, LeakyReLU, PReLU, Sigmoid, Tanh

_SIXTH = 1e-6  # how far a float32 of 1 / 6 may be from it


def relu(call: Call) -> Value:
    """Clamp to [0, inf)."""
    return call.emit(Clamp(Activation(0.0, np.inf)), call.value())


def clip(call: Call) -> Value:
    """Clamp to one or two limits; of x + 3 to [0, 6] it is six times HardSigmoid."""
    x = call.value()
    low, high = call.scalar(1, "lower limit"), call.scalar(2, "upper limit")
    act = Activation(-np.inf if low is None else low, np.inf if high is None else high)
    if not act.min <= act.max:
        raise call.refuse(f"clamps to [{act.min}, {act.max}]", "the lower limit must not exceed the upper one")
    source, shift = call.trace.shifts.get(x.tensor, ("", 0.0))
    if (act.min, act.max, shift) == (0.0, 6.0, 3.0) and x.tensor not in call.trace.quants:
        sigmoid = call.add(HardSigmoid(), [source], label="hardsigmoid")
        return scaled(call, Value(sigmoid, x.shape, x.dims), np.full(1, 6, dtype=np.float32))
    return x if act == Activation() else call.emit(Clamp(act), x)


def limit(call: Call) -> Value:
    """Min or Max with one number: a Clamp."""
    known = [call.given(i) for i in range(len(call.node.inputs))]
    values = [found for found in known if isinstance(found, Value)]
    numbers = [found for found in known if isinstance(found, Param)]
    if len(values) != 1 or len(numbers) != 1 or len(known) != 2:
        raise call.refuse("compares tensors with each other", "only one tensor and one number are supported")
    bound = call.number(numbers[0], "limit")
    act = Activation(max=bound) if call.node.op_type == "Min" else Activation(min=bound)
    return call.emit(Clamp(act), values[0])


def leaky_relu(call: Call) -> Value:
    """LeakyReLU."""
    return call.emit(LeakyReLU(call.node.real("alpha", 0.01)), call.value())


def prelu(call: Call) -> Value:
    """PReLU with one slope, or one per channel."""
    x = call.value()
    channels = call.trace.shapes[x.tensor][-1]
    slope = per_channel(call, x, call.param(1, "slope"))
    return call.emit(PReLU(), x, {"slope": np.broadcast_to(slope.values, (channels,))})


def sigmoid(call: Call) -> Value:
    """Sigmoid."""
    return call.emit(Sigmoid(), call.value())


def tanh(call: Call) -> Value:
    """Tanh."""
    return call.emit(Tanh(), call.value())


def hard_sigmoid(call: Call) -> Value:
    """HardSigmoid; with a slope other than 1 / 6 a scale, a shift and a Clamp."""
    x = call.value()
    alpha, beta = call.node.real("alpha", 0.2), call.node.real("beta", 0.5)
    if abs(alpha - 1 / 6) < _SIXTH and beta == 0.5:
        return call.emit(HardSigmoid(), x)
    slope = scaled(call, x, np.full(1, alpha, dtype=np.float32))
    moved = shifted(call, slope, Param(np.full(1, beta, dtype=np.float32)))
    return call.emit(Clamp(Activation(0.0, 1.0)), moved)


def hard_swish(call: Call) -> Value:
    """HardSwish."""
    return call.emit(HardSwish(), call.value())


def dropout(call: Call) -> Value:
    """Dropout, which training needs."""
    x = call.value()
    if call.trace.uses.get(next(iter(call.node.outputs[1:]), ""), 0):
        raise call.refuse("gives its mask to other nodes", "export the model in eval mode")
    ratio = call.scalar(1, "ratio")
    p = call.node.real("ratio", 0.5) if ratio is None else ratio
    return call.emit(Dropout(p), x) if 0.0 < p < 1.0 else x
