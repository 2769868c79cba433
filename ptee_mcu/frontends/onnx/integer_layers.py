"""Layers with integer weights of a QDQ model, through QuantBuilder."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import ModelError, UnsupportedOpError
from ptee_mcu.frontends.onnx.trace import Codes
from ptee_mcu.frontends.quantized import QuantBuilder
from ptee_mcu.frontends.quantized_weights import Clamp8, Steps, Weights
from ptee_mcu.graph import Node
from ptee_mcu.ops import Activation, AvgPool2d, Conv2d, ConvTranspose2d, QMean
from ptee_mcu.tensor import HW, INT8_MAX, INT8_MIN, Int32, Quant, readonly

_SAME_SCALE = 1e-5  # relative: a bias scale that is stored as float32 of a product of two


def product(
    builder: QuantBuilder, node: Node, codes: Mapping[str, Codes], act: Activation, source: str, quant: Quant
) -> str:
    """A convolution or a fully connected layer.

    Raises:
        UnsupportedOpError: where its weights are float, or scaled per input channel.
    """
    weights = _weights(node, codes, builder.quant(source))
    clamp = Clamp8(*act.codes(quant))
    op = node.op
    if isinstance(op, Conv2d):
        steps = Steps(op.stride, op.padding, op.dilation)
        if op.is_depthwise(builder.shape(source)[3]):
            turned = Weights(weights.codes.transpose(3, 1, 2, 0), weights.scales, weights.bias)
            return builder.depthwise_conv2d(node.name, source, quant, turned, steps, clamp)
        return builder.conv2d(node.name, source, quant, weights, steps, clamp)
    if isinstance(op, ConvTranspose2d):
        steps = Steps(op.stride, op.padding)
        return builder.transposed_conv2d(node.name, source, quant, weights, steps, op.output_padding, clamp)
    if weights.scales.size == 1:
        return builder.fully_connected(node.name, source, quant, weights, clamp)
    # One scale per output: a 1x1 convolution, which has a rescale pair for each.
    out, features = weights.codes.shape
    pixel = builder.reshape(f"{node.name}.pixel", source, (1, 1, 1, features))
    kernel = Weights(weights.codes.reshape(out, 1, 1, features), weights.scales, weights.bias)
    made = builder.conv2d(f"{node.name}.conv", pixel, quant, kernel, Steps(), clamp)
    return builder.reshape(node.name, made, (1, out))


def _weights(node: Node, codes: Mapping[str, Codes], source: Quant) -> Weights:
    if "weight" not in codes:
        raise UnsupportedOpError(
            f"{node.name}: its weights are float, its input is quantized",
            hint="quantize weights, too: a DequantizeLinear before them",
        )
    weight = codes["weight"]
    if weight.integers.min(initial=0) < INT8_MIN or weight.integers.max(initial=0) > INT8_MAX:
        raise ModelError(f"{node.name}: its weights do not fit int8")
    if any(size > 1 for size in weight.scale.shape[1:]):
        raise UnsupportedOpError(
            f"{node.name}: its weights have scales of shape {weight.scale.shape}",
            hint="one scale per layer or one per output channel is supported",
        )
    scales = weight.scale.reshape(-1)
    bias = _bias(node, codes, source.scale * scales)
    return Weights(readonly(weight.integers, np.int8), readonly(scales, np.float32), bias)


def _bias(node: Node, codes: Mapping[str, Codes], steps: npt.NDArray[np.float64]) -> Int32 | None:
    """Biases in units of `steps`: as they are where they have that scale, else rounded to it."""
    if "bias" not in node.params:
        return None
    own = codes.get("bias")
    if own is not None and np.allclose(own.scale.reshape(-1), steps, rtol=_SAME_SCALE, atol=0):
        integers = own.integers
    else:
        reals = node.params["bias"].astype(np.float64) if own is None else (own.integers * own.scale)
        integers = np.rint(reals / steps)
    limits = np.iinfo(np.int32)
    if not np.all((integers >= limits.min) & (integers <= limits.max)):
        raise ModelError(f"{node.name}: a bias does not fit int32")
    bias: Int32 = readonly(integers, np.int32)
    return bias


def mean(builder: QuantBuilder, node: Node, op: AvgPool2d, act: Activation, source: str, quant: Quant) -> str:
    """An average pool whose output has another code than its input.

    Over the whole map a QMean; else a convolution whose weights are all one, coded as 127: the larger the sum, the less
    it matters that CMSIS-NN rounds it twice.
    """
    _, h, w, channels = builder.shape(source)
    if HW(h, w) == op.kernel and act == Activation():
        twin = QMean.of(node.name, builder.quant(source), quant, op.kernel, keep_dims=True)
        return builder.add_node(node.name, twin, [source], quant)
    ones = readonly(np.full((1, op.kernel.h, op.kernel.w, channels), INT8_MAX), np.int8)
    scale = np.full(1, 1 / (INT8_MAX * op.kernel.h * op.kernel.w), dtype=np.float32)
    weights = Weights(ones, scale, None)
    if channels == 1:
        return builder.conv2d(node.name, source, quant, weights, Steps(op.stride), Clamp8(*act.codes(quant)))
    return builder.depthwise_conv2d(node.name, source, quant, weights, Steps(op.stride), Clamp8(*act.codes(quant)))
