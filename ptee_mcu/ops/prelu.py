"""PReLU, a slope per channel below zero: float attributes and int8 twin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ptee_mcu.errors import ModelError, QuantizationError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Constants, Counts, Op, Params, QOp, Reads, Traffic, Work
from ptee_mcu.ops.code_requant import code_requant, product_requant
from ptee_mcu.requant import Requant
from ptee_mcu.tensor import INT8_MAX, Float, Int8, QTensor, Quant, Shape, readonly

_LEAST_SLOPE = 1e-6  # a layer whose slopes are all zero still needs a scale for them


@dataclass(frozen=True, slots=True)
class PReLU(Op):
    """x where it is positive, else slope * x; the param "slope" is (C,), or (1,) until the fold pass."""

    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """The input's shape."""
        if params["slope"].shape != (1,):
            _require_channels(inputs[0], params["slope"].shape)
        return inputs[0]

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """The function of every element."""
        return np.where(inputs[0] >= 0, inputs[0], inputs[0] * params["slope"])

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """QPReLU with the slopes as symmetric int8, one scale for all.

        Raises:
            QuantizationError: where a slope is not finite, or the output's scale is far below the input's.
        """
        slopes = params["slope"].astype(np.float64)
        if not np.isfinite(slopes).all():
            raise QuantizationError(
                f"{name}: a slope is NaN or infinite", hint="check the training run that wrote these weights"
            )
        quant = Quant(max(float(np.abs(slopes).max()), _LEAST_SLOPE) / INT8_MAX, 0)
        return QPReLU.of(name, inputs[0], readonly(quant.codes(slopes), np.int8), quant, output)


@dataclass(frozen=True, slots=True, eq=False)
class QPReLU(QOp):
    """Int8 PReLU with the arithmetic of TFLite's PRELU.

    `alpha` (C,) are the codes of the slopes. `requant` holds two pairs: for values of zero and above the input's scale
    over the output's, for those below that times the slopes' scale.

    Source: reference_ops::BroadcastPrelu4DSlow, TensorFlow Lite 2.18.
    """

    template: ClassVar[str] = "prelu"

    alpha: Int8
    input_offset: int
    alpha_offset: int
    output_offset: int
    requant: Requant

    @classmethod
    def of(cls, name: str, source: Quant, alpha: Int8, alpha_quant: Quant, output: Quant) -> "QPReLU":
        """From the codes of the slopes and the three quantizations, as a TFLite file holds them.

        Raises:
            QuantizationError: where the input's scale is so far above the output's that int32 overflows.
        """
        factor = source.scale / output.scale
        above, below = code_requant(name, factor), product_requant(name, factor * alpha_quant.scale)
        pairs = Requant(
            readonly([above.multiplier[0], below.multiplier[0]], np.int32),
            readonly([above.shift[0], below.shift[0]], np.int32),
        )
        return cls(alpha, -source.zero_point, -alpha_quant.zero_point, output.zero_point, pairs)

    @property
    def constants(self) -> Constants:
        """The slopes."""
        return {"alpha": self.alpha}

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """The input's shape."""
        _require_channels(inputs[0], self.alpha.shape)
        return inputs[0]

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Neither MACs nor scratch."""
        return Counts()

    def overlap(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> tuple[int | None, ...]:
        """ptee_prelu reads an element, then writes it: the output may start where the input does, or before."""
        return (0,)

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Of ptee_prelu: one element after another; what one takes depends on its sign, rates are for both alike."""
        count, channels = output.nbytes, output.shape[-1]
        passes = count // channels
        alpha = Reads(count, passes, channels if passes > 1 else 0, channels if passes > 1 else 0, 1.0)
        traffic = Traffic({"alpha": alpha}, (Reads(count, width=1.0),), 0, 0, count)
        return Work("ptee_prelu", {"call": 1, "pixel": passes, "element": count}, traffic)


def _require_channels(shape: Shape, slopes: Shape) -> None:
    if slopes != (shape[-1],):
        raise ModelError(
            f"PReLU: slopes of shape {slopes} on an input of {shape[-1]} channels",
            hint="one slope per channel is supported",
        )
