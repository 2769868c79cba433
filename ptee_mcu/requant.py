"""Fixed-point multipliers that rescale int32 accumulators to int8."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import QuantizationError
from ptee_mcu.tensor import Int32, readonly


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
