"""Scaling and shifting by constants, and clamps: merged with what stands before them where nothing else changes."""

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ptee_mcu.frontends.tflite.float_trace import Call, Value
from ptee_mcu.graph import Node
from ptee_mcu.ops import Activation, Clamp, Conv2d, ConvTranspose2d, HardSigmoid, Linear, Mul, Reshape
from ptee_mcu.tensor import Float, readonly

Double = npt.NDArray[np.float64]

_RELU6 = Activation(0.0, 6.0)
_UNIT = Activation(0.0, 1.0)
_NONE = Activation()


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """`source` * scale + shift, per channel (C,)."""

    source: str
    scale: Double
    shift: Double

    def is_like(self, scale: float, shift: float) -> bool:
        """True where all channels have this scale and shift, to float32."""
        return np.allclose(self.scale, scale, 1e-6, 1e-7) and np.allclose(self.shift, shift, 1e-6, 1e-7)


def per_channel(call: Call, x: Value, constant: Float) -> Float:
    """`constant` as one number per channel of `x`.

    Raises:
        UnsupportedOpError: where it changes along another axis.
    """
    channels = x.shape[-1] if x.shape else 1
    if constant.size != 1 and (constant.size != channels or constant.shape[-1] != channels):
        raise call.refuse(
            f"a constant of shape {constant.shape} meets a tensor of shape {x.shape}",
            f"only one number, or one per channel ({channels},), is supported",
        )
    return np.broadcast_to(constant.reshape(-1), (channels,))


def affine(
    call: Call, x: Value, *, scale: Float | None = None, shift: Float | None = None, act: Activation = _NONE
) -> Value:
    """`x` times `scale` plus `shift`, clamped: in the layer before it, or as Mul or a depthwise 1x1 convolution."""
    ones, zeros = np.ones(1, np.float32), np.zeros(1, np.float32)
    factor = per_channel(call, x, ones if scale is None else scale).astype(np.float64)
    offset = per_channel(call, x, zeros if shift is None else shift).astype(np.float64)
    tensor = x.tensor if call.trace.shapes[x.tensor][-1] == len(factor) else call.in_graph_shape(x)
    before = call.trace.producer(replace(x, tensor=tensor))
    inner = None if before is None else _line(before)
    gates = act == _RELU6 and _Line(tensor, factor, offset).is_like(1, 3)  # the start of a HardSigmoid
    if inner is not None:
        line = _Line(inner.source, factor * inner.scale, factor * inner.shift + offset)
    elif before is not None and x.alone and tensor == x.tensor and _takes_in(before, factor, offset) and not gates:
        call.replace_node(before, _scaled(before, factor, offset))
        return clamped(call, x, act)
    else:
        line = _Line(tensor, factor, offset)
    gate = None if before is None else _relu6_of_sum(call, before)
    if gate is not None and line.is_like(1 / 6, 0):
        return clamped(call, call.emit(HardSigmoid(), _flat(call, gate), shape=x.shape), act)
    return clamped(call, _emit(call, line, x), act)


def clamped(call: Call, x: Value, act: Activation) -> Value:
    """`x` within `act`; a clamp of a clamp is one, and relu6(x + 3) / 6 is HardSigmoid."""
    if act == _NONE:
        return x
    before, tensor = call.trace.producer(x), x.tensor
    if before is not None and isinstance(before.op, Clamp):
        inner, tensor = before.op.act, before.inputs[0]
        act = Activation(min(max(inner.min, act.min), act.max), max(min(inner.max, act.max), act.min))
        before = call.trace.producer(replace(x, tensor=tensor))
    line = None if before is None else _line(before)
    if line is not None and act == _UNIT and line.is_like(1 / 6, 0.5):
        return call.emit(HardSigmoid(), _flat(call, line.source), shape=x.shape)
    return call.emit(Clamp(act), tensor, shape=x.shape)


def _emit(call: Call, line: _Line, x: Value) -> Value:
    if not line.shift.any():
        same = bool((line.scale == line.scale[0]).all())
        factor = line.scale[:1] if same else line.scale
        return call.emit(Mul(), line.source, shape=x.shape, factor=factor.astype(np.float32))
    channels = len(line.scale)
    shape = call.trace.shapes[line.source]
    image = call.in_graph_shape(Value(line.source, shape if len(shape) == 4 else (1, 1, 1, channels)))
    weight = line.scale.astype(np.float32).reshape(-1, 1, 1, 1)
    return call.emit(Conv2d(groups=channels), image, shape=x.shape, weight=weight, bias=line.shift.astype(np.float32))


def _line(node: Node) -> _Line | None:
    """What `node` computes, where that is a scale and a shift per channel."""
    if isinstance(node.op, Mul) and "factor" in node.params and node.op.act == _NONE:
        factor = node.params["factor"].astype(np.float64).reshape(-1)
        return _Line(node.inputs[0], factor, np.zeros_like(factor))
    if isinstance(node.op, Conv2d) and node.params["weight"].shape[1:] == (1, 1, 1) and "bias" in node.params:
        weight, bias = (node.params[role].astype(np.float64).reshape(-1) for role in ("weight", "bias"))
        if node.op == Conv2d(groups=len(weight)):
            return _Line(node.inputs[0], weight, bias)
    return None


def _relu6_of_sum(call: Call, node: Node) -> str | None:
    """x, where `node` is relu6(x + 3)."""
    if not isinstance(node.op, Clamp) or node.op.act != _RELU6:
        return None
    before = call.trace.nodes.get(node.inputs[0])
    line = None if before is None else _line(before)
    return line.source if line is not None and line.is_like(1, 3) else None


def _takes_in(node: Node, factor: Double, offset: Double) -> bool:
    """True where `node` can scale and shift its own output: one clamp fits all channels if they change alike."""
    if not isinstance(node.op, Conv2d | ConvTranspose2d | Linear):
        return False
    alike = bool((factor == factor[0]).all() and (offset == offset[0]).all())
    return node.op.act == _NONE or (alike and bool(factor[0] > 0))


def _scaled(node: Node, factor: Double, offset: Double) -> Node:
    """`node` with its output times `factor` plus `offset`, per channel."""
    op = node.op
    assert isinstance(op, Conv2d | ConvTranspose2d | Linear)
    weight = node.params["weight"].astype(np.float64)
    bias = node.params["bias"].astype(np.float64) if "bias" in node.params else 0.0
    scaled = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    params = {"weight": readonly(scaled, np.float32), "bias": readonly(bias * factor + offset, np.float32)}
    if op.act != _NONE:
        limits = (float(limit * factor[0] + offset[0]) for limit in (op.act.min, op.act.max))
        op = replace(op, act=Activation(*limits))
    return replace(node, op=op, params=MappingProxyType(params))


def _flat(call: Call, tensor: str) -> str:
    """`tensor` before a Reshape, which a function of one element at a time does not need."""
    before = call.trace.nodes.get(tensor)
    return before.inputs[0] if before is not None and isinstance(before.op, Reshape) else tensor
