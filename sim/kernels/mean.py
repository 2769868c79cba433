"""Int8 mean over height and width."""

from collections.abc import Sequence

import numpy as np

from ptee_mcu.ops import QMean
from ptee_mcu.requant import requantize
from ptee_mcu.tensor import INT8_MAX, INT8_MIN, Int8, QTensor


def run(op: QMean, inputs: Sequence[Int8], output: QTensor) -> Int8:
    """(N, 1, 1, C) or (N, C): sums of code + input_offset, rescaled; saturated, not clamped further.

    Source: tflite reference_ops::QuantizedMeanOrSum, ai-edge-litert 2.3; rescaled as arm_nn_requantize, CMSIS-NN 4.0.0.
    """
    (x,) = inputs
    total = x.sum(axis=(1, 2), dtype=np.int32) + op.input_offset * op.size.h * op.size.w
    codes = requantize(total, op.requant) + op.output_offset
    return np.clip(codes, INT8_MIN, INT8_MAX).astype(np.int8).reshape(len(x), *output.shape[1:])
