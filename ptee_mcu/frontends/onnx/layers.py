"""ONNX convolutions, products and normalisation as graph nodes."""

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.onnx import layout
from ptee_mcu.frontends.onnx.trace import Call, Param, Value
from ptee_mcu.frontends.onnx.windows import window
from ptee_mcu.ops import BatchNorm, Conv2d, ConvTranspose2d, Linear, Pad
from ptee_mcu.tensor import HW, Padding


def conv(call: Call) -> Value:
    """Conv2d, OIHW weights as OHWI; one dimension is W with an H of 1; a zero padding before it is taken in."""
    tensor, letters = call.spatial()
    weight = _weight(call, letters)
    _, h, w, _ = call.trace.shapes[tensor]
    view = window(call, HW(h, w), _kernel(call, weight))
    padding, pad = view.padding, call.padding_before(tensor)
    if pad is not None and call.node.text("auto_pad", "NOTSET") in ("NOTSET", "VALID"):
        assert isinstance(pad.op, Pad)
        padding, tensor = _sum(padding, pad.op.padding), pad.inputs[0]
    op = Conv2d(view.stride, padding, view.dilation, _groups(call))
    weight = (weight.expanded(2) if letters == "NCW" else weight).transposed(0, 2, 3, 1)
    return call.trace.value(
        call.add(op, [tensor], {"weight": weight, "bias": _bias(call, weight.values.shape[0])}), letters
    )


def conv_transpose(call: Call) -> Value:
    """ConvTranspose2d, IOHW weights as OHWI."""
    tensor, letters = call.spatial()
    weight = _weight(call, letters)
    if _groups(call) != 1 or call.node.has("output_shape"):
        raise call.refuse("has groups or an output_shape", "only one group, and pads that are given, are supported")
    _, h, w, _ = call.trace.shapes[tensor]
    view = window(call, HW(h, w), _kernel(call, weight))
    if view.dilation != HW(1, 1) or call.node.text("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise call.refuse("has a dilation, or SAME padding", "only dilation 1 and pads that are given are supported")
    extra = call.node.integers("output_padding", (0,) * (len(letters) - 2))
    if len(extra) != len(letters) - 2 or min(extra) < 0:
        raise ModelError(f"{call.node.place}: has an output_padding of {extra}")
    weight = (weight.expanded(2) if letters == "NCW" else weight).transposed(1, 2, 3, 0)
    op = ConvTranspose2d(view.stride, view.padding, HW(*(0, *extra)[-2:]))
    return call.trace.value(
        call.add(op, [tensor], {"weight": weight, "bias": _bias(call, weight.values.shape[0])}), letters
    )


def _weight(call: Call, letters: str) -> Param:
    weight = call.param(1, "weight")
    if weight.values.ndim != len(letters):
        raise ModelError(f"{call.node.place}: a weight of shape {weight.values.shape} on {len(letters)} dimensions")
    return weight


def _kernel(call: Call, weight: Param) -> tuple[int, ...]:
    kernel = call.node.integers("kernel_shape", weight.values.shape[2:])
    if kernel != weight.values.shape[2:]:
        raise ModelError(f"{call.node.place}: kernel_shape {kernel}, weight of shape {weight.values.shape}")
    return kernel


def _groups(call: Call) -> int:
    groups = call.node.integer("group", 1)
    if groups < 1:
        raise ModelError(f"{call.node.place}: has {groups} groups")
    return groups


def _bias(call: Call, outputs: int) -> Param | None:
    bias = call.optional_param(2, "bias")
    if bias is not None and bias.values.shape != (outputs,):
        raise ModelError(f"{call.node.place}: its bias has shape {bias.values.shape} on {outputs} output channels")
    return bias


def _sum(a: Padding, b: Padding) -> Padding:
    return Padding(a.top + b.top, a.left + b.left, a.bottom + b.bottom, a.right + b.right)


def gemm(call: Call) -> Value:
    """Linear: alpha * x @ B + beta * C; x cannot be transposed, B may be."""
    if call.node.integer("transA", 0):
        raise call.refuse("transposes its input (transA)", "only transB is supported")
    weight, bias = call.param(1, "matrix B"), call.optional_param(2, "matrix C")
    if weight.values.ndim != 2:
        raise ModelError(f"{call.node.place}: its matrix B has shape {weight.values.shape}")
    weight = weight if call.node.integer("transB", 0) else weight.transposed(1, 0)
    weight = _scaled(call, weight, call.node.real("alpha", 1.0))
    if bias is not None:
        bias = _scaled(call, _row(call, bias, weight.values.shape[0]), call.node.real("beta", 1.0))
    return _product(call, weight, bias)


def matmul(call: Call) -> Value:
    """Linear without a bias; on a tensor with more than one row, a 1x1 convolution."""
    weight = call.param(1, "matrix B")
    if weight.values.ndim != 2:
        raise call.refuse(f"multiplies by a matrix of shape {weight.values.shape}", "only two dimensions are supported")
    return _product(call, weight.transposed(1, 0), None)


def _product(call: Call, weight: Param, bias: Param | None) -> Value:
    """X @ weight.T + bias; the columns of `weight` follow the graph's order of a flattened feature map."""
    x = call.value()
    if not x.shape:
        raise ModelError(f"{call.node.place}: multiplies one number without dimensions by a matrix")
    rows, features = x.shape[:-1], x.shape[-1]
    if features != weight.values.shape[1]:
        raise ModelError(f"{call.node.place}: {features} features times a matrix of {weight.values.shape[1]} rows")
    if not any(x.dims[:-1]):
        order = layout.byte_order(x.dims[-1], layout.extents(call.trace.shapes[x.tensor]))
        tensor = call.add(Linear(), [x.tensor], {"weight": weight.columns(order), "bias": bias})
        return Value(tensor, (*rows, weight.values.shape[0]), (*x.dims[:-1], *call.trace.value(tensor, "C").dims))
    letters = layout.CHANNELS_LAST.get(len(x.shape), "")
    if not layout.fits(x.dims, letters):
        raise call.refuse(f"multiplies a tensor of shape {x.shape}", "only the channels of a tensor can be")
    tensor = call.placed(x, letters)
    kernel = weight.expanded(1).expanded(1)
    return call.trace.value(call.add(Conv2d(), [tensor], {"weight": kernel, "bias": bias}), letters)


def _scaled(call: Call, param: Param, factor: float) -> Param:
    if factor == 1.0:
        return param
    if param.codes is not None:
        raise call.refuse(f"scales quantized constants by {factor}", "only alpha and beta 1 are supported there")
    return Param(param.values * np.float32(factor))


def _row(call: Call, bias: Param, outputs: int) -> Param:
    """The matrix C as a vector of `outputs`."""
    if bias.values.ndim == 1 and bias.values.size == outputs:
        return bias
    values = bias.values
    if values.ndim > 2 or values.size not in (1, outputs) or (values.ndim == 2 and values.shape[0] != 1):
        raise call.refuse(f"adds a matrix of shape {values.shape}", f"one number or {outputs} are supported")
    if bias.codes is not None:
        raise call.refuse(f"has a quantized bias of shape {values.shape}", f"a vector of {outputs} is supported")
    return Param(np.broadcast_to(values.reshape(-1), (outputs,)))


def batch_norm(call: Call) -> Value:
    """BatchNorm in inference mode."""
    if call.node.integer("training_mode", 0) or any(call.trace.uses.get(name, 0) for name in call.node.outputs[1:]):
        raise call.refuse("is in training mode", "export the model in eval mode")
    tensor, letters = call.standard()
    names = ("weight", "bias", "mean", "var")
    params = {name: call.param(i, name) for i, name in enumerate(names, 1)}
    channels = call.trace.shapes[tensor][-1]
    for name, param in params.items():
        if param.values.shape != (channels,):
            raise ModelError(f"{call.node.place}: its {name} has shape {param.values.shape} on {channels} channels")
    eps = call.node.real("epsilon", 1e-5)
    return call.trace.value(call.add(BatchNorm(eps), [tensor], params), letters)
