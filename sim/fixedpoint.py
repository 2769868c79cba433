"""From accumulators to int8 codes in few passes over memory, to the last bit of CMSIS-NN."""

from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from ptee_mcu.requant import Int64, Requant
from ptee_mcu.tensor import Int8

_LANES = 1024  # elements per inner loop; per-channel constants are repeated up to here, or numpy restarts every pixel


@dataclass(frozen=True, slots=True, eq=False)
class Rescale:
    """From accumulators to codes: bias, `requantize`, output offset and clamp, fused into few passes over memory.

    With x the high word, e the right shift and z the output offset, the rounded quotient plus z is
    (2x + 2**e + (z << (e + 1)) - [x < 0]) >> (e + 1): one shift, no comparison, no case for e = 0.
    """

    factor: Int64  # per channel: multiplier << left shift
    addend: Int64  # bias * factor + 2**30
    nudge: Int64  # 2**e + (z << (e + 1))
    shift: Int64  # e + 1
    act_min: int
    act_max: int

    @classmethod
    def of(cls, requant: Requant, bias: npt.NDArray[Any], output_offset: int, act_min: int, act_max: int) -> "Rescale":
        """The steps for accumulators that still lack `bias` (channels,); one pair serves all channels."""
        shift = requant.shift.astype(np.int64)
        factor = requant.multiplier.astype(np.int64) << np.maximum(shift, 0)
        right = np.broadcast_to(np.maximum(-shift, 0), bias.shape)
        return cls(
            factor=np.broadcast_to(factor, bias.shape),
            addend=bias.astype(np.int64) * factor + (1 << 30),
            nudge=(1 << right) + (np.int64(output_offset) << (right + 1)),
            shift=right + 1,
            act_min=act_min,
            act_max=act_max,
        )

    def codes(self, accumulators: npt.NDArray[Any], out: Int8) -> None:
        """Writes the codes of `accumulators` (rows, channels), integers of any numeric type, to `out` of that shape."""
        rows, channels = accumulators.shape
        repeat = gcd(rows, max(1, _LANES // channels))
        wide = (-1, repeat * channels)
        work = np.ascontiguousarray(accumulators).astype(np.int64).reshape(wide)
        work *= np.tile(self.factor, repeat)
        work += np.tile(self.addend, repeat)
        work >>= 31
        negative = work >> 63  # -1 or 0
        work += work
        work += negative
        work += np.tile(self.nudge, repeat)
        work >>= np.tile(self.shift, repeat)
        np.clip(work, self.act_min, self.act_max, out=work)
        out[...] = work.reshape(rows, channels)
