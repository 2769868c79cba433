"""Shapes, quantization parameters and read-only arrays."""

from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import QuantizationError

Shape: TypeAlias = tuple[int, ...]  # NHWC or NC, batch 1
Int8: TypeAlias = npt.NDArray[np.int8]
Int32: TypeAlias = npt.NDArray[np.int32]
Float: TypeAlias = npt.NDArray[np.float32]
UInt8: TypeAlias = npt.NDArray[np.uint8]

INT8_MIN = -128
INT8_MAX = 127


@dataclass(frozen=True, slots=True)
class HW:
    """A height and a width, in elements."""

    h: int
    w: int


@dataclass(frozen=True, slots=True)
class Padding:
    """Elements added on each side of H and W."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0

    @property
    def is_zero(self) -> bool:
        """True where nothing is added."""
        return not (self.top or self.left or self.bottom or self.right)

    @classmethod
    def same(cls, h: int, w: int) -> "Padding":
        """Equal padding above and below, left and right."""
        return cls(h, w, h, w)


@dataclass(frozen=True, slots=True)
class Quant:
    """Affine int8 code of a real number: real = scale * (code - zero_point)."""

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if not (self.scale > 0 and np.isfinite(self.scale)):
            raise QuantizationError(f"scale {self.scale} is not a positive finite number")
        if not INT8_MIN <= self.zero_point <= INT8_MAX:
            raise QuantizationError(f"zero point {self.zero_point} lies outside [-128, 127]")

    def code(self, real: float) -> int:
        """Int8 code nearest to `real`, half away from zero, saturated."""
        return int(self.codes(np.asarray([real], dtype=np.float64))[0])

    def codes(self, real: npt.NDArray[np.floating[Any]]) -> Int8:
        """Int8 codes nearest to `real` (any shape), half away from zero, saturated."""
        steps = np.asarray(real, dtype=np.float64) / self.scale
        rounded = np.trunc(steps + np.copysign(0.5, steps)) + self.zero_point
        codes: Int8 = np.clip(rounded, INT8_MIN, INT8_MAX).astype(np.int8)
        return codes

    def reals(self, codes: npt.NDArray[np.integer[Any]]) -> Float:
        """Real values of `codes`, float32."""
        return ((codes.astype(np.int32) - self.zero_point) * self.scale).astype(np.float32)


@dataclass(frozen=True, slots=True)
class QTensor:
    """An int8 tensor: its shape with batch 1 and its code."""

    shape: Shape
    quant: Quant

    @property
    def nbytes(self) -> int:
        """Bytes of one inference's tensor."""
        return prod(self.shape)


def readonly(array: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """A C-contiguous copy of `array` as `dtype` that cannot be written."""
    copy = np.array(array, dtype=dtype, order="C", copy=True)
    copy.flags.writeable = False
    return copy


def window_shape(size: HW, kernel: HW, stride: HW, padding: Padding, dilation: HW | None = None) -> HW:
    """Height and width that a sliding window leaves (floor mode)."""
    dilation = dilation or HW(1, 1)
    return HW(
        (size.h + padding.top + padding.bottom - dilation.h * (kernel.h - 1) - 1) // stride.h + 1,
        (size.w + padding.left + padding.right - dilation.w * (kernel.w - 1) - 1) // stride.w + 1,
    )
