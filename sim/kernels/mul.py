"""Int8 element-wise multiplication."""

from collections.abc import Sequence

import numpy as np

from ptee_mcu.ops import QMul
from ptee_mcu.requant import requantize
from ptee_mcu.tensor import Int8, QTensor


def run(op: QMul, inputs: Sequence[Int8], output: QTensor) -> Int8:
    """The clamped product, looked up in the table of all pairs of codes; a gate counts for every pixel.

    Source: arm_elementwise_mul_s8, CMSIS-NN 4.0.0.
    """
    a = inputs[0]
    b = op.factor if op.factor is not None else _beside(a, inputs[1])
    pairs = np.multiply(a.view(np.uint8), 256, dtype=np.uint16)
    pairs += b.view(np.uint8)
    codes = np.empty((len(a), *output.shape[1:]), dtype=np.int8)
    return np.take(products(op).reshape(-1), pairs, out=codes, mode="clip")  # as in add


def products(op: QMul) -> Int8:
    """(256, 256): the product of every pair of codes, each code indexed by its byte."""
    codes = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int32)
    product = np.multiply.outer(codes + op.input1_offset, codes + op.input2_offset)
    table: Int8 = np.clip(requantize(product, op.requant) + op.output_offset, op.act_min, op.act_max).astype(np.int8)
    return table


def _beside(a: Int8, b: Int8) -> Int8:
    """`b` in a shape that numpy repeats as `a` needs it: (N, C) as (N, 1, 1, C) beside a map."""
    return b.reshape(a.shape if a.size == b.size else (len(b), *[1] * (a.ndim - 2), b.shape[-1]))
