"""Int8 max pooling."""

from collections.abc import Sequence

import numpy as np

from ptee_mcu.ops import QMaxPool2d
from ptee_mcu.sim.kernels.base import pad_hw, taps, windows
from ptee_mcu.tensor import HW, INT8_MIN, Int8, QTensor


def run(op: QMaxPool2d, inputs: Sequence[Int8], output: QTensor) -> Int8:
    """(N, Ho, Wo, C): the largest code of each window, clamped; padding never wins.

    Source: arm_max_pool_s8, CMSIS-NN 4.0.0.
    """
    (x,) = inputs
    _, out_h, out_w, _ = output.shape
    view = windows(pad_hw(x, op.padding, INT8_MIN), HW(out_h, out_w), op.kernel, op.stride, HW(1, 1))
    codes = np.full((len(x), *output.shape[1:]), INT8_MIN, dtype=np.int8)
    for _, _, pixels in taps(view):
        np.maximum(codes, pixels, out=codes)
    return np.clip(codes, op.act_min, op.act_max, out=codes)
