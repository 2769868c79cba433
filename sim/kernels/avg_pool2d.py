"""Int8 average pooling."""

from collections.abc import Sequence

import numpy as np

from ptee_mcu.ops import QAvgPool2d
from ptee_mcu.sim.kernels.base import pad_hw, taps, windows
from ptee_mcu.tensor import HW, Int8, Int32, QTensor


def run(op: QAvgPool2d, inputs: Sequence[Int8], output: QTensor) -> Int8:
    """(N, Ho, Wo, C): the mean code of each window's elements that are not padding, half away from zero, clamped.

    Source: arm_avgpool_s8, CMSIS-NN 4.0.0.
    """
    (x,) = inputs
    _, height, width, _ = x.shape
    _, out_h, out_w, _ = output.shape
    view = windows(pad_hw(x.astype(np.int32), op.padding, 0), HW(out_h, out_w), op.kernel, op.stride, HW(1, 1))
    total = np.zeros((len(x), *output.shape[1:]), dtype=np.int32)
    for _, _, pixels in taps(view):
        total += pixels
    rows = _inside(out_h, op.kernel.h, op.stride.h, op.padding.top, height)
    columns = _inside(out_w, op.kernel.w, op.stride.w, op.padding.left, width)
    count = np.outer(rows, columns)[:, :, None]
    magnitude = (np.abs(total) + count // 2) // count
    codes: Int8 = np.clip(np.sign(total) * magnitude, op.act_min, op.act_max).astype(np.int8)
    return codes


def _inside(size: int, kernel: int, stride: int, padding: int, extent: int) -> Int32:
    """Per output position, how many of the window's positions lie inside the input."""
    first = np.arange(size, dtype=np.int32) * stride - padding
    return np.minimum(first + kernel, extent) - np.maximum(first, 0)
