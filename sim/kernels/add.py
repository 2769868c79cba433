"""Int8 element-wise addition."""

from collections.abc import Sequence

import numpy as np

from ptee_mcu.ops import QAdd
from ptee_mcu.ops.add import LEFT_SHIFT
from ptee_mcu.requant import Requant, requantize
from ptee_mcu.tensor import Int8, Int32, QTensor


def run(op: QAdd, inputs: Sequence[Int8], output: QTensor) -> Int8:
    """The clamped sum of two tensors of one shape, looked up in the table of all pairs of codes.

    Source: arm_elementwise_add_s8, CMSIS-NN 4.0.0, with left shift 20.
    """
    a, b = inputs
    pairs = np.multiply(a.view(np.uint8), 256, dtype=np.uint16)
    pairs += b.view(np.uint8)
    codes = np.empty((len(a), *output.shape[1:]), dtype=np.int8)
    return np.take(sums(op).reshape(-1), pairs, out=codes, mode="clip")  # "clip" spares numpy a copy; none is outside


def sums(op: QAdd) -> Int8:
    """(256, 256): the sum of every pair of codes, each code indexed by its byte."""
    codes = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int32)
    first = _rescaled(codes + op.input1_offset << LEFT_SHIFT, op.requant, 0)
    second = _rescaled(codes + op.input2_offset << LEFT_SHIFT, op.requant, 1)
    total = _rescaled(first[:, None] + second[None, :], op.requant, 2) + op.output_offset
    table: Int8 = np.clip(total, op.act_min, op.act_max).astype(np.int8)
    return table


def _rescaled(values: Int32, requant: Requant, pair: int) -> Int32:
    which = slice(pair, pair + 1)
    return requantize(values, Requant(requant.multiplier[which], requant.shift[which]))
