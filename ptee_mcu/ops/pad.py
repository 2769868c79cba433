"""Zero padding of height, width and channels: float attributes and int8 twin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Counts, Op, Params, QOp, Reads, Traffic, Work
from ptee_mcu.ops.copies import Runs, copies
from ptee_mcu.ops.window import require_nhwc
from ptee_mcu.tensor import Float, Padding, QTensor, Quant, Shape


@dataclass(frozen=True, slots=True)
class Pad(Op):
    """Zeros around H and W, and before and after the channels."""

    padding: Padding = Padding()
    channels_before: int = 0
    channels_after: int = 0

    same_quant: ClassVar[bool] = True

    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """The padded shape."""
        return _padded(inputs[0], self.padding, self.channels_before, self.channels_after)

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """The padded tensor."""
        p = self.padding
        widths = ((0, 0), (p.top, p.bottom), (p.left, p.right), (self.channels_before, self.channels_after))
        return np.pad(inputs[0], widths)

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """QPad that fills with the code of zero."""
        return QPad(self.padding, self.channels_before, self.channels_after, output.zero_point)


@dataclass(frozen=True, slots=True)
class QPad(QOp):
    """Int8 padding with `value`: a copy into a filled tensor."""

    template: ClassVar[str] = "pad"

    padding: Padding
    channels_before: int
    channels_after: int
    value: int

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """The padded shape."""
        return _padded(inputs[0], self.padding, self.channels_before, self.channels_after)

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Neither MACs nor scratch."""
        return Counts()

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Of ptee_pad: the output is filled, then a copy per pixel."""
        _, h, w, c = inputs[0].shape
        out_w, out_c = output.shape[2:]
        first = (self.padding.top * out_w + self.padding.left) * out_c + self.channels_before
        runs = [Runs(w, c, c, out_c, y * w * c, first + y * out_w * out_c) for y in range(h)]
        loops = {"call": 1, "row": h, "byte filled": output.nbytes} | copies(*runs)
        traffic = Traffic({}, (Reads(inputs[0].nbytes),), 0, 0, output.nbytes + inputs[0].nbytes)
        return Work("ptee_pad", loops, traffic)


def _padded(shape: Shape, padding: Padding, before: int, after: int) -> Shape:
    h, w, c = require_nhwc("Pad", shape)
    return (1, h + padding.top + padding.bottom, w + padding.left + padding.right, c + before + after)
