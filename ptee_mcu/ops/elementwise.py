"""Float functions of one element at a time; in int8 all of them are one table."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ptee_mcu.ops.base import Op, Params, QOp
from ptee_mcu.ops.lookup import QLookup, Reals
from ptee_mcu.tensor import Float, Quant, Shape


@dataclass(frozen=True, slots=True)
class Elementwise(Op):
    """A function of one element at a time."""

    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """The input's shape."""
        return inputs[0]

    @abstractmethod
    def of(self, x: Reals) -> Reals:
        """The function of every element, in the precision of `x`."""

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """The function of every element."""
        return self.of(inputs[0]).astype(np.float32, copy=False)

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """QLookup of the function."""
        return QLookup.of(self.of, inputs[0], output)


@dataclass(frozen=True, slots=True)
class Sigmoid(Elementwise):
    """1 / (1 + exp(-x))."""

    bounds: ClassVar[tuple[float, float] | None] = (0.0, 1.0)

    def of(self, x: Reals) -> Reals:
        """The function of every element, without overflow for any."""
        return _sigmoid(x)


@dataclass(frozen=True, slots=True)
class HardSigmoid(Elementwise):
    """x / 6 + 1 / 2 within [0, 1]."""

    bounds: ClassVar[tuple[float, float] | None] = (0.0, 1.0)

    def of(self, x: Reals) -> Reals:
        """The function of every element."""
        return _relu6(x + 3) / 6


@dataclass(frozen=True, slots=True)
class HardSwish(Elementwise):
    """x * HardSigmoid(x)."""

    def of(self, x: Reals) -> Reals:
        """The function of every element."""
        return x * _relu6(x + 3) / 6


@dataclass(frozen=True, slots=True)
class SiLU(Elementwise):
    """x * Sigmoid(x), also called Swish."""

    def of(self, x: Reals) -> Reals:
        """The function of every element."""
        return x * _sigmoid(x)


@dataclass(frozen=True, slots=True)
class Tanh(Elementwise):
    """Hyperbolic tangent."""

    bounds: ClassVar[tuple[float, float] | None] = (-1.0, 1.0)

    def of(self, x: Reals) -> Reals:
        """The function of every element."""
        found: Reals = np.tanh(x)
        return found


@dataclass(frozen=True, slots=True)
class LeakyReLU(Elementwise):
    """x where it is positive, else negative_slope * x."""

    negative_slope: float = 0.01

    def of(self, x: Reals) -> Reals:
        """The function of every element."""
        return np.where(x >= 0, x, x * x.dtype.type(self.negative_slope))


def _sigmoid(x: Reals) -> Reals:
    found: Reals = np.exp(-np.logaddexp(x.dtype.type(0), -x))
    return found


def _relu6(x: Reals) -> Reals:
    return x.clip(0, 6)
