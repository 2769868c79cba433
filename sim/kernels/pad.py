"""Int8 padding of height, width and channels."""

from collections.abc import Sequence

import numpy as np

from ptee_mcu.ops import QPad
from ptee_mcu.tensor import Int8, QTensor


def run(op: QPad, inputs: Sequence[Int8], output: QTensor) -> Int8:
    """The input within a tensor filled with `value`."""
    (x,) = inputs
    _, h, w, c = x.shape
    top, left, front = op.padding.top, op.padding.left, op.channels_before
    codes = np.full((len(x), *output.shape[1:]), op.value, dtype=np.int8)
    codes[:, top : top + h, left : left + w, front : front + c] = x
    return codes
