"""Float ops that the fold pass turns into something else: BatchNorm, Clamp, Dropout, Flatten, Softmax."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from ptee_mcu.errors import QuantizationError
from ptee_mcu.ops.base import Activation, Op, Params, QOp
from ptee_mcu.tensor import Float, Quant, Shape


@dataclass(frozen=True, slots=True)
class _Pointwise(Op):
    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """The input's shape."""
        return inputs[0]

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """Never: the fold pass removes these ops.

        Raises:
            QuantizationError: always.
        """
        raise QuantizationError(f"{name}: {type(self).__name__} must be folded before quantization")


@dataclass(frozen=True, slots=True)
class BatchNorm(_Pointwise):
    """Per channel (last axis): params weight, bias, mean, var, each (C,)."""

    eps: float = 1e-5

    def scale_and_shift(self, params: Params) -> tuple[Float, Float]:
        """The affine map it is in eval mode: y = x * scale + shift, computed in float64."""
        scale = params["weight"].astype(np.float64) / np.sqrt(params["var"].astype(np.float64) + self.eps)
        shift = params["bias"] - params["mean"] * scale
        return scale.astype(np.float32), shift.astype(np.float32)

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """Eval-mode normalisation."""
        scale, shift = self.scale_and_shift(params)
        return inputs[0] * scale + shift

    def flops(self, inputs: Sequence[Shape], params: Params) -> int:
        """Two per element."""
        return 2 * prod(inputs[0])


@dataclass(frozen=True, slots=True)
class Clamp(_Pointwise):
    """ReLU, ReLU6 and clamp."""

    act: Activation

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """The clamped tensor."""
        return self.act.apply(inputs[0])

    def flops(self, inputs: Sequence[Shape], params: Params) -> int:
        """One per element."""
        return prod(inputs[0])


@dataclass(frozen=True, slots=True)
class Dropout(_Pointwise):
    """Identity outside training."""

    p: float = 0.5

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """The input."""
        return inputs[0]


@dataclass(frozen=True, slots=True)
class Flatten(_Pointwise):
    """(N, H, W, C) to (N, H * W * C), in that order."""

    same_quant: ClassVar[bool] = True

    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """(1, elements)."""
        return (1, prod(inputs[0]))

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """The flattened tensor."""
        return inputs[0].reshape(len(inputs[0]), -1)
