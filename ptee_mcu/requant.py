"""Fixed-point multipliers that rescale int32 accumulators to int8, and what they make of an integer, bit by bit."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import QuantizationError
from ptee_mcu.tensor import Int32, readonly

Int64: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Requant:
    """Per-channel `multiplier * 2**(shift - 31)`; multiplier in {0} or [2**30, 2**31), shift > 0 shifts left.

    Source: TFLite QuantizeMultiplier; arm_nn_requantize, CMSIS-NN 4.0.0, consumes the pair.
    """

    multiplier: Int32
    shift: Int32

    @classmethod
    def from_real(cls, scales: npt.ArrayLike) -> "Requant":
        """The pairs nearest to the real, non-negative `scales` (any number of channels).

        Raises:
            QuantizationError: where a scale is negative, not finite, or at least 2**30.
        """
        real = np.atleast_1d(np.asarray(scales, dtype=np.float64))
        if not np.all(np.isfinite(real)) or np.any(real < 0):
            raise QuantizationError(f"rescale factor {real.min()} is negative or not finite")
        mantissa, exponent = np.frexp(real)
        fixed = np.floor(mantissa * (1 << 31) + 0.5).astype(np.int64)
        carry = fixed == (1 << 31)
        fixed = np.where(carry, fixed >> 1, fixed)
        shift = exponent.astype(np.int64) + carry
        underflow = shift < -31  # TFLite flushes these to zero
        fixed = np.where(underflow, 0, fixed)
        shift = np.where(underflow | (fixed == 0), 0, shift)
        if np.any(shift > 30):
            raise QuantizationError(f"rescale factor {real.max()} is at least 2**30")
        return cls(readonly(fixed, np.int32), readonly(shift, np.int32))

    @property
    def channels(self) -> int:
        """How many pairs there are."""
        return int(self.multiplier.shape[0])

    def real(self) -> npt.NDArray[np.float64]:
        """The real factors the pairs stand for."""
        return self.multiplier.astype(np.float64) * np.exp2(self.shift.astype(np.float64) - 31)


def doubling_high_mult(value: npt.NDArray[Any], multiplier: npt.NDArray[Any]) -> Int64:
    """Products value * multiplier / 2**31, midpoints towards plus infinity; both int32, any broadcastable shapes.

    Source: arm_nn_doubling_high_mult_no_sat, CMSIS-NN 4.0.0.
    """
    high: Int64 = (value.astype(np.int64) * multiplier + (1 << 30)) >> 31
    return high


def divide_by_power_of_two(dividend: npt.NDArray[Any], exponent: npt.NDArray[Any]) -> Int64:
    """Quotients dividend / 2**exponent, midpoints away from zero; exponents in [0, 31].

    Source: arm_nn_divide_by_power_of_two, CMSIS-NN 4.0.0, which compares the remainder with a threshold.
    """
    wide, right = dividend.astype(np.int64), np.asarray(exponent, dtype=np.int64)
    quotient, remainder = wide >> right, wide & ((1 << right) - 1)
    threshold = (((1 << right) - 1) >> 1) + (wide < 0)
    rounded: Int64 = quotient + (remainder > threshold)
    return rounded


def requantize(values: npt.NDArray[Any], requant: Requant) -> Int32:
    """Integers `values` (..., channels or 1) times the pairs' real factors, rounded twice.

    C leaves values undefined that overflow int32 after the left shift of a positive `shift`; here they must not occur.

    Source: arm_nn_requantize, CMSIS-NN 4.0.0, without CMSIS_NN_USE_SINGLE_ROUNDING.
    """
    shift = requant.shift.astype(np.int64)
    raised = values.astype(np.int64) << np.maximum(shift, 0)
    return divide_by_power_of_two(
        doubling_high_mult(raised, requant.multiplier.astype(np.int64)), np.maximum(-shift, 0)
    ).astype(np.int32)
