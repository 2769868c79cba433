"""Int8 depthwise convolution."""

from collections.abc import Sequence

import numpy as np

from ptee_mcu.ops import QDepthwiseConv2d
from ptee_mcu.sim.fixedpoint import Rescale
from ptee_mcu.sim.kernels.base import blocks, pad_hw, taps, windows
from ptee_mcu.tensor import HW, Int8, QTensor


def run(op: QDepthwiseConv2d, inputs: Sequence[Int8], output: QTensor) -> Int8:
    """(N, Ho, Wo, out): output channel o reads input channel o // multiplier; padding adds nothing.

    Source: arm_depthwise_conv_s8, arm_depthwise_conv_3x3_s8 and arm_depthwise_conv_s8_opt, CMSIS-NN 4.0.0.
    """
    (x,) = inputs
    channels = x.shape[3]
    _, out_h, out_w, out_c = output.shape
    weights = op.weights.reshape(op.kernel.h, op.kernel.w, channels, out_c // channels).astype(np.int32)
    rescale = Rescale.of(op.requant, op.bias, op.output_offset, op.act_min, op.act_max)
    codes = np.empty((len(x), out_h, out_w, out_c), dtype=np.int8)
    for block in blocks(len(x), out_h * out_w * out_c * weights.itemsize):
        padded = pad_hw(x[block].astype(np.int32) + op.input_offset, op.padding, 0)
        view = windows(padded, HW(out_h, out_w), op.kernel, op.stride, op.dilation)
        total = np.zeros((len(padded), out_h, out_w, *weights.shape[2:]), dtype=np.int32)
        product = np.empty_like(total)
        for i, j, pixels in taps(view):
            np.multiply(pixels[..., None], weights[i, j], out=product)
            total += product
        rescale.codes(total.reshape(-1, out_c), codes[block].reshape(-1, out_c))
    return codes
