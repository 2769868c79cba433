"""Constants that are added to a tensor or multiply it: merged into the layer before, or a node of their own."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ptee_mcu.frontends.onnx.trace import Call, Codes, Param, Value
from ptee_mcu.ops import Conv2d, ConvTranspose2d, Flatten, Linear, Mul, Reshape
from ptee_mcu.tensor import Float, readonly

_SAME = 1e-6  # 6 * float32(1 / 6) is 1


def per_channel(call: Call, x: Value, param: Param) -> Param:
    """`param` as a vector (C,), or (1,) where it is one number.

    Raises:
        UnsupportedOpError: where it is neither.
    """
    values, codes = param.values, param.codes
    if values.dtype.kind != "f":
        raise call.refuse(f"combines a tensor with constants of type {values.dtype}", "only floats are supported")
    shape = (1,) * (len(x.shape) - values.ndim) + values.shape
    wide = [i for i, size in enumerate(shape) if size > 1]
    if len(shape) > len(x.shape) or len(wide) > 1 or any(x.dims[i] != "C" or shape[i] != x.shape[i] for i in wide):
        raise call.refuse(
            f"combines a tensor of shape {x.shape} with constants of shape {values.shape}",
            "one number, or one per channel, is supported",
        )
    if codes is not None:
        codes = Codes(codes.integers.reshape(-1), codes.scale.reshape(-1))
    return Param(values.reshape(-1).astype(np.float32), codes)


def scaled(call: Call, x: Value, factor: Float) -> Value:
    """`x` times `factor`, (C,) or (1,); factors in a row become one, and one of 1 none."""
    before = call.trace.nodes.get(x.tensor)
    source, kept = x.tensor, factor.astype(np.float64)
    free = x.tensor not in call.trace.quants
    if before is not None and free and isinstance(before.op, Mul) and "factor" in before.params:
        source, kept = before.inputs[0], kept * before.params["factor"]
    if np.allclose(kept, 1.0, rtol=0, atol=_SAME):
        return Value(source, x.shape, x.dims)
    return Value(call.add(Mul(), [source], {"factor": readonly(kept, np.float32)}), x.shape, x.dims)


def shifted(call: Call, x: Value, shift: Param) -> Value:
    """`x` plus `shift`, (C,) or (1,)."""
    if not np.any(shift.values):
        return x
    node = call.sole_producer(x)
    if node is not None and isinstance(node.op, Conv2d | ConvTranspose2d | Linear):
        _add_bias(call, x.tensor, shift)
        return x
    have = call.trace.shapes[x.tensor]
    channels, flat = have[-1], len(have) == 2
    weight = np.ones(channels, dtype=np.float32)
    source = x.tensor
    if node is not None and isinstance(node.op, Mul) and "factor" in node.params:
        weight, source = np.broadcast_to(node.params["factor"], (channels,)), node.inputs[0]
    image = call.add(Reshape((1, 1, 1, channels)), [source], label="reshape") if flat else source
    bias = np.broadcast_to(shift.values, (channels,))
    result = call.add(Conv2d(groups=channels), [image], {"weight": weight.reshape(-1, 1, 1, 1), "bias": bias})
    result = call.add(Flatten(), [result], label="flatten") if flat else result
    if shift.values.size == 1 and source == x.tensor:
        call.trace.shifts[result] = (x.tensor, float(shift.values[0]))
    return Value(result, x.shape, x.dims)


def _add_bias(call: Call, tensor: str, shift: Param) -> None:
    """Puts `shift` into the layer that makes `tensor`; integers stay where there was no bias before."""
    node, codes = call.trace.nodes[tensor], call.trace.codes[tensor]
    channels = call.trace.shapes[tensor][-1]
    call.trace.spend(call.node.place, channels)
    before = node.params.get("bias", np.zeros((), dtype=np.float32))
    bias = readonly(np.broadcast_to(before + shift.values, (channels,)), np.float32)
    if shift.codes is not None and "bias" not in node.params and shift.codes.integers.size == channels:
        codes["bias"] = shift.codes
    else:
        codes.pop("bias", None)
    call.trace.nodes[tensor] = replace(node, params=MappingProxyType({**node.params, "bias": bias}))
