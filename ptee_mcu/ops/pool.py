"""Max and average pooling: float attributes and int8 twins."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Activation, Counts, Op, Params, QOp, Reads, Traffic, Work
from ptee_mcu.ops.in_place import window_distance
from ptee_mcu.ops.taps import Taps, count_taps
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

    def _taps(self, image: Shape, output: Shape) -> Taps:
        size, out = HW(image[1], image[2]), HW(output[1], output[2])
        return count_taps(size, out, self.kernel, self.stride, self.padding)

    def _reads(self, image: Shape, taps: Taps) -> Reads:
        """Loads of the input: every tap inside it, rows again where windows overlap."""
        nbytes = taps.inside * image[3]
        if self.kernel.h <= self.stride.h:
            return Reads(nbytes)
        return Reads(nbytes, self.kernel.h / self.stride.h, 0, self.kernel.h * image[2] * image[3])


@dataclass(frozen=True, slots=True)
class QMaxPool2d(_QPool):
    """Int8 max pooling, arm_max_pool_s8 of CMSIS-NN 4.0.0."""

    template: ClassVar[str] = "max_pool2d"

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Neither MACs nor scratch."""
        return Counts()

    def overlap(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> tuple[int | None, ...]:
        """arm_max_pool_s8 (4.0.0 to 7.0.0) finishes one pixel after the other; the clamp at the end reads no input."""
        return (window_distance(inputs[0].shape, output.shape, self.stride, self.padding),)

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """The first tap of a window is copied to the output, the others are compared with it, then all is clamped."""
        channels, taps = inputs[0].shape[3], self._taps(inputs[0].shape, output.shape)
        later = taps.inside - taps.pixels
        lanes = 16 if isa is Isa.MVE else 4
        words, rest = (-(-channels // lanes), 0) if isa is Isa.MVE else divmod(channels, lanes)
        clamped, last = (-(-output.nbytes // lanes), 0) if isa is Isa.MVE else divmod(output.nbytes, lanes)
        loops = {
            "call": 1,
            "line": taps.lines,
            "pixel": taps.pixels,
            "kernel row": taps.rows,
            "word copied": taps.pixels * words,
            "byte copied": taps.pixels * rest,
            "tap": later,
            "word compared": later * words,
            "byte compared": later * rest,
            "word clamped": clamped,
            "byte clamped": last,
        }
        back = later * channels + output.nbytes
        image = self._reads(inputs[0].shape, taps)
        traffic = Traffic({}, (image,), 0, back, output.nbytes + back)
        return Work("arm_max_pool_s8", loops, traffic)


@dataclass(frozen=True, slots=True)
class QAvgPool2d(_QPool):
    """Int8 average pooling, arm_avgpool_s8 of CMSIS-NN 4.0.0: the sum, rounded half away from zero, over the count."""

    template: ClassVar[str] = "avg_pool2d"

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Scratch as arm_avgpool_s8_get_buffer_size, CMSIS-NN 4.0.0 to 7.0.0: an int32 per channel on DSP."""
        return Counts(0, inputs[0].shape[3] * 4 if isa is Isa.DSP else 0)

    def overlap(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> tuple[int | None, ...]:
        """arm_avgpool_s8 (CMSIS-NN 4.0.0 to 7.0.0) finishes one pixel after the other, some ISAs channel by channel."""
        return (window_distance(inputs[0].shape, output.shape, self.stride, self.padding),)

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Sums of all channels in scratch on DSP, one channel (MVE: 16) after another elsewhere; then a division."""
        channels, taps = inputs[0].shape[3], self._taps(inputs[0].shape, output.shape)
        summed = -(-channels // 16) if isa is Isa.MVE else channels
        tried = taps.all if isa is Isa.SCALAR else taps.inside
        loops = {
            "call": 1,
            "line": taps.lines,
            "pixel": taps.pixels,
            "kernel row": taps.rows,
            "tap": tried * (summed if isa is not Isa.DSP else 1),
            "channel first": taps.pixels * summed,
            "channel added": (taps.inside - taps.pixels) * summed,
            "channel divided": taps.pixels * channels,
        }
        scratch = taps.inside * channels * 4 if isa is Isa.DSP else 0
        image = self._reads(inputs[0].shape, taps)
        traffic = Traffic({}, (image,), scratch, 0, output.nbytes + scratch)
        return Work("arm_avgpool_s8", loops, traffic)


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
