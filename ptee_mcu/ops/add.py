"""Elementwise addition of two tensors of one shape: float attributes and int8 twin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ptee_mcu.errors import ModelError, QuantizationError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Activation, Counts, Op, Params, QOp, Reads, Traffic, Work
from ptee_mcu.requant import Requant
from ptee_mcu.tensor import Float, QTensor, Quant, Shape

LEFT_SHIFT = 20  # headroom that TFLite's int8 ADD gives both operands before it rescales them


@dataclass(frozen=True, slots=True)
class Add(Op):
    """a + b, clamped."""

    act: Activation = Activation()

    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """The inputs' shape."""
        return _one_shape(inputs)

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """The clamped sum."""
        return self.act.apply(inputs[0] + inputs[1])

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """QAdd with TFLite's scaling of both operands to twice the larger input scale."""
        widest = 2 * max(inputs[0].scale, inputs[1].scale)
        factors = (inputs[0].scale / widest, inputs[1].scale / widest, widest / ((1 << LEFT_SHIFT) * output.scale))
        requant = Requant.from_real(factors)
        if np.any(requant.shift > 0):
            raise QuantizationError(
                f"{name}: output scale {output.scale:.3g} is below 2**-19 of the larger input scale {widest / 2:.3g}",
                hint="the sum is almost always clamped; check the range of this layer's calibration data",
            )
        low, high = self.act.codes(output)
        return QAdd(-inputs[0].zero_point, -inputs[1].zero_point, output.zero_point, requant, low, high)


@dataclass(frozen=True, slots=True, eq=False)
class QAdd(QOp):
    """Int8 addition with the semantics of arm_elementwise_add_s8 of CMSIS-NN 4.0.0, left shift 20.

    `requant` holds three pairs: first input, second input, output.
    """

    template: ClassVar[str] = "add"

    input1_offset: int
    input2_offset: int
    output_offset: int
    requant: Requant
    act_min: int
    act_max: int

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """The inputs' shape."""
        return _one_shape(inputs)

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Neither MACs nor scratch."""
        return Counts()

    def overlap(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> tuple[int | None, ...]:
        """ptee_add reads both elements, then writes their sum: the output may start where an input does, or before."""
        return (0, 0)

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Of ptee_add: one element after another."""
        count = output.nbytes
        traffic = Traffic({}, (Reads(count), Reads(count)), 0, 0, count)
        return Work("ptee_add", {"call": 1, "element": count}, traffic)


def _one_shape(inputs: Sequence[Shape]) -> Shape:
    if len(inputs) != 2 or inputs[0] != inputs[1]:
        raise ModelError(f"Add: needs two inputs of one shape, got {tuple(inputs)}")
    return inputs[0]
