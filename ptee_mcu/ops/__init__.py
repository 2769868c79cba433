"""The operations: float ops by name, int8 ops by name. Adding one: docs/adding-an-op.md."""

from ptee_mcu.ops.add import Add, QAdd
from ptee_mcu.ops.base import Activation, Counts, Op, Params, QOp
from ptee_mcu.ops.concat import Concat, QConcat
from ptee_mcu.ops.conv2d import Conv2d, QConv2d, QDepthwiseConv2d
from ptee_mcu.ops.linear import Linear, QFullyConnected
from ptee_mcu.ops.pad import Pad, QPad
from ptee_mcu.ops.pointwise import BatchNorm, Clamp, Dropout, Flatten
from ptee_mcu.ops.pool import AvgPool2d, MaxPool2d, QAvgPool2d, QMaxPool2d
from ptee_mcu.ops.slice import QSlice, Slice, Span

OPS: dict[str, type[Op]] = {
    "Add": Add,
    "AvgPool2d": AvgPool2d,
    "BatchNorm": BatchNorm,
    "Clamp": Clamp,
    "Concat": Concat,
    "Conv2d": Conv2d,
    "Dropout": Dropout,
    "Flatten": Flatten,
    "Linear": Linear,
    "MaxPool2d": MaxPool2d,
    "Pad": Pad,
    "Slice": Slice,
}

QOPS: dict[str, type[QOp]] = {
    "QAdd": QAdd,
    "QAvgPool2d": QAvgPool2d,
    "QConcat": QConcat,
    "QConv2d": QConv2d,
    "QDepthwiseConv2d": QDepthwiseConv2d,
    "QFullyConnected": QFullyConnected,
    "QMaxPool2d": QMaxPool2d,
    "QPad": QPad,
    "QSlice": QSlice,
}

__all__ = [
    "OPS",
    "QOPS",
    "Activation",
    "Add",
    "AvgPool2d",
    "BatchNorm",
    "Clamp",
    "Concat",
    "Conv2d",
    "Counts",
    "Dropout",
    "Flatten",
    "Linear",
    "MaxPool2d",
    "Op",
    "Pad",
    "Params",
    "QAdd",
    "QAvgPool2d",
    "QConcat",
    "QConv2d",
    "QDepthwiseConv2d",
    "QFullyConnected",
    "QMaxPool2d",
    "QOp",
    "QPad",
    "QSlice",
    "Slice",
    "Span",
]
