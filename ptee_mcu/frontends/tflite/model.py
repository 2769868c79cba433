"""What a TFLite file holds, as plain values: tensors, operators, their order."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import ModelError, UnsupportedOpError
from ptee_mcu.frontends.tflite.options import Options
from ptee_mcu.tensor import Float, Shape

O = TypeVar("O", bound=Options)  # noqa: E741 - the type of an operator's options

ABSENT = -1  # an optional input that is left out


class Dtype(Enum):
    """Element type, by its code in the schema."""

    FLOAT32 = 0
    FLOAT16 = 1
    INT32 = 2
    UINT8 = 3
    INT64 = 4
    STRING = 5
    BOOL = 6
    INT16 = 7
    COMPLEX64 = 8
    INT8 = 9
    FLOAT64 = 10
    COMPLEX128 = 11
    UINT64 = 12
    RESOURCE = 13
    VARIANT = 14
    UINT32 = 15
    UINT16 = 16
    INT4 = 17
    BFLOAT16 = 18
    INT2 = 19

    @property
    def numpy(self) -> np.dtype[Any] | None:
        """The little-endian numpy type of constant data; None where there is none."""
        return _NUMPY.get(self)


_NUMPY: dict[Dtype, np.dtype[Any]] = {
    Dtype.FLOAT32: np.dtype("<f4"),
    Dtype.FLOAT16: np.dtype("<f2"),
    Dtype.INT32: np.dtype("<i4"),
    Dtype.UINT8: np.dtype("u1"),
    Dtype.INT64: np.dtype("<i8"),
    Dtype.BOOL: np.dtype("?"),
    Dtype.INT16: np.dtype("<i2"),
    Dtype.INT8: np.dtype("i1"),
    Dtype.FLOAT64: np.dtype("<f8"),
    Dtype.UINT64: np.dtype("<u8"),
    Dtype.UINT32: np.dtype("<u4"),
    Dtype.UINT16: np.dtype("<u2"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """Affine code of a tensor: real = scales * (code - zero_points), one pair, or one per index along `axis`."""

    scales: Float
    zero_points: npt.NDArray[np.int64]
    axis: int

    @property
    def per_channel(self) -> bool:
        """True where there is more than one pair."""
        return len(self.scales) > 1


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One tensor; `data` is the read-only constant that it holds, None for what is computed.

    `known`: no dimension but the first was left open (-1) when the file was written; where False, `shape` guesses.
    `open_batch`: the first was, so that its extent of 1 holds for tensors that still have the batch there.
    """

    index: int
    name: str
    shape: Shape
    dtype: Dtype
    code: Code | None
    data: npt.NDArray[Any] | None
    known: bool = True
    variable: bool = False
    open_batch: bool = False

    @property
    def place(self) -> str:
        """Name and index, for messages."""
        return f"tensor {self.index} ({self.name})"


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """One operation: `kind` as the schema's BuiltinOperator spells it, inputs and outputs by index (-1: left out)."""

    index: int
    kind: str
    custom: str | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Options | None

    def read(self, what: type[O]) -> O:
        """Its options, of the type that goes with its kind."""
        assert isinstance(self.options, what)
        return self.options


@dataclass(frozen=True, slots=True, eq=False)
class TfliteModel:
    """One subgraph in execution order: every operator reads constants, inputs, variables or earlier outputs."""

    path: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def input(self, op: Operator, position: int) -> Tensor:
        """The tensor that `op` reads at `position`.

        Raises:
            ModelError: where there is none.
        """
        tensor = self.optional(op, position)
        if tensor is None:
            raise ModelError(f"{self.place(op)} has no input {position}")
        return tensor

    def optional(self, op: Operator, position: int) -> Tensor | None:
        """The tensor that `op` reads at `position`, None where it is left out."""
        if position >= len(op.inputs) or op.inputs[position] == ABSENT:
            return None
        return self.tensors[op.inputs[position]]

    def constant(self, op: Operator, position: int) -> npt.NDArray[Any]:
        """The constant that `op` reads at `position`.

        Raises:
            ModelError: where there is no such input.
            UnsupportedOpError: where it is computed.
        """
        tensor = self.input(op, position)
        if tensor.data is None:
            raise self.refuse(op, f"its input {position} ({tensor.name}) is computed", "make it a constant")
        return tensor.data

    def output(self, op: Operator) -> Tensor:
        """The only tensor that `op` makes.

        Raises:
            ModelError: where it makes another number.
        """
        if len(op.outputs) != 1:
            raise ModelError(f"{self.place(op)} makes {len(op.outputs)} tensors, not one")
        return self.tensors[op.outputs[0]]

    def place(self, op: Operator) -> str:
        """Index, kind and output of `op`, for messages."""
        made = f", which makes {self.tensors[op.outputs[0]].name}," if op.outputs else ""
        return f"{self.path}: operator {op.index} ({op.custom or op.kind}){made}"

    def fault(self, op: Operator, why: str, hint: str | None = None) -> ModelError:
        """The error about a file that contradicts itself at `op`."""
        return ModelError(f"{self.place(op).rstrip(',')}: {why}", hint=hint)

    def refuse(self, op: Operator, why: str, hint: str) -> UnsupportedOpError:
        """The error that refuses `op`."""
        return UnsupportedOpError(f"{self.place(op)} is not supported: {why}", hint=hint)
