"""Int8 weights and int32 biases from float ones, and the proof that no accumulator overflows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import QuantizationError
from ptee_mcu.requant import Requant
from ptee_mcu.tensor import Float, Int8, Int32, Quant, readonly

INT32_MAX = 2**31 - 1
WEIGHT_MAX = 127  # symmetric: -128 is never emitted by this quantizer
_BIAS_LIMIT = 2.0**29  # leaves the accumulator room beside the bias
_MOST_OFFSET = 128  # of an output, in magnitude
_DEAD_STEP = 2.0**-8  # accumulator steps per output step of a channel whose weights are all zero


@dataclass(frozen=True, slots=True, eq=False)
class QWeights:
    """Quantized weights (same layout as given), bias at scale s_in * s_w, and the rescale to the output."""

    weights: Int8
    bias: Int32
    requant: Requant


def quantize_weights(
    name: str, weights: Float, bias: Float | None, source: Quant, output: Quant, *, channel_axis: int | None
) -> QWeights:
    """Symmetric int8 weights, rounded half away from zero, per channel or (axis None) per tensor.

    The last axis's remaining extent is summed over; per tensor expects (out, in).

    Raises:
        QuantizationError: where weights are not finite or an accumulator could exceed int32.
    """
    axis = 0 if channel_axis is None else channel_axis
    rows = np.moveaxis(weights.astype(np.float64), axis, 0).reshape(weights.shape[axis], -1)
    offsets = np.zeros(rows.shape[0]) if bias is None else bias.astype(np.float64)
    if not (np.isfinite(rows).all() and np.isfinite(offsets).all()):
        raise QuantizationError(
            f"{name}: a weight or bias is NaN or infinite", hint="check the training run that wrote these weights"
        )
    peak = np.abs(rows).max(axis=1)
    scales = peak / WEIGHT_MAX
    # A channel whose bias dwarfs its weights would overflow int32 at its natural scale.
    scales = np.maximum(scales, np.abs(offsets) / (source.scale * _BIAS_LIMIT))
    scales = np.where(peak == 0, np.maximum(scales, output.scale / source.scale * _DEAD_STEP), scales)
    if channel_axis is None:
        scales = np.full_like(scales, scales.max())
    codes = _round_half_away(rows / scales[:, None])
    bias_codes = _round_half_away(offsets / (source.scale * scales))
    factors = source.scale * scales / output.scale
    requant = Requant.from_real(factors[:1] if channel_axis is None else factors)
    check_accumulator(name, codes, bias_codes, -source.zero_point, requant)
    moved = codes.reshape(np.moveaxis(weights, axis, 0).shape)
    return QWeights(readonly(np.moveaxis(moved, 0, axis), np.int8), readonly(bias_codes, np.int32), requant)


def check_accumulator(
    name: str, rows: npt.NDArray[np.float64], bias: npt.NDArray[np.float64], offset: int, requant: Requant
) -> None:
    """Proves that sum(w * (x + offset)) + bias stays in int32 for every int8 x, whatever the order of summation.

    So does the sum after the left shift that a rescale factor of 1 or more begins with, and the rescaled sum, which is
    no larger, with the output offset.

    Args:
        name: the layer, for the message.
        rows: weight codes, (out, in).
        bias: bias codes, (out,).
        offset: what the kernel adds to each input code.
        requant: what the sums are rescaled by, per channel or one for all.

    Raises:
        QuantizationError: naming the layer and the channel that could overflow.
    """
    # The kernels sum w*x and w*offset apart or together; |x| + |offset| bounds both ways.
    bound = np.abs(rows).sum(axis=1) * (128 + abs(offset)) + np.abs(bias)
    bound = bound * np.exp2(np.maximum(requant.shift, 0).astype(np.float64)) + _MOST_OFFSET
    worst = int(bound.argmax())
    if bound[worst] > INT32_MAX:
        raise QuantizationError(
            f"{name}: the accumulator of output channel {worst} can reach {bound[worst]:.0f}, "
            f"above int32's {INT32_MAX}",
            hint="reduce the layer's fan-in or the magnitude of its bias",
        )


def _round_half_away(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.trunc(x + np.copysign(0.5, x))
