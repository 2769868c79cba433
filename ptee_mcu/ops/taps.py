"""Counts of sliding windows: output pixels, and the kernel taps of each that lie inside the image."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ptee_mcu.tensor import HW, Padding


@dataclass(frozen=True, slots=True)
class Taps:
    """Output rows and pixels; sums over all pixels: of kernel positions, of those inside the image, of rows inside."""

    lines: int
    pixels: int
    all: int
    inside: int
    rows: int


def count_taps(size: HW, out: HW, kernel: HW, stride: HW, padding: Padding, dilation: HW = HW(1, 1)) -> Taps:
    """Taps of a window over an image of `size`, whose output has size `out`."""
    rows, columns = _inside(size, out, kernel, stride, padding, dilation)
    pixels = out.h * out.w
    return Taps(out.h, pixels, pixels * kernel.h * kernel.w, int(rows.sum() * columns.sum()), int(rows.sum()) * out.w)


def count_padded_groups(size: HW, out: HW, kernel: HW, stride: HW, padding: Padding, dilation: HW = HW(1, 1)) -> int:
    """Of the groups of four output pixels in order, a last one of fewer left out: those with a tap outside."""
    rows, columns = _inside(size, out, kernel, stride, padding, dilation)
    outside = ((rows < kernel.h)[:, None] | (columns < kernel.w)[None, :]).ravel()
    return int(outside[: len(outside) // 4 * 4].reshape(-1, 4).any(axis=1).sum())


def _inside(
    size: HW, out: HW, kernel: HW, stride: HW, padding: Padding, dilation: HW
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Kernel rows inside the image per output row, and kernel columns per output column."""

    def along(size: int, out: int, kernel: int, stride: int, before: int, dilation: int) -> npt.NDArray[np.int64]:
        at = np.arange(out)[:, None] * stride - before + np.arange(kernel)[None, :] * dilation
        return np.asarray(((at >= 0) & (at < size)).sum(axis=1), dtype=np.int64)

    return (
        along(size.h, out.h, kernel.h, stride.h, padding.top, dilation.h),
        along(size.w, out.w, kernel.w, stride.w, padding.left, dilation.w),
    )
