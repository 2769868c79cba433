"""Max and average pooling: float attributes and int8 twins."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Activation, Counts, Op, Params, QOp
from ptee_mcu.ops.window import pad_hw, require_nhwc, require_window, windows
from ptee_mcu.tensor import HW, Float, Padding, QTensor, Quant, Shape

_UNIT = HW(1, 1)


@dataclass(frozen=True, slots=True)
class _Pool(Op):
    kernel: HW
    stride: HW
    padding: Padding = Padding()
    act: Activation = Activation()

    same_quant: ClassVar[bool] = True

    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """(1, Ho, Wo, C)."""
        return _pooled(type(self).__name__, inputs[0], self.kernel, self.stride, self.padding)

    def flops(self, inputs: Sequence[Shape], params: Params) -> int:
        """One per input element."""
        return prod(inputs[0])


@dataclass(frozen=True, slots=True)
class MaxPool2d(_Pool):
    """Largest element of each window; padding never wins."""

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """Window maxima."""
        view = windows(pad_hw(inputs[0], self.padding, -np.inf), self.kernel, self.stride, _UNIT)
        return self.act.apply(view.max(axis=(4, 5)))

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """QMaxPool2d; input and output share one code."""
        return QMaxPool2d(self.kernel, self.stride, self.padding, *self.act.codes(output))


@dataclass(frozen=True, slots=True)
class AvgPool2d(_Pool):
    """Mean of each window's elements that are not padding."""

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """Window means."""
        total = windows(pad_hw(inputs[0], self.padding, 0.0), self.kernel, self.stride, _UNIT).sum(axis=(4, 5))
        ones = np.ones((1, *inputs[0].shape[1:3], 1), dtype=np.float32)
        count = windows(pad_hw(ones, self.padding, 0.0), self.kernel, self.stride, _UNIT).sum(axis=(4, 5))
        return self.act.apply((total / count).astype(np.float32))

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """QAvgPool2d; input and output share one code."""
        return QAvgPool2d(self.kernel, self.stride, self.padding, *self.act.codes(output))


@dataclass(frozen=True, slots=True)
class _QPool(QOp):
    kernel: HW
    stride: HW
    padding: Padding
    act_min: int
    act_max: int

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """(1, Ho, Wo, C)."""
        return _pooled(type(self).__name__, inputs[0], self.kernel, self.stride, self.padding)


@dataclass(frozen=True, slots=True)
class QMaxPool2d(_QPool):
    """Int8 max pooling, arm_max_pool_s8 of CMSIS-NN 4.0.0."""

    template: ClassVar[str] = "max_pool2d"

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Neither MACs nor scratch."""
        return Counts()


@dataclass(frozen=True, slots=True)
class QAvgPool2d(_QPool):
    """Int8 average pooling, arm_avgpool_s8 of CMSIS-NN 4.0.0: the sum, rounded half away from zero, over the count."""

    template: ClassVar[str] = "avg_pool2d"

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Scratch as arm_avgpool_s8_get_buffer_size, CMSIS-NN 4.0.0: an int32 per channel on DSP."""
        return Counts(0, inputs[0].shape[3] * 4 if isa is Isa.DSP else 0)


def _pooled(what: str, shape: Shape, kernel: HW, stride: HW, padding: Padding) -> Shape:
    h, w, c = require_nhwc(what, shape)
    if max(padding.top, padding.bottom) >= kernel.h or max(padding.left, padding.right) >= kernel.w:
        raise ModelError(
            f"{what}: padding {padding.top}, {padding.left}, {padding.bottom}, {padding.right} (top, left, bottom, "
            f"right) lets the {kernel.h}x{kernel.w} window see padding only",
            hint="pad by less than the kernel",
        )
    size = require_window(what, HW(h, w), kernel, stride, padding, _UNIT)
    return (1, size.h, size.w, c)
