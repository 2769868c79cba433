"""Int8 convolution."""

from collections.abc import Sequence

import numpy as np

from ptee_mcu.ops import QConv2d
from ptee_mcu.sim.fixedpoint import Rescale
from ptee_mcu.sim.kernels.base import blocks, pad_hw, windows
from ptee_mcu.sim.matmul import exact_matmul, exact_terms
from ptee_mcu.tensor import HW, Int8, QTensor


def run(op: QConv2d, inputs: Sequence[Int8], output: QTensor) -> Int8:
    """(N, Ho, Wo, out): sums of weight * (code + input_offset) plus bias, rescaled; padding adds nothing.

    Source: arm_convolve_s8, arm_convolve_1x1_s8, arm_convolve_1x1_s8_fast and arm_convolve_1_x_n_s8, CMSIS-NN 4.0.0,
    one arithmetic in different orders of summation.
    """
    (x,) = inputs
    _, out_h, out_w, out_c = output.shape
    by_output = op.weights.reshape(out_c, -1)
    weights = np.ascontiguousarray(by_output.T, dtype=np.float32)
    terms = exact_terms(by_output)
    # The offset's part of the sum is the same everywhere because padding holds the code that the offset cancels.
    bias = op.bias + op.input_offset * by_output.sum(axis=1, dtype=np.int64)
    rescale = Rescale.of(op.requant, bias, op.output_offset, op.act_min, op.act_max)
    padded = pad_hw(x, op.padding, -op.input_offset)
    view = windows(padded, HW(out_h, out_w), op.kernel, op.stride, op.dilation)
    codes = np.empty((len(x), out_h, out_w, out_c), dtype=np.int8)
    for block in blocks(len(x), out_h * out_w * len(weights) * weights.itemsize):
        columns = view[block].astype(np.float32, order="C").reshape(-1, len(weights))
        rescale.codes(exact_matmul(columns, weights, terms), codes[block].reshape(-1, out_c))
    return codes
