"""Nearest-neighbour enlargement by whole factors: float attributes and int8 twin."""

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
class ResizeNearest(Op):
    """Every pixel as a block of scale.h x scale.w."""

    scale: HW

    same_quant: ClassVar[bool] = True

    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """(1, H * scale.h, W * scale.w, C)."""
        return _enlarged("ResizeNearest", inputs[0], self.scale)

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """The enlarged tensor."""
        return inputs[0].repeat(self.scale.h, axis=1).repeat(self.scale.w, axis=2)

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """QResizeNearest; input and output share one code."""
        return QResizeNearest(self.scale)


@dataclass(frozen=True, slots=True)
class QResizeNearest(QOp):
    """Int8 nearest-neighbour enlargement: a copy."""

    template: ClassVar[str] = "resize"

    scale: HW

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """(1, H * scale.h, W * scale.w, C)."""
        return _enlarged("QResizeNearest", inputs[0], self.scale)

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Neither MACs nor scratch."""
        return Counts()

    def overlap(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> tuple[int | None, ...]:
        """ptee_resize goes forward and finishes all lines that one line of the input makes before it reads the next."""
        _, h, w, c = inputs[0].shape
        lines = np.arange(h, dtype=np.int64)
        return (distance((lines + 1) * (output.nbytes // h), lines * w * c),)

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Of ptee_resize: a copy per pixel of a line, then copies of that line."""
        _, h, w, c = inputs[0].shape
        line = w * self.scale.w * c
        pixels = [
            Runs(w, c, c, self.scale.w * c, y * w * c, y * self.scale.h * line + x * c)
            for y in range(h)
            for x in range(self.scale.w)
        ]
        again = [
            Runs(self.scale.h - 1, line, 0, line, y * self.scale.h * line, (y * self.scale.h + 1) * line)
            for y in range(h)
        ]
        loops = {"call": 1, "row": h, "pixel": h * w} | copies(*pixels, *again)
        read_back = h * (self.scale.h - 1) * line
        image = Reads(inputs[0].nbytes * self.scale.w)
        return Work("ptee_resize", loops, Traffic({}, (image,), 0, read_back, output.nbytes))


def _enlarged(what: str, shape: Shape, scale: HW) -> Shape:
    h, w, c = require_nhwc(what, shape)
    if min(scale.h, scale.w) < 1:
        raise ModelError(f"{what}: a scale of {scale.h}x{scale.w}; only whole factors from 1 on are supported")
    return (1, h * scale.h, w * scale.w, c)
