"""The arithmetic of every int8 op, written from its documented semantics: a second statement of what the C computes."""

from typing import Any

from ptee_mcu.ops import (
    QAdd,
    QAvgPool2d,
    QConcat,
    QConv2d,
    QDepthwiseConv2d,
    QFullyConnected,
    QMaxPool2d,
    QPad,
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
    max_pool2d,
    pad,
    slice,  # noqa: A004 - the op's name
)
from ptee_mcu.sim.kernels.base import Kernel

KERNELS: dict[type[QOp], Kernel[Any]] = {
    QAdd: add.run,
    QAvgPool2d: avg_pool2d.run,
    QConcat: concat.run,
    QConv2d: conv2d.run,
    QDepthwiseConv2d: depthwise_conv2d.run,
    QFullyConnected: fully_connected.run,
    QMaxPool2d: max_pool2d.run,
    QPad: pad.run,
    QSlice: slice.run,
}

__all__ = ["KERNELS", "Kernel"]
