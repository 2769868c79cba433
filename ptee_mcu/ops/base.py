"""What every float op and every int8 op tells the stages: shapes, arithmetic, quantization, counts."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from ptee_mcu.isa import Isa
from ptee_mcu.tensor import INT8_MAX, INT8_MIN, Float, QTensor, Quant, Shape

Params: TypeAlias = Mapping[str, Float]
Constants: TypeAlias = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Activation:
    """Clamp of an op's real output to [min, max]; infinities leave a side open."""

    min: float = -np.inf
    max: float = np.inf

    def apply(self, x: Float) -> Float:
        """`x` clamped."""
        return np.clip(x, np.float32(self.min), np.float32(self.max))

    def codes(self, output: Quant) -> tuple[int, int]:
        """Smallest and largest int8 code of the clamped output."""
        low = INT8_MIN if np.isneginf(self.min) else output.code(self.min)
        high = INT8_MAX if np.isposinf(self.max) else output.code(self.max)
        return low, high


@dataclass(frozen=True, slots=True)
class Counts:
    """What one execution of an int8 op needs: multiply-accumulates and scratch bytes in the arena."""

    macs: int = 0
    scratch_bytes: int = 0


class Op(ABC):
    """A float operation on NHWC or NC tensors; attributes only, parameters travel beside it."""

    __slots__ = ()

    same_quant: ClassVar[bool] = False  # True: inputs and output share one int8 code

    @abstractmethod
    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """Shape of the output with batch 1.

        Raises:
            ModelError: where the input shapes do not suit the op.
        """

    @abstractmethod
    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """Output for a batch of inputs, float32."""

    @abstractmethod
    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> "QOp":
        """The int8 twin of the op of node `name`.

        Raises:
            QuantizationError: where int8 arithmetic cannot hold it.
        """

    def macs(self, inputs: Sequence[Shape], params: Params) -> int:
        """Multiply-accumulates of one inference."""
        return 0

    def flops(self, inputs: Sequence[Shape], params: Params) -> int:
        """Operations as EENet's counter counts them (METHODS: conv, linear, BN, ReLU, pools; others none)."""
        return self.macs(inputs, params)


class QOp(ABC):
    """An int8 operation under contract `ptee.int8.v1`: attributes and read-only constants."""

    __slots__ = ()

    template: ClassVar[str]  # templates/ops/<template>.c.j2 spells its call, sim/kernels/<template>.py computes it

    @property
    def constants(self) -> Constants:
        """Arrays that lie in read-only memory, by role."""
        return {}

    @abstractmethod
    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output with batch 1."""

    @abstractmethod
    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """MACs and scratch of one execution with CMSIS-NN 4.0.0."""
