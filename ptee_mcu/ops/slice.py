"""Strided slice of height, width and channels: float attributes and int8 twin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Counts, Op, Params, QOp, Reads, Traffic, Work
from ptee_mcu.ops.copies import Runs, copies
from ptee_mcu.ops.in_place import distance
from ptee_mcu.ops.window import require_nhwc
from ptee_mcu.tensor import HW, Float, QTensor, Quant, Shape


@dataclass(frozen=True, slots=True)
class Span:
    """Indices start, start + step, ... below stop."""

    start: int
    stop: int
    step: int = 1

    def __len__(self) -> int:
        """How many indices there are."""
        return len(range(self.start, self.stop, self.step))

    def slice(self) -> slice:
        """The same as Python's slice."""
        return slice(self.start, self.stop, self.step)


@dataclass(frozen=True, slots=True)
class Slice(Op):
    """x[:, h, w, c]; the channels are a contiguous range."""

    h: Span
    w: Span
    c: Span

    same_quant: ClassVar[bool] = True

    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """The lengths of the three spans."""
        height, width, channels = require_nhwc("Slice", inputs[0])
        for axis, span, extent in (("H", self.h, height), ("W", self.w, width), ("C", self.c, channels)):
            if not (0 <= span.start < span.stop <= extent and span.step >= 1):
                raise ModelError(f"Slice: {span.start}:{span.stop}:{span.step} leaves axis {axis} of {extent}")
        if self.c.step != 1:
            raise ModelError(f"Slice: a channel step of {self.c.step} is not supported", hint="only 1 is")
        return (1, len(self.h), len(self.w), len(self.c))

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """The sliced tensor."""
        return np.ascontiguousarray(inputs[0][:, self.h.slice(), self.w.slice(), self.c.slice()])

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """QSlice of the same indices."""
        shape = (1, len(self.h), len(self.w), len(self.c))
        return QSlice(HW(self.h.start, self.w.start), HW(self.h.step, self.w.step), self.c.start, shape)


@dataclass(frozen=True, slots=True)
class QSlice(QOp):
    """Int8 strided slice: a copy of pixels start + i * step, channels channel_start onwards, to fill `shape`."""

    template: ClassVar[str] = "slice"

    start: HW
    step: HW
    channel_start: int
    shape: Shape

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """`shape`."""
        return self.shape

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Neither MACs nor scratch."""
        return Counts()

    def overlap(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> tuple[int | None, ...]:
        """ptee_slice copies forward and pixel by pixel."""
        _, _, width, channels = inputs[0].shape
        _, out_h, out_w, out_c = self.shape
        rows = self.start.h + np.arange(out_h, dtype=np.int64) * self.step.h
        columns = self.start.w + np.arange(out_w, dtype=np.int64) * self.step.w
        read = ((rows[:, None] * width + columns) * channels + self.channel_start).ravel()
        return (distance((np.arange(read.size, dtype=np.int64) + 1) * out_c, read),)

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Of ptee_slice: a copy per pixel."""
        _, h, w, c = output.shape
        _, _, in_w, in_c = inputs[0].shape
        first = (self.start.h * in_w + self.start.w) * in_c + self.channel_start
        row = self.step.h * in_w * in_c
        runs = [Runs(w, c, self.step.w * in_c, c, first + y * row, y * w * c) for y in range(h)]
        loops = {"call": 1, "row": h} | copies(*runs)
        return Work("ptee_slice", loops, Traffic({}, (Reads(output.nbytes),), 0, 0, output.nbytes))
