"""Elementwise multiplication by a tensor, a gate per channel or a constant: float attributes and int8 twin."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from ptee_mcu.errors import ModelError, QuantizationError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Activation, Constants, Counts, Op, Params, QOp, Reads, Traffic, Work
from ptee_mcu.ops.code_requant import product_requant
from ptee_mcu.requant import Requant
from ptee_mcu.tensor import Float, Int8, QTensor, Quant, Shape


@dataclass(frozen=True, slots=True)
class Mul(Op):
    """a * b, clamped.

    Two inputs: b has the shape of a, or is one gate per channel of a, (1, 1, 1, C) or (1, C): squeeze-and-excitation.
    One input and the param "factor": a constant (C,), (1,) or (), which training leaves alone.
    """

    act: Activation = Activation()

    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """The shape of the first input."""
        _require_shapes(inputs, params["factor"].shape if "factor" in params else None)
        return inputs[0]

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """The clamped product."""
        a = inputs[0]
        if "factor" in params:
            return self.act.apply(a * params["factor"])
        b = inputs[1]
        gate = (len(b), *[1] * (a.ndim - 2), b.shape[-1])
        return self.act.apply(a * b.reshape(a.shape if a.size == b.size else gate))

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """QMul of two tensors.

        Raises:
            QuantizationError: where the factor is a constant, which the fold pass removes, or the output scale is less
                than 2**-14 of the product of the inputs' scales.
        """
        if "factor" in params:
            raise QuantizationError(f"{name}: Mul by a constant must be folded before quantization")
        requant = product_requant(name, inputs[0].scale * inputs[1].scale / output.scale)
        low, high = self.act.codes(output)
        return QMul(-inputs[0].zero_point, -inputs[1].zero_point, output.zero_point, requant, low, high)


@dataclass(frozen=True, slots=True, eq=False)
class QMul(QOp):
    """Int8 multiplication with the semantics of arm_elementwise_mul_s8 of CMSIS-NN 4.0.0, which are TFLite's.

    Two inputs as Mul has them, or one and `factor`: the constant codes of the other, (C,) or (1,). `requant` holds one
    pair: the inputs' scales over the output's.
    """

    template: ClassVar[str] = "mul"

    input1_offset: int
    input2_offset: int
    output_offset: int
    requant: Requant
    act_min: int
    act_max: int
    factor: Int8 | None = None

    @property
    def constants(self) -> Constants:
        """The factor, where it is constant."""
        return {} if self.factor is None else {"factor": self.factor}

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """The shape of the first input."""
        _require_shapes(inputs, None if self.factor is None else self.factor.shape)
        return inputs[0]

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Neither MACs nor scratch."""
        return Counts()

    def period(self, inputs: Sequence[Shape]) -> int:
        """Elements of the second operand, which is used again after so many of the first."""
        return prod(inputs[1]) if self.factor is None else self.factor.size

    def overlap(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> tuple[int | None, ...]:
        """ptee_mul reads both elements, then writes their product; a gate is read again for every pixel."""
        if self.factor is not None:
            return (0,)
        return (0, 0 if inputs[1].nbytes == output.nbytes else None)

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Of ptee_mul: one element after another, the second operand from its start for every pixel."""
        count, period = output.nbytes, self.period([tensor.shape for tensor in inputs])
        passes = count // period
        first = Reads(count, width=1.0)
        if self.factor is not None:
            second = Reads(count, passes, period if passes > 1 else 0, period if passes > 1 else 0, 1.0)
            traffic = Traffic({"factor": second}, (first,), 0, 0, count)
        else:
            second = Reads(count, passes, 0, 2 * period if passes > 1 else 0, 1.0)
            traffic = Traffic({}, (first, second), 0, 0, count)
        return Work("ptee_mul", {"call": 1, "pass": passes, "element": count}, traffic)


def _require_shapes(inputs: Sequence[Shape], factor: Shape | None) -> None:
    channels = inputs[0][-1]
    if factor is not None:
        if len(inputs) != 1 or factor not in ((), (1,), (channels,)):
            raise ModelError(
                f"Mul: a constant factor of shape {factor} on inputs {tuple(inputs)}",
                hint=f"one number, or one per channel ({channels},), and one input are supported",
            )
    elif len(inputs) != 2 or inputs[1] not in (inputs[0], (1, 1, 1, channels), (1, channels)):
        raise ModelError(
            f"Mul: needs two inputs of one shape, or a second of one number per channel, got {tuple(inputs)}",
            hint=f"a gate has the shape (1, 1, 1, {channels}) and comes second",
        )
