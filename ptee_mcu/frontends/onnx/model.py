"""What an ONNX file says, as plain values: nodes in execution order, constants, one input, one output."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from ptee_mcu.errors import ModelError, UnsupportedOpError
from ptee_mcu.tensor import Shape

Array: TypeAlias = npt.NDArray[Any]
_READABLE = 200  # characters of a name in a message
_KINDS = onnx.AttributeProto


@dataclass(frozen=True, slots=True, eq=False)
class OnnxNode:
    """One operation; `proto` is what the file says of it, `index` its place there."""

    index: int
    proto: onnx.NodeProto

    @property
    def op_type(self) -> str:
        """Its operator."""
        return self.proto.op_type

    @property
    def inputs(self) -> tuple[str, ...]:
        """Tensors it reads; "" where an optional one is left out."""
        return tuple(self.proto.input)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Tensors it writes; "" where an optional one is left out."""
        return tuple(self.proto.output)

    @property
    def name(self) -> str:
        """Its name in the file, or its operator and place where that is missing or too long to read."""
        return self.proto.name if 0 < len(self.proto.name) <= 64 else f"{self.op_type}_{self.index}"

    @property
    def place(self) -> str:
        """Operator, place and name, for messages."""
        name = self.proto.name or next(iter(self.outputs), "")
        return f"{self.op_type} (node {self.index}, {name[:_READABLE]})"

    def has(self, name: str) -> bool:
        """True where the attribute `name` is given."""
        return any(attribute.name == name for attribute in self.proto.attribute)

    def integer(self, name: str, default: int) -> int:
        """The attribute `name`, an integer."""
        found = self._attribute(name, _KINDS.INT)
        return default if found is None else int(found.i)

    def integers(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """The attribute `name`, a list of integers."""
        found = self._attribute(name, _KINDS.INTS)
        return default if found is None else tuple(found.ints)

    def real(self, name: str, default: float) -> float:
        """The attribute `name`, a float."""
        found = self._attribute(name, _KINDS.FLOAT)
        if found is not None and not isfinite(found.f):
            raise ModelError(f"{self.place}: attribute {name} is {found.f}")
        return default if found is None else float(found.f)

    def text(self, name: str, default: str) -> str:
        """The attribute `name`, a string."""
        found = self._attribute(name, _KINDS.STRING)
        return default if found is None else found.s.decode("utf-8", errors="replace")

    def _attribute(self, name: str, kind: int) -> onnx.AttributeProto | None:
        attribute: onnx.AttributeProto
        for attribute in self.proto.attribute:
            if attribute.name == name:
                if attribute.type != kind:
                    wanted = _KINDS.AttributeType.Name(kind)
                    raise ModelError(f"{self.place}: attribute {name} is not of type {wanted}")
                return attribute
        return None

    def refuse(self, why: str, hint: str) -> UnsupportedOpError:
        """An error that names the node."""
        return UnsupportedOpError(f"{self.place}: {why}", hint=hint)


@dataclass(frozen=True, slots=True, eq=False)
class OnnxModel:
    """A network of one input and one output."""

    opset: int
    input: str
    input_shape: Shape
    input_dtype: np.dtype[Any]
    output: str
    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, Array]
