"""What every float op and every int8 op tells the stages: shapes, arithmetic, quantization, counts, work."""

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


@dataclass(frozen=True, slots=True)
class Reads:
    """Loads from one array: `nbytes` in all, a byte loaded twice counted twice, `width` bytes a load on average.

    `passes`: how often its bytes stream by, loads that follow at once on a load of the same byte not counted.
    `constants` and `activations`: bytes of either kind, this array's own included, that pass between two passes over
    the same byte: what a cache must hold for the second to hit; 0 where there is no second.
    """

    nbytes: int
    passes: float = 1.0
    constants: int = 0
    activations: int = 0
    width: float = 4.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that one execution loads, per operand, and stores; the stack is not in it.

    `constants`: by role. `inputs`: in the order of the node. `output`: what is read back of it. `written`: to the
    output and the scratch.
    """

    constants: Mapping[str, Reads]
    inputs: tuple[Reads, ...]
    scratch: int
    output: int
    written: int


@dataclass(frozen=True, slots=True)
class Work:
    """How one execution spends its time: the function that serves it, and how often each of its loops runs."""

    kernel: str
    loops: Mapping[str, int]
    traffic: Traffic


class Op(ABC):
    """A float operation on NHWC or NC tensors; attributes only, parameters travel beside it."""

    __slots__ = ()

    same_quant: ClassVar[bool] = False  # True: inputs and output share one int8 code
    bounds: ClassVar[tuple[float, float] | None] = None  # of the output whatever the input; None: what data shows

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
        """MACs of one execution, and scratch that is enough with every supported release of CMSIS-NN."""

    def overlap(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> tuple[int | None, ...]:
        """Per input, by how many bytes the output must start before it where they share bytes; None: they must not."""
        return (None,) * len(inputs)

    @abstractmethod
    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Loops and traffic of one execution with CMSIS-NN 4.0.0 as GCC 12.2 compiles it."""
