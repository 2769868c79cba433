"""The same elements under another shape: float attributes and int8 twin."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from ptee_mcu.errors import ModelError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Counts, Op, Params, QOp, Reads, Traffic, Work
from ptee_mcu.ops.copies import Runs, copies
from ptee_mcu.tensor import Float, QTensor, Quant, Shape


@dataclass(frozen=True, slots=True)
class Reshape(Op):
    """The elements in the order H, W, C, as a tensor of `shape`, which is NHWC or NC with batch 1."""

    shape: Shape

    same_quant: ClassVar[bool] = True

    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """`shape`."""
        return _reshaped(inputs[0], self.shape)

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """The reshaped tensor."""
        return inputs[0].reshape(len(inputs[0]), *self.shape[1:])

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """QReshape; input and output share one code."""
        return QReshape(self.shape)


@dataclass(frozen=True, slots=True)
class QReshape(QOp):
    """Int8 reshape: the same bytes in the same order, nothing at all where the output lies where the input does."""

    template: ClassVar[str] = "reshape"

    shape: Shape

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """`shape`."""
        return _reshaped(inputs[0], self.shape)

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Neither MACs nor scratch."""
        return Counts()

    def overlap(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> tuple[int | None, ...]:
        """ptee_reshape moves as memmove does: the output may start where the input does, or before."""
        return (0,)

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Of ptee_reshape where the plan keeps input and output apart: one copy, an upper bound where it does not."""
        count = output.nbytes
        loops = {"call": 1} | copies(Runs(1, count, count, count))
        return Work("ptee_reshape", loops, Traffic({}, (Reads(count),), 0, 0, count))


def _reshaped(source: Shape, shape: Shape) -> Shape:
    if len(shape) not in (2, 4) or shape[0] != 1 or min(shape) < 1:
        raise ModelError(f"Reshape: to {shape}; only (1, H, W, C) and (1, features) are shapes here")
    if prod(source) != prod(shape):
        raise ModelError(f"Reshape: {prod(source)} elements of {source} as the {prod(shape)} of {shape}")
    return shape
