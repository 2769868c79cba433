"""Where TFLite's windows stand on a map, float or int8: paddings of convolutions, pools, transposed convolutions."""

from ptee_mcu.frontends.tflite.options import PaddingScheme
from ptee_mcu.tensor import HW, Padding

ONE = HW(1, 1)


def window_padding(scheme: PaddingScheme, size: HW, kernel: HW, stride: HW, dilation: HW = ONE) -> Padding:
    """What SAME adds around a map of `size`: the odd element goes below and to the right; VALID adds nothing.

    Source: ComputePaddingHeightWidth, tensorflow/lite/kernels/padding.h, TensorFlow 2.18.
    """
    if scheme is PaddingScheme.VALID:
        return Padding()
    h = _same(size.h, kernel.h, stride.h, dilation.h)
    w = _same(size.w, kernel.w, stride.w, dilation.w)
    return Padding(h // 2, w // 2, h - h // 2, w - w // 2)


def _same(extent: int, kernel: int, stride: int, dilation: int) -> int:
    return max((-(-extent // stride) - 1) * stride + dilation * (kernel - 1) + 1 - extent, 0)


def transposed_padding(scheme: PaddingScheme, size: HW, made: HW, kernel: HW, stride: HW) -> tuple[Padding, HW] | None:
    """What a transposed convolution cuts off around, and adds behind, so that a map of `size` becomes one of `made`.

    None: a convolution of `made` would not make `size`, which LiteRT refuses as well.
    Source: Prepare and ComputePaddingHeightWidth, tensorflow/lite/kernels/transpose_conv.cc and padding.h, 2.18.
    """
    taps = kernel if scheme is PaddingScheme.VALID else ONE
    if size != HW((made.h - taps.h) // stride.h + 1, (made.w - taps.w) // stride.w + 1):
        return None
    cut = window_padding(scheme, made, kernel, stride)
    h = made.h - ((size.h - 1) * stride.h + kernel.h - cut.top)
    w = made.w - ((size.w - 1) * stride.w + kernel.w - cut.left)
    # Rows that the file wants beyond the last tap are added; rows beyond its size are cut off.
    return Padding(cut.top, cut.left, max(-h, 0), max(-w, 0)), HW(max(h, 0), max(w, 0))


def plus(a: Padding, b: Padding) -> Padding:
    """Both paddings, one around the other."""
    return Padding(a.top + b.top, a.left + b.left, a.bottom + b.bottom, a.right + b.right)
