"""Nodes of a float graph as torch layers: what they compute in NCHW, and their parameters as arrays."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ptee_mcu.graph import Node
from ptee_mcu.ops import (
    Activation,
    Add,
    AvgPool2d,
    BatchNorm,
    Clamp,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Mul,
    Op,
    Pad,
    PReLU,
    Reshape,
    ResizeNearest,
    Sigmoid,
    SiLU,
    Slice,
    Tanh,
)
from ptee_mcu.tensor import HW, Float, Padding

_MOMENTUM = 0.1  # torch.nn.BatchNorm2d's default: the weight of a batch in the running statistics
_UNTRAINED = frozenset({"mean", "var", "factor"})  # BatchNorm's statistics, which are followed; Mul's constant


class Layer(nn.Module):
    """A graph node by torch; its parameters and buffers are called by their roles, convolution weights are OIHW."""

    def __init__(self, node: Node) -> None:
        """Parameters as `node` has them."""
        super().__init__()
        self.op = node.op
        self.compute = COMPUTE[type(node.op)]
        self.roles = tuple(node.params)
        for role, array in node.params.items():
            tensor = torch.from_numpy(np.array(array.transpose(0, 3, 1, 2) if array.ndim == 4 else array))
            if role in _UNTRAINED:
                self.register_buffer(role, tensor)
            else:
                self.register_parameter(role, nn.Parameter(tensor))

    def __getitem__(self, role: str) -> Tensor:
        """The parameter or buffer `role`."""
        tensor = getattr(self, role)
        assert isinstance(tensor, Tensor)
        return tensor

    def get(self, role: str) -> Tensor | None:
        """The parameter `role`, where there is one."""
        return self[role] if role in self.roles else None

    def arrays(self) -> dict[str, Float]:
        """The parameters in the graph's layout; views of what training goes on changing."""
        arrays = {role: self[role].detach().cpu().numpy() for role in self.roles}
        return {role: a.transpose(0, 2, 3, 1) if a.ndim == 4 else a for role, a in arrays.items()}

    def forward(self, *inputs: Tensor) -> Tensor:
        """The node's output."""
        return self.compute(self, self.op, *inputs)


def _conv2d(layer: Layer, op: Conv2d, x: Tensor) -> Tensor:
    x, padding = _padded(x, op.padding, 0.0)
    y = F.conv2d(x, layer["weight"], layer.get("bias"), _pair(op.stride), padding, _pair(op.dilation), op.groups)
    return _clamped(y, op.act)


def _conv_transpose2d(layer: Layer, op: ConvTranspose2d, x: Tensor) -> Tensor:
    full = F.conv_transpose2d(x, layer["weight"].transpose(0, 1), None, _pair(op.stride))
    pad, more = op.padding, op.output_padding
    y = F.pad(full, (-pad.left, more.w - pad.right, -pad.top, more.h - pad.bottom))
    bias = layer.get("bias")
    return _clamped(y if bias is None else y + bias[:, None, None], op.act)


def _linear(layer: Layer, op: Linear, x: Tensor) -> Tensor:
    return _clamped(F.linear(_flat(x), layer["weight"], layer.get("bias")), op.act)


def _batch_norm(layer: Layer, op: BatchNorm, x: Tensor) -> Tensor:
    mean, var, weight, bias = (layer[role] for role in ("mean", "var", "weight", "bias"))
    return F.batch_norm(x, mean, var, weight, bias, layer.training, _MOMENTUM, op.eps)


def _max_pool2d(_: Layer, op: MaxPool2d, x: Tensor) -> Tensor:
    x, padding = _padded(x, op.padding, -np.inf, largest=op.kernel)
    return _clamped(F.max_pool2d(x, _pair(op.kernel), _pair(op.stride), padding), op.act)


def _avg_pool2d(_: Layer, op: AvgPool2d, x: Tensor) -> Tensor:
    kernel, stride = _pair(op.kernel), _pair(op.stride)
    padded, padding = _padded(x, op.padding, 0.0, largest=op.kernel)
    if padded is x:
        return _clamped(F.avg_pool2d(x, kernel, stride, padding, count_include_pad=False), op.act)
    inside = _padded(torch.ones_like(x[:1, :1]), op.padding, 0.0, largest=op.kernel)[0]
    return _clamped(F.avg_pool2d(padded, kernel, stride) / F.avg_pool2d(inside, kernel, stride), op.act)


def _add(_: Layer, op: Add, a: Tensor, b: Tensor) -> Tensor:
    return _clamped(a + b, op.act)


def _mul(layer: Layer, op: Mul, *inputs: Tensor) -> Tensor:
    x, b = inputs if len(inputs) == 2 else (inputs[0], layer["factor"][None])
    by_channel = (len(b), -1, *[1] * (x.dim() - 2))
    return _clamped(x * b.reshape(x.shape if b.numel() == x.numel() else by_channel), op.act)


def _sigmoid(_: Layer, _op: Sigmoid, x: Tensor) -> Tensor:
    return torch.sigmoid(x)


def _hard_sigmoid(_: Layer, _op: HardSigmoid, x: Tensor) -> Tensor:
    return F.hardsigmoid(x)


def _hard_swish(_: Layer, _op: HardSwish, x: Tensor) -> Tensor:
    return F.hardswish(x)


def _silu(_: Layer, _op: SiLU, x: Tensor) -> Tensor:
    return F.silu(x)


def _tanh(_: Layer, _op: Tanh, x: Tensor) -> Tensor:
    return torch.tanh(x)


def _leaky_relu(_: Layer, op: LeakyReLU, x: Tensor) -> Tensor:
    return F.leaky_relu(x, op.negative_slope)


def _prelu(layer: Layer, _op: PReLU, x: Tensor) -> Tensor:
    return F.prelu(x, layer["slope"])


def _clamp(_: Layer, op: Clamp, x: Tensor) -> Tensor:
    return _clamped(x, op.act)


def _concat(_: Layer, _op: Concat, *parts: Tensor) -> Tensor:
    return torch.cat(parts, 1)


def _dropout(layer: Layer, op: Dropout, x: Tensor) -> Tensor:
    return F.dropout(x, op.p, layer.training)


def _flatten(_: Layer, _op: Flatten, x: Tensor) -> Tensor:
    return _flat(x)


def _pad(_: Layer, op: Pad, x: Tensor) -> Tensor:
    p = op.padding
    return F.pad(x, (p.left, p.right, p.top, p.bottom, op.channels_before, op.channels_after))


def _reshape(_: Layer, op: Reshape, x: Tensor) -> Tensor:
    y = _flat(x).reshape(len(x), *op.shape[1:])
    return y.permute(0, 3, 1, 2) if y.dim() == 4 else y


def _resize_nearest(_: Layer, op: ResizeNearest, x: Tensor) -> Tensor:
    return x.repeat_interleave(op.scale.h, 2).repeat_interleave(op.scale.w, 3)


def _slice(_: Layer, op: Slice, x: Tensor) -> Tensor:
    return x[:, op.c.slice(), op.h.slice(), op.w.slice()]


COMPUTE: Mapping[type[Op], Callable[..., Tensor]] = {
    Add: _add,
    AvgPool2d: _avg_pool2d,
    BatchNorm: _batch_norm,
    Clamp: _clamp,
    Concat: _concat,
    Conv2d: _conv2d,
    ConvTranspose2d: _conv_transpose2d,
    Dropout: _dropout,
    Flatten: _flatten,
    HardSigmoid: _hard_sigmoid,
    HardSwish: _hard_swish,
    LeakyReLU: _leaky_relu,
    Linear: _linear,
    MaxPool2d: _max_pool2d,
    Mul: _mul,
    Pad: _pad,
    PReLU: _prelu,
    Sigmoid: _sigmoid,
    SiLU: _silu,
    Reshape: _reshape,
    ResizeNearest: _resize_nearest,
    Slice: _slice,
    Tanh: _tanh,
}


def _pair(size: HW) -> tuple[int, int]:
    return (size.h, size.w)


def _padded(x: Tensor, padding: Padding, fill: float, *, largest: HW | None = None) -> tuple[Tensor, tuple[int, int]]:
    """`x` padded as far as torch's layer cannot do it, and the padding left to the layer.

    The layer pads evenly, a pool by at most half its kernel (`largest`).
    """
    even = padding == Padding.same(padding.top, padding.left)
    if even and (largest is None or (2 * padding.top <= largest.h and 2 * padding.left <= largest.w)):
        return x, (padding.top, padding.left)
    return F.pad(x, (padding.left, padding.right, padding.top, padding.bottom), value=fill), (0, 0)


def _clamped(x: Tensor, act: Activation) -> Tensor:
    if act == Activation():
        return x
    if act == Activation(min=0.0):
        return F.relu(x)
    return torch.clamp(x, act.min, act.max)


def _flat(x: Tensor) -> Tensor:
    """(N, elements) in the graph's order H, W, C."""
    return x.permute(0, 2, 3, 1).reshape(len(x), -1) if x.dim() == 4 else x
