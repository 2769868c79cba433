"""ONNX sums, differences, products and quotients as graph nodes."""

import numpy as np

from ptee_mcu.frontends.onnx.affine import per_channel, scaled, shifted
from ptee_mcu.frontends.onnx.trace import Call, Known, Param, Value
from ptee_mcu.ops import Add, HardSigmoid, HardSwish, Mul, Reshape, Sigmoid, SiLU
from ptee_mcu.ops.base import Op


def add(call: Call) -> Value:
    """Add of two tensors of one shape, or of a constant."""
    a, b = call.given(0), call.given(1)
    if isinstance(a, Value) and isinstance(b, Value):
        return _sum(call, a, b)
    _, x, constant = _one_constant(call, a, b)
    return shifted(call, x, per_channel(call, x, constant))


def sub(call: Call) -> Value:
    """A tensor less a constant, or a constant less a tensor."""
    index, x, constant = _one_constant(call, call.given(0), call.given(1))
    shift = per_channel(call, x, constant)
    if index == 0:
        return shifted(call, x, Param(-shift.values))
    return shifted(call, scaled(call, x, np.full(1, -1, dtype=np.float32)), shift)


def neg(call: Call) -> Value:
    """A tensor times -1."""
    return scaled(call, call.value(), np.full(1, -1, dtype=np.float32))


def div(call: Call) -> Value:
    """A tensor over a constant."""
    index, x, constant = _one_constant(call, call.given(0), call.given(1))
    divisor = per_channel(call, x, constant).values
    if index != 0 or not np.all(divisor):
        raise call.refuse("divides by a tensor, or by zero", "only constants other than zero can be divided by")
    with np.errstate(over="ignore"):  # the finite check of the weights says so
        return scaled(call, x, (1 / divisor.astype(np.float64)).astype(np.float32))


def mul(call: Call) -> Value:
    """Mul by a tensor, a gate per channel or a constant; x * sigmoid(x) is SiLU, x * hardsigmoid(x) HardSwish."""
    a, b = call.given(0), call.given(1)
    if not (isinstance(a, Value) and isinstance(b, Value)):
        _, x, constant = _one_constant(call, a, b)
        return scaled(call, x, per_channel(call, x, constant).values)
    for x, gate in ((a, b), (b, a)):
        merged = _gated_by_itself(call, x, gate)
        if merged is not None:
            return merged
    if a.shape == b.shape and a.dims == b.dims:
        return call.like(call.add(Mul(), _of_one_rank(call, a, b)), a)
    for x, gate in ((a, b), (b, a)):
        if _is_gate(call, x, gate):
            return call.like(call.add(Mul(), [x.tensor, gate.tensor]), x)
    raise call.refuse(
        f"multiplies tensors of shapes {a.shape} and {b.shape}",
        "tensors of one shape, or a gate per channel of shape (1, C, 1, 1), are supported",
    )


def _is_gate(call: Call, x: Value, gate: Value) -> bool:
    """True where `gate` has one element per channel of `x`."""
    dims = ("",) * (len(x.dims) - len(gate.dims)) + gate.dims
    channels = [call.trace.shapes[value.tensor][-1] for value in (x, gate)]
    return (
        len(dims) == len(x.dims)
        and channels[0] == channels[1]
        and all(have == "" or have == want == "C" for have, want in zip(dims, x.dims, strict=True))
    )


def _gated_by_itself(call: Call, x: Value, gate: Value) -> Value | None:
    """SiLU or HardSwish of `x`, where `gate` is its sigmoid or a multiple of its hard sigmoid."""
    if x.shape != gate.shape or x.dims != gate.dims:
        return None
    op, source = _op_behind(call, gate.tensor)
    factor = np.ones(1, dtype=np.float32)
    if isinstance(op, Mul) and "factor" in call.trace.nodes[gate.tensor].params:
        factor = call.trace.nodes[gate.tensor].params["factor"]
        op, source = _op_behind(call, source)
    if source != x.tensor or not isinstance(op, Sigmoid | HardSigmoid):
        return None
    return scaled(call, call.emit(SiLU() if isinstance(op, Sigmoid) else HardSwish(), x), factor)


def _op_behind(call: Call, tensor: str) -> tuple[Op | None, str]:
    """The op that makes `tensor` and its first input, where no code of its own lies between."""
    node = None if tensor in call.trace.quants else call.trace.nodes.get(tensor)
    return (None, "") if node is None else (node.op, node.inputs[0])


def _sum(call: Call, a: Value, b: Value) -> Value:
    if a.shape != b.shape:
        raise call.refuse(f"broadcasts shapes {a.shape} and {b.shape}", "only tensors of one shape can be added")
    if a.dims == b.dims:
        return call.like(call.add(Add(), _of_one_rank(call, a, b)), a)
    (first, letters), (second, _) = call.standard(0), call.standard(1)
    return call.trace.value(call.add(Add(), [first, second]), letters)


def _of_one_rank(call: Call, a: Value, b: Value) -> list[str]:
    """The two tensors; where one of them is (1, C) and the other (1, 1, 1, C), both are the latter."""
    shapes = [call.trace.shapes[value.tensor] for value in (a, b)]
    if shapes[0] == shapes[1]:
        return [a.tensor, b.tensor]
    wide = max(shapes, key=len)
    return [
        value.tensor if shape == wide else call.add(Reshape(wide), [value.tensor], label="reshape")
        for value, shape in zip((a, b), shapes, strict=True)
    ]


def _one_constant(call: Call, a: Known | None, b: Known | None) -> tuple[int, Value, Param]:
    """Which of the two inputs is a tensor, that tensor, and the other one."""
    if isinstance(a, Value) and isinstance(b, Param):
        return 0, a, b
    if isinstance(a, Param) and isinstance(b, Value):
        return 1, b, a
    raise call.refuse(
        "combines two tensors that the network computes", "a tensor and a constant are supported; Add takes two tensors"
    )
