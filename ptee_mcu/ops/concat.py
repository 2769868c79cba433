"""Concatenation along the channels: float attributes and int8 twin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Counts, Op, Params, QOp, Reads, Traffic, Work
from ptee_mcu.ops.copies import Runs, copies
from ptee_mcu.ops.in_place import distance
from ptee_mcu.tensor import Float, QTensor, Quant, Shape


@dataclass(frozen=True, slots=True)
class Concat(Op):
    """Inputs side by side along the last axis."""

    same_quant: ClassVar[bool] = True

    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """The inputs' shape with the sum of their channels."""
        return _joined(inputs)

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """The joined tensor."""
        return np.concatenate(inputs, axis=-1)

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """QConcat; all inputs and the output share one code."""
        return QConcat()


@dataclass(frozen=True, slots=True)
class QConcat(QOp):
    """Int8 concatenation along the channels: a copy."""

    template: ClassVar[str] = "concat"

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """The inputs' shape with the sum of their channels."""
        return _joined(inputs)

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Neither MACs nor scratch."""
        return Counts()

    def overlap(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> tuple[int | None, ...]:
        """ptee_concat spreads the first input before it reads the others, forward and pixel by pixel."""
        channels, joined = inputs[0].shape[-1], output.shape[-1]
        pixels = np.arange(output.nbytes // joined, dtype=np.int64)
        return (distance(pixels * joined + channels, pixels * channels), *(None,) * (len(inputs) - 1))

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Of ptee_concat, once per input: a copy per pixel."""
        pixels = output.nbytes // output.shape[-1]
        widths, out = [tensor.shape[-1] for tensor in inputs], output.shape[-1]
        firsts = [sum(widths[:i]) for i in range(len(widths))]
        runs = [Runs(pixels, width, width, out, target=first) for width, first in zip(widths, firsts, strict=True)]
        loops = {"call": len(inputs)} | copies(*runs)
        traffic = Traffic({}, tuple(Reads(tensor.nbytes) for tensor in inputs), 0, 0, output.nbytes)
        return Work("ptee_concat", loops, traffic)


def _joined(inputs: Sequence[Shape]) -> Shape:
    if len({shape[:-1] for shape in inputs}) != 1:
        raise ModelError(f"Concat: inputs differ in more than their channels: {tuple(inputs)}")
    return (*inputs[0][:-1], sum(shape[-1] for shape in inputs))
