"""Bounds on the int8 codes of products, tables and slopes, and their constants on fewer channels."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ptee_mcu.ops import QLookup, QMul, QPReLU
from ptee_mcu.requant import Int64, Requant, requantize
from ptee_mcu.tensor import INT8_MAX, INT8_MIN, readonly

Pointwise: TypeAlias = QLookup | QMul | QPReLU
Bounds: TypeAlias = tuple[Int64, Int64]  # smallest and largest code of each channel, (C,) both


def elementwise_bounds(op: Pointwise, inputs: Sequence[Bounds]) -> Bounds:
    """Of the output, from those of the inputs."""
    match op:
        case QMul():
            return _product(op, inputs)
        case QLookup():
            return _looked_up(np.roll(op.table, 128)[None], inputs[0])
        case QPReLU():
            return _looked_up(_sloped(op), inputs[0])


def thin_elementwise(op: Pointwise, kept: npt.NDArray[np.bool_]) -> Pointwise:
    """The op on the channels that are kept."""
    if isinstance(op, QPReLU):
        return replace(op, alpha=readonly(op.alpha[kept], np.int8))
    if isinstance(op, QMul) and op.factor is not None and op.factor.size == kept.size:
        return replace(op, factor=readonly(op.factor[kept], np.int8))
    return op


def _product(op: QMul, inputs: Sequence[Bounds]) -> Bounds:
    """The extremes of the product of two intervals lie at their ends."""
    factor = None if op.factor is None else op.factor.astype(np.int64)
    second = inputs[1] if factor is None else (factor, factor)
    ends = [(a + op.input1_offset) * (b + op.input2_offset) for a in inputs[0] for b in second]
    low, high = (
        _clamped(requantize(end, op.requant), op.output_offset, op.act_min, op.act_max)
        for end in (np.minimum.reduce(ends), np.maximum.reduce(ends))
    )
    return low, high


def _sloped(op: QPReLU) -> Int64:
    """(C, 256): the output of every code, lowest first, in every channel."""
    above, below = (Requant(op.requant.multiplier[i : i + 1], op.requant.shift[i : i + 1]) for i in range(2))
    values = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int64) + op.input_offset
    slopes = np.multiply.outer(op.alpha.astype(np.int64) + op.alpha_offset, np.minimum(values, 0))
    found = np.where(values >= 0, requantize(np.maximum(values, 0), above), requantize(slopes, below))
    return _clamped(found, op.output_offset, INT8_MIN, INT8_MAX)


def _clamped(values: npt.NDArray[Any], offset: int, low: int, high: int) -> Int64:
    codes: Int64 = np.clip(values.astype(np.int64) + offset, low, high)
    return codes


def _looked_up(table: npt.NDArray[Any], codes: Bounds) -> Bounds:
    """Of a function of one element at a time; `table` (C or 1, 256) holds its values, that of the lowest code first."""
    every = np.arange(INT8_MIN, INT8_MAX + 1)
    held = (every >= codes[0][:, None]) & (every <= codes[1][:, None])
    wide = np.broadcast_to(table, held.shape).astype(np.int64)
    return np.where(held, wide, INT8_MAX).min(axis=1), np.where(held, wide, INT8_MIN).max(axis=1)
