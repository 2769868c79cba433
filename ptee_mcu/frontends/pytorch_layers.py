"""ATen convolutions, products, normalisation, activations and pools as graph nodes."""

from dataclasses import replace

import numpy as np

from ptee_mcu.frontends.pytorch_trace import Call, Value, base_name, nhwc
from ptee_mcu.ops import (
    Activation,
    Add,
    AvgPool2d,
    BatchNorm,
    Clamp,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    Pad,
)
from ptee_mcu.tensor import HW, Float, Padding, window_shape


def conv2d(call: Call) -> Value:
    """Conv2d, OIHW weights as OHWI; takes in a zero padding of H and W before it. A line is a map of height 1."""
    x = call.value("input", rank=call.map_rank)
    weight = _ohwi(call.array("weight"))
    kernel = HW(*weight.shape[1:3])
    stride, dilation = HW(*call.pair("stride", height=1)), HW(*call.pair("dilation", height=1))
    padding = _same(kernel, dilation) if call["padding"] == "same" else _padding(call)
    pad = call.trace.producer(x)
    if pad is not None and isinstance(pad.op, Pad) and not (pad.op.channels_before or pad.op.channels_after):
        # PyTorch has no uneven padding in its convolution, the graph has: zeros are zeros.
        padding, before = _sum(padding, pad.op.padding), pad.inputs[0]
        _, h, w, c = call.trace.shapes[before]
        x = Value(before, (1, c, h, w))  # whose shape nothing reads: a convolution makes another
    op = Conv2d(stride, padding, dilation, call["groups"])
    return call.emit(op, x, weight=weight, bias=call.optional_array("bias"))


def _padding(call: Call) -> Padding:
    return Padding() if call["padding"] == "valid" else Padding.same(*call.pair("padding", height=0))


def _ohwi(weight: Float) -> Float:
    """OIHW, or OIW of a line, as OHWI."""
    return weight.transpose(0, 2, 3, 1) if weight.ndim == 4 else weight.transpose(0, 2, 1)[:, None]


def conv_transpose2d(call: Call) -> Value:
    """ConvTranspose2d, IOHW weights as OHWI."""
    x = call.value("input", rank=call.map_rank)
    dilation, groups = call.pair("dilation", height=1), call["groups"]
    if dilation != (1, 1) or groups != 1:
        raise call.refuse(f"has a dilation of {call['dilation']} and {groups} groups", "only 1 is supported")
    weight = _ohwi(call.array("weight").swapaxes(0, 1))
    stride, more = HW(*call.pair("stride", height=1)), HW(*call.pair("output_padding", height=0))
    op = ConvTranspose2d(stride, Padding.same(*call.pair("padding", height=0)), more)
    return call.emit(op, x, weight=weight, bias=call.optional_array("bias"))


def _same(kernel: HW, dilation: HW) -> Padding:
    """PyTorch's padding="same": the odd element goes below and to the right."""
    h, w = dilation.h * (kernel.h - 1), dilation.w * (kernel.w - 1)
    return Padding(h // 2, w // 2, h - h // 2, w - w // 2)


def _sum(a: Padding, b: Padding) -> Padding:
    return Padding(a.top + b.top, a.left + b.left, a.bottom + b.bottom, a.right + b.right)


def linear(call: Call) -> Value:
    """Linear."""
    return _product(call, "input", call.array("weight"), call.optional_array("bias"))


def addmm(call: Call) -> Value:
    """Linear with a bias, written as a product."""
    if call["alpha"] != 1 or call["beta"] != 1:
        raise call.refuse(f"has alpha {call['alpha']} and beta {call['beta']}", "only 1 is supported; use nn.Linear")
    return _product(call, "mat1", call.array("mat2").T, call.array("self"))


def mm(call: Call) -> Value:
    """Linear without a bias, written as a product."""
    return _product(call, "self", call.array("mat2" if base_name(call.node) == "mm" else "other").T, None)


def _product(call: Call, source: str, weight: Float, bias: Float | None) -> Value:
    """X @ weight.T + bias; the columns of `weight` follow the graph's order of a flattened feature map."""
    x = call.value(source, rank=2, flattened=True)
    if x.order is not None:
        weight = weight.reshape(len(weight), *x.order).transpose(0, 2, 3, 1).reshape(len(weight), -1)
    return call.emit(Linear(), x, weight=weight, bias=bias)


def batch_norm(call: Call) -> Value:
    """BatchNorm in eval mode; a missing weight is 1, a missing bias 0."""
    x = call.value("input")
    if call["training"] or call["running_mean"] is None:
        raise call.refuse("normalises by the batch's own statistics", "keep track_running_stats=True")
    mean = call.array("running_mean")
    weight, bias = call.optional_array("weight"), call.optional_array("bias")
    return call.emit(
        BatchNorm(call["eps"]),
        x,
        weight=np.ones_like(mean) if weight is None else weight,
        bias=np.zeros_like(mean) if bias is None else bias,
        mean=mean,
        var=call.array("running_var"),
    )


def relu(call: Call) -> Value:
    """Clamp to [0, inf)."""
    return _clamp(call, 0.0, None)


def relu6(call: Call) -> Value:
    """Clamp to [0, 6]."""
    return _clamp(call, 0.0, 6.0)


def hardtanh(call: Call) -> Value:
    """Clamp to its two limits."""
    return _clamp(call, call["min_val"], call["max_val"])


def clamp_both(call: Call) -> Value:
    """Clamp to one or two limits."""
    return _clamp(call, call["min"], call["max"])


def clamp_min(call: Call) -> Value:
    """Clamp from below."""
    return _clamp(call, call["min"], None)


def clamp_max(call: Call) -> Value:
    """Clamp from above."""
    return _clamp(call, None, call["max"])


def _clamp(call: Call, low: float | None, high: float | None) -> Value:
    act = Activation(-np.inf if low is None else float(low), np.inf if high is None else float(high))
    x = call.value(flattened=True)
    return replace(call.emit(Clamp(act), x), order=x.order)


def max_pool2d(call: Call) -> Value:
    """MaxPool2d."""
    if call.pair("dilation", height=1) != (1, 1):
        raise call.refuse(f"has a dilation of {call['dilation']}", "only 1 is supported")
    return _pool(call, MaxPool2d)


def avg_pool2d(call: Call) -> Value:
    """AvgPool2d, which never counts padding."""
    if call["count_include_pad"] and call.pair("padding", height=0) != (0, 0):
        raise call.refuse("counts its padding in the mean", "set count_include_pad=False")
    if len(call.shape) == 4 and call["divisor_override"] is not None:
        raise call.refuse(f"divides by {call['divisor_override']}", "leave divisor_override unset")
    return _pool(call, AvgPool2d)


def _pool(call: Call, make: type[MaxPool2d] | type[AvgPool2d]) -> Value:
    x = call.value(rank=call.map_rank)
    kernel = HW(*call.pair("kernel_size", height=1))
    stride = HW(*call.pair("stride", height=1)) if call["stride"] else kernel
    padding = Padding.same(*call.pair("padding", height=0))
    (_, h, w, _), (_, out_h, out_w, _) = nhwc(x.shape), nhwc(call.shape)
    if window_shape(HW(h, w), kernel, stride, padding) != HW(out_h, out_w):
        raise call.refuse(f"rounds its output up to {out_h}x{out_w} (ceil_mode)", "set ceil_mode=False and pad before")
    return call.emit(make(kernel, stride, padding), x)


def adaptive_avg_pool2d(call: Call) -> Value:
    """AvgPool2d where all windows have one size; nothing where the size stays."""
    x = call.value(rank=call.map_rank)
    (_, h, w, _), (_, out_h, out_w, _) = nhwc(x.shape), nhwc(call.shape)
    if h % out_h or w % out_w:
        raise call.refuse(
            f"pools {h}x{w} to {out_h}x{out_w} by windows of uneven size", "choose a size that divides both"
        )
    window = HW(h // out_h, w // out_w)
    return call.alias(x) if window == HW(1, 1) else call.emit(AvgPool2d(window, window), x)


def mean(call: Call) -> Value:
    """AvgPool2d over all of H, W or both, or over the length of a line."""
    x = call.value()
    rank = len(x.shape)
    dims = {dim % rank for dim in call["dim"] or range(rank)}
    spatial = set(range(2, rank))
    if rank not in (3, 4) or not dims <= spatial or (dims != spatial and not call["keepdim"]):
        raise call.refuse(
            f"averages dimensions {sorted(dims)} of {x.shape}", "only means over H and W of (1, C, H, W) are supported"
        )
    _, h, w, _ = nhwc(x.shape)
    window = HW(h if rank - 2 in dims and rank == 4 else 1, w if rank - 1 in dims else 1)
    pooled = x if window == HW(1, 1) else call.emit(AvgPool2d(window, window), x)
    return pooled if call["keepdim"] else call.emit(Flatten(), pooled, label="flatten")


def add(call: Call) -> Value:
    """Add of two tensors of one shape."""
    a, b = call.value(), call.value("other")
    if call["alpha"] != 1:
        raise call.refuse(f"scales its second operand by {call['alpha']}", "only a plain sum is supported")
    if a.shape != b.shape:
        raise call.refuse(f"broadcasts shapes {a.shape} and {b.shape}", "only tensors of one shape can be added")
    return call.emit(Add(), a, b)


def dropout(call: Call) -> Value:
    """Dropout, which training needs."""
    x = call.value("self" if base_name(call.node).endswith("_") else "input", flattened=True)
    return replace(call.emit(Dropout(call["p"]), x), order=x.order) if call["p"] > 0 else x


def softmax(call: Call) -> Value:
    """Nothing: a final softmax is an attribute of the graph."""
    x = call.value()
    if any(user.op != "output" for user in call.node.users):
        raise call.refuse(
            "is not the network's last operation", "only a final softmax is supported; the host applies it"
        )
    if call["dim"] % len(x.shape) != 1:
        raise call.refuse(
            f"normalises dimension {call['dim']} of {x.shape}", "only classes (dimension 1) are supported"
        )
    call.trace.softmax = True
    return x
