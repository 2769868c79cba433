"""Int8 strided slice of height, width and channels."""

from collections.abc import Sequence

import numpy as np

from ptee_mcu.ops import QSlice
from ptee_mcu.tensor import Int8, QTensor


def run(op: QSlice, inputs: Sequence[Int8], output: QTensor) -> Int8:
    """Pixels start + i * step, as many as `output` has; channels channel_start onwards."""
    (x,) = inputs
    _, out_h, out_w, out_c = output.shape
    rows = slice(op.start.h, op.start.h + (out_h - 1) * op.step.h + 1, op.step.h)
    columns = slice(op.start.w, op.start.w + (out_w - 1) * op.step.w + 1, op.step.w)
    return np.ascontiguousarray(x[:, rows, columns, op.channel_start : op.channel_start + out_c])
