"""The operations: float ops by name, int8 ops by name. Adding one: docs/adding-an-op.md."""

from ptee_mcu.ops.add import Add, QAdd
from ptee_mcu.ops.base import Activation, Counts, Op, Params, QOp
from ptee_mcu.ops.concat import Concat, QConcat
from ptee_mcu.ops.conv2d import Conv2d, QConv2d, QDepthwiseConv2d
from ptee_mcu.ops.elementwise import Elementwise, HardSigmoid, HardSwish, LeakyReLU, Sigmoid, SiLU, Tanh
from ptee_mcu.ops.linear import Linear, QFullyConnected
from ptee_mcu.ops.lookup import QLookup
from ptee_mcu.ops.mean import QMean
from ptee_mcu.ops.mul import Mul, QMul
from ptee_mcu.ops.pad import Pad, QPad
from ptee_mcu.ops.pointwise import BatchNorm, Clamp, Dropout, Flatten
from ptee_mcu.ops.pool import AvgPool2d, MaxPool2d, QAvgPool2d, QMaxPool2d
from ptee_mcu.ops.prelu import PReLU, QPReLU
from ptee_mcu.ops.reshape import QReshape, Reshape
from ptee_mcu.ops.resize import QResizeNearest, ResizeNearest
from ptee_mcu.ops.slice import QSlice, Slice, Span
from ptee_mcu.ops.transposed_conv2d import ConvTranspose2d, QConvTranspose2d

OPS: dict[str, type[Op]] = {
    "Add": Add,
    "AvgPool2d": AvgPool2d,
    "BatchNorm": BatchNorm,
    "Clamp": Clamp,
    "Concat": Concat,
    "Conv2d": Conv2d,
    "ConvTranspose2d": ConvTranspose2d,
    "Dropout": Dropout,
    "Flatten": Flatten,
    "HardSigmoid": HardSigmoid,
    "HardSwish": HardSwish,
    "LeakyReLU": LeakyReLU,
    "Linear": Linear,
    "MaxPool2d": MaxPool2d,
    "Mul": Mul,
    "Pad": Pad,
    "PReLU": PReLU,
    "Reshape": Reshape,
    "ResizeNearest": ResizeNearest,
    "Sigmoid": Sigmoid,
    "SiLU": SiLU,
    "Slice": Slice,
    "Tanh": Tanh,
}

QOPS: dict[str, type[QOp]] = {
    "QAdd": QAdd,
    "QAvgPool2d": QAvgPool2d,
    "QConcat": QConcat,
    "QConv2d": QConv2d,
    "QConvTranspose2d": QConvTranspose2d,
    "QDepthwiseConv2d": QDepthwiseConv2d,
    "QFullyConnected": QFullyConnected,
    "QLookup": QLookup,
    "QMaxPool2d": QMaxPool2d,
    "QMean": QMean,
    "QMul": QMul,
    "QPad": QPad,
    "QPReLU": QPReLU,
    "QReshape": QReshape,
    "QResizeNearest": QResizeNearest,
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
    "ConvTranspose2d",
    "Counts",
    "Dropout",
    "Elementwise",
    "Flatten",
    "HardSigmoid",
    "HardSwish",
    "LeakyReLU",
    "Linear",
    "MaxPool2d",
    "Mul",
    "Op",
    "PReLU",
    "Pad",
    "Params",
    "QAdd",
    "QAvgPool2d",
    "QConcat",
    "QConv2d",
    "QConvTranspose2d",
    "QDepthwiseConv2d",
    "QFullyConnected",
    "QLookup",
    "QMaxPool2d",
    "QMean",
    "QMul",
    "QOp",
    "QPReLU",
    "QPad",
    "QReshape",
    "QResizeNearest",
    "QSlice",
    "Reshape",
    "ResizeNearest",
    "SiLU",
    "Sigmoid",
    "Slice",
    "Span",
    "Tanh",
]
