"""Ops that move or average whole channels in the passes over dead ones: their bounds, and their form without them."""

from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ptee_mcu.ops import QMean, QReshape, QResizeNearest
from ptee_mcu.requant import Int64, requantize
from ptee_mcu.tensor import INT8_MAX, INT8_MIN

Moved: TypeAlias = QMean | QReshape | QResizeNearest
Bounds: TypeAlias = tuple[Int64, Int64]  # smallest and largest code of each channel


def moved_bounds(op: Moved, bounds: Bounds, channels: int) -> Bounds:
    """Bounds of the output, which has `channels`, from those of the input."""
    match op:
        case QMean():
            return _mean(op, bounds[0]), _mean(op, bounds[1])
        case QResizeNearest():
            return bounds
        case QReshape() if channels % len(bounds[0]) == 0:  # channel i of the output holds channel i % C
            repeat = channels // len(bounds[0])
            return np.tile(bounds[0], repeat), np.tile(bounds[1], repeat)
        case _:
            return np.full(channels, bounds[0].min()), np.full(channels, bounds[1].max())


def thin_moved(op: Moved, output: npt.NDArray[np.bool_]) -> Moved:
    """The op that makes the kept channels of its output."""
    return replace(op, shape=(*op.shape[:-1], int(output.sum()))) if isinstance(op, QReshape) else op


def _mean(op: QMean, codes: Int64) -> Int64:
    """Means of maps that hold one code everywhere: rescaling keeps their order."""
    sums = (codes + op.input_offset) * (op.size.h * op.size.w)
    return np.clip(requantize(sums, op.requant).astype(np.int64) + op.output_offset, INT8_MIN, INT8_MAX)
