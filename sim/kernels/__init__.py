"""The arithmetic of every int8 op, written from its documented semantics: a second statement of what the C computes."""

from typing import Any

from ptee_mcu.ops import (
    QAdd,
    QAvgPool2d,
    QConcat,
    QConv2d,
    QConvTranspose2d,
    QDepthwiseConv2d,
    QFullyConnected,
    QLookup,
    QMaxPool2d,
    QMean,
    QMul,
    QPad,
    QPReLU,
    QReshape,
    QResizeNearest,
    QSlice,
)
from ptee_mcu.ops.base import QOp
from ptee_mcu.sim.kernels import (
    add,
    avg_pool2d,
    concat,
    conv2d,
    depthwise_conv2d,
    fully_connected,
    lookup,
    max_pool2d,
    mean,
    mul,
    pad,
    prelu,
    reshape,
    resize,
    slice,  # noqa: A004 - the op's name
    transposed_conv2d,
)
from ptee_mcu.sim.kernels.base import Kernel

KERNELS: dict[type[QOp], Kernel[Any]] = {
    QAdd: add.run,
    QAvgPool2d: avg_pool2d.run,
    QConcat: concat.run,
    QConv2d: conv2d.run,
    QConvTranspose2d: transposed_conv2d.run,
    QDepthwiseConv2d: depthwise_conv2d.run,
    QFullyConnected: fully_connected.run,
    QLookup: lookup.run,
    QMaxPool2d: max_pool2d.run,
    QMean: mean.run,
    QMul: mul.run,
    QPad: pad.run,
    QPReLU: prelu.run,
    QReshape: reshape.run,
    QResizeNearest: resize.run,
    QSlice: slice.run,
}

__all__ = ["KERNELS", "Kernel"]
