"""Fully connected layer: float attributes and int8 twin."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Activation, Constants, Counts, Op, Params, QOp, Reads, Traffic, Work
from ptee_mcu.ops.conv_work import loaded_width, pointwise
from ptee_mcu.ops.weights import quantize_weights
from ptee_mcu.requant import Requant
from ptee_mcu.tensor import Float, Int8, Int32, QTensor, Quant, Shape, readonly


@dataclass(frozen=True, slots=True)
class Linear(Op):
    """Params: weight (out, in), optional bias (out,); an NHWC input is read as its flattened bytes."""

    act: Activation = Activation()

    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """(1, out)."""
        out, features = params["weight"].shape
        if prod(inputs[0]) != features:
            raise ModelError(f"Linear: weight {params['weight'].shape} on an input of {prod(inputs[0])} features")
        return (1, out)

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """X @ weight.T + bias, clamped."""
        y = inputs[0].reshape(len(inputs[0]), -1) @ params["weight"].T
        return self.act.apply(y + params["bias"] if "bias" in params else y)

    def macs(self, inputs: Sequence[Shape], params: Params) -> int:
        """One per weight."""
        return params["weight"].size

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """QFullyConnected with one scale for all weights."""
        q = quantize_weights(name, params["weight"], params.get("bias"), inputs[0], output, channel_axis=None)
        low, high = self.act.codes(output)
        return QFullyConnected(
            weights=q.weights, bias=q.bias, requant=q.requant,
            input_offset=-inputs[0].zero_point, output_offset=output.zero_point, act_min=low, act_max=high,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class QFullyConnected(QOp):
    """Int8 fully connected layer: one rescale pair, or an imported one's pair per output.

    arm_fully_connected_s8 of CMSIS-NN 4.0.0; with a pair per output arm_convolve_1x1_s8_fast on one pixel, whatever the
    release.
    """

    template: ClassVar[str] = "fully_connected"

    weights: Int8
    bias: Int32
    requant: Requant
    input_offset: int
    output_offset: int
    act_min: int
    act_max: int

    @property
    def is_per_channel(self) -> bool:
        """True where outputs have rescale pairs of their own: as many as there are outputs, but for a single one."""
        return self.requant.channels > 1

    @property
    def constants(self) -> Constants:
        """Weights (out, in), the bias with what the input's offset adds to each sum already in it, pairs per output.

        Every release of CMSIS-NN computes the same sum from that; `check_accumulator` bounds it, whatever the input.
        """
        sums = self.bias + self.input_offset * self.weights.sum(axis=1, dtype=np.int64)
        both: Constants = {"weights": self.weights, "bias": readonly(sums, np.int32)}
        if not self.is_per_channel:
            return both
        return {**both, "multiplier": self.requant.multiplier, "shift": self.requant.shift}

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """(1, out)."""
        if prod(inputs[0]) != self.weights.shape[1]:
            raise ModelError(f"QFullyConnected: weights {self.weights.shape} on {prod(inputs[0])} features")
        if self.requant.channels not in (1, self.weights.shape[0]):
            raise ModelError(f"QFullyConnected: {self.requant.channels} rescale pairs for weights {self.weights.shape}")
        return (1, self.weights.shape[0])

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """One MAC per weight; no scratch: what 5.0 and later want on MVE is a constant."""
        return Counts(self.weights.size, 0)

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Of arm_nn_vec_mat_mult_t_s8, CMSIS-NN 4.0.0: two rows of weights at a time (MVE and scalar: three).

        With a pair per output, of arm_nn_mat_mult_nt_t_s8 on one pixel.
        """
        out, features = self.weights.shape
        if self.is_per_channel:
            return replace(pointwise(1, features, out, isa), kernel="ptee_per_channel_fully_connected")
        rows, left = divmod(out, 2 if isa is Isa.DSP else 3)
        lanes = {Isa.SCALAR: 1, Isa.DSP: 4, Isa.MVE: 16}[isa]
        steps, rest = divmod(features, lanes) if isa is Isa.DSP else (-(-features // lanes), 0)
        loops = {
            "call": 1,
            "any rows": int(rows > 0),
            "rows": rows,
            "rows step": rows * steps,
            "rows byte": rows * rest,
            "any row": int(left > 0),
            "row": left,
            "row step": left * steps,
            "row byte": left * rest,
        }
        groups = rows + left
        constants = {"weights": Reads(out * features, width=loaded_width(features, isa)), "bias": Reads(4 * out)}
        passed = groups > 1
        image = Reads(groups * features, float(groups), (out * features // groups) * passed, features * passed)
        return Work("arm_fully_connected_s8", loops, Traffic(constants, (image,), 0, 0, out))
