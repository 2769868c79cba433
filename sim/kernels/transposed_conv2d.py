"""Int8 transposed convolution."""

from collections.abc import Sequence

import numpy as np

from ptee_mcu.ops import QConvTranspose2d
from ptee_mcu.sim.fixedpoint import Rescale
from ptee_mcu.sim.kernels.base import blocks
from ptee_mcu.sim.matmul import exact_matmul, exact_terms
from ptee_mcu.tensor import Int8, Int32, QTensor


def run(op: QConvTranspose2d, inputs: Sequence[Int8], output: QTensor) -> Int8:
    """(N, Ho, Wo, out): every pixel's products, scattered by tap and summed; then bias, rescale and clamp.

    Source: tflite reference_integer_ops::TransposeConv, ai-edge-litert 2.3; rescaled as arm_nn_requantize, CMSIS-NN
    4.0.0.
    """
    (x,) = inputs
    rescale = Rescale.of(op.requant, op.bias, op.output_offset, op.act_min, op.act_max)
    codes = np.empty((len(x), *output.shape[1:]), dtype=np.int8)
    for block in blocks(len(x), output.nbytes * 4):
        sums = _sums(op, x[block], output)
        rescale.codes(sums.reshape(-1, sums.shape[3]), codes[block].reshape(-1, sums.shape[3]))
    return codes


def _sums(op: QConvTranspose2d, x: Int8, output: QTensor) -> Int32:
    """(N, Ho, Wo, out): the accumulators without bias."""
    n, h, w, channels = x.shape
    _, out_h, out_w, out_c = output.shape
    top, left, step, kernel = op.padding.top, op.padding.left, op.stride, op.kernel
    reach = (max(top + out_h, (h - 1) * step.h + kernel.h), max(left + out_w, (w - 1) * step.w + kernel.w))
    sums = np.zeros((n, *reach, out_c), dtype=np.int32)
    columns, terms = x.reshape(-1, channels).astype(np.float32), exact_terms(op.weights)
    for i, j in np.ndindex(kernel.h, kernel.w):
        weights = op.weights[:, i, j]
        products = exact_matmul(columns, weights.T.astype(np.float32), terms).astype(np.int32)
        products += op.input_offset * weights.sum(axis=1, dtype=np.int32)
        rows = slice(i, i + (h - 1) * step.h + 1, step.h)
        sums[:, rows, j : j + (w - 1) * step.w + 1 : step.w] += products.reshape(n, h, w, out_c)
    return sums[:, top : top + out_h, left : left + out_w]
