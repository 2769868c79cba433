"""Sliding windows over NHWC arrays, for the float forward of convolutions and pools."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ptee_mcu.errors import ModelError
from ptee_mcu.tensor import HW, Float, Padding, Shape, window_shape


def pad_hw(x: Float, padding: Padding, fill: float) -> Float:
    """`x` (N, H, W, C) with `fill` on its four sides."""
    if padding.is_zero:
        return x
    widths = ((0, 0), (padding.top, padding.bottom), (padding.left, padding.right), (0, 0))
    return np.pad(x, widths, constant_values=fill)


def windows(x: Float, kernel: HW, stride: HW, dilation: HW) -> Float:
    """View of `x` (N, H, W, C) as (N, Ho, Wo, C, kernel.h, kernel.w)."""
    span = (dilation.h * (kernel.h - 1) + 1, dilation.w * (kernel.w - 1) + 1)
    view = sliding_window_view(x, span, axis=(1, 2))
    return view[:, :: stride.h, :: stride.w, :, :: dilation.h, :: dilation.w]


def require_nhwc(what: str, shape: Shape) -> tuple[int, int, int]:
    """Height, width and channels of `shape`.

    Raises:
        ModelError: where it is not NHWC.
    """
    if len(shape) != 4:
        raise ModelError(f"{what} needs an input of shape (1, H, W, C), got {shape}")
    return shape[1], shape[2], shape[3]


def require_window(what: str, size: HW, kernel: HW, stride: HW, padding: Padding, dilation: HW) -> HW:
    """Output height and width of a sliding window.

    Raises:
        ModelError: where the kernel does not fit the padded input.
    """
    out = window_shape(size, kernel, stride, padding, dilation)
    if out.h < 1 or out.w < 1:
        raise ModelError(
            f"{what}: kernel {kernel.h}x{kernel.w} (dilation {dilation.h}x{dilation.w}) exceeds the padded input "
            f"{size.h + padding.top + padding.bottom}x{size.w + padding.left + padding.right}",
            hint="raise the input resolution or remove this layer",
        )
    return out
