"""Int8 PReLU."""

from collections.abc import Sequence

import numpy as np

from ptee_mcu.ops import QPReLU
from ptee_mcu.requant import Requant, requantize
from ptee_mcu.tensor import INT8_MAX, INT8_MIN, Int8, Int32, QTensor


def run(op: QPReLU, inputs: Sequence[Int8], output: QTensor) -> Int8:
    """Every element's code in its channel's table.

    Source: reference_ops::BroadcastPrelu4DSlow, TensorFlow Lite 2.18.
    """
    (x,) = inputs
    index = x.view(np.uint8) + np.arange(0, 256 * len(op.alpha), 256)
    codes = np.empty((len(x), *output.shape[1:]), dtype=np.int8)
    return np.take(slopes(op).reshape(-1), index, out=codes, mode="clip")  # as in add


def slopes(op: QPReLU) -> Int8:
    """(C, 256): the output of every code in every channel, codes indexed by their byte."""
    values = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int32) + op.input_offset
    sloped = np.multiply.outer(op.alpha.astype(np.int32) + op.alpha_offset, np.minimum(values, 0))
    found = np.where(values >= 0, _rescaled(np.maximum(values, 0), op.requant, 0), _rescaled(sloped, op.requant, 1))
    table: Int8 = np.clip(found + op.output_offset, INT8_MIN, INT8_MAX).astype(np.int8)
    return table


def _rescaled(values: Int32, requant: Requant, pair: int) -> Int32:
    which = slice(pair, pair + 1)
    return requantize(values, Requant(requant.multiplier[which], requant.shift[which]))
