"""What kernels share: their signature, padding, windows, and blocks of images that stay in the cache."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from ptee_mcu.ops.base import QOp
from ptee_mcu.tensor import HW, Int8, Padding, QTensor

_BLOCK_BYTES = 512 * 1024  # of the largest buffer; half of a common second-level cache

Op_contra = TypeVar("Op_contra", bound=QOp, contravariant=True)
Integer = TypeVar("Integer", bound=np.integer[Any])


class Kernel(Protocol[Op_contra]):
    """The integer arithmetic of one kind of op."""

    def __call__(self, op: Op_contra, inputs: Sequence[Int8], output: QTensor) -> Int8:
        """The op's output for a batch: axis 0 of every input and of the result; `output` has batch 1."""


def blocks(count: int, bytes_each: int) -> Iterator[slice]:
    """Consecutive slices of `count` images whose buffers of `bytes_each` stay in the cache, at least one image each."""
    step = max(1, _BLOCK_BYTES // bytes_each)
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))


def pad_hw(x: npt.NDArray[Integer], padding: Padding, fill: int) -> npt.NDArray[Integer]:
    """`x` (N, H, W, C) with `fill` on its four sides."""
    if padding.is_zero:
        return x
    n, h, w, c = x.shape
    shape = (n, h + padding.top + padding.bottom, w + padding.left + padding.right, c)
    padded = np.full(shape, fill, dtype=x.dtype)
    padded[:, padding.top : padding.top + h, padding.left : padding.left + w] = x
    return padded


def windows(x: npt.NDArray[Integer], size: HW, kernel: HW, stride: HW, dilation: HW) -> npt.NDArray[Integer]:
    """View of a padded `x` (N, H, W, C) as (N, size.h, size.w, kernel.h, kernel.w, C)."""
    n, h, w, c = x.strides
    return as_strided(
        x,
        (len(x), size.h, size.w, kernel.h, kernel.w, x.shape[3]),
        (n, h * stride.h, w * stride.w, h * dilation.h, w * dilation.w, c),
        writeable=False,
    )


def taps(view: npt.NDArray[Integer]) -> Iterator[tuple[int, int, npt.NDArray[Integer]]]:
    """(i, j, pixels) of each position in the kernel: pixels (N, size.h, size.w, C) lie under it."""
    for i, j in np.ndindex(view.shape[3:5]):
        yield i, j, view[:, :, :, i, j]
