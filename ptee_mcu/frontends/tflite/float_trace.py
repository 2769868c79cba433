"""One walk over a float TFLite file: what each tensor became in the graph, and what each operator adds to it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import ModelError, UnsupportedOpError
from ptee_mcu.frontends.tflite.blocks import HINT
from ptee_mcu.frontends.tflite.file import MOST_ELEMENTS
from ptee_mcu.frontends.tflite.model import ABSENT, Dtype, Operator, Tensor, TfliteModel
from ptee_mcu.frontends.tflite.options import Fused
from ptee_mcu.frontends.tflite.shape_arithmetic import MOST
from ptee_mcu.graph import Node
from ptee_mcu.ops import Activation, Clamp, Flatten, Op, Params, Reshape
from ptee_mcu.tensor import HW, Float, Padding, Shape, readonly

_ACTIVATIONS: Mapping[Fused, Activation] = {
    Fused.NONE: Activation(),
    Fused.RELU: Activation(min=0.0),
    Fused.RELU6: Activation(0.0, 6.0),
    Fused.RELU_N1_TO_1: Activation(-1.0, 1.0),
}


MOST_PARAMETER_BYTES = 512 * 1024 * 1024  # written in all, also anew where scales merge into weights


@dataclass(frozen=True, slots=True)
class Spread:
    """An image, padded, with the pixels of a block as a batch: what a dilated convolution is written with."""

    block: HW
    padding: Padding


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the file: the graph's tensor with the same elements in the same order, and its shape in the file.

    `alone`: nothing else in the file reads the elements. `softmax`: the one left out, whose logits they are.
    `spread`: in the file they are spread over the batch; `shape` is that of before.
    """

    tensor: str
    shape: Shape
    alone: bool = False
    softmax: Operator | None = None
    spread: Spread | None = None


@dataclass(slots=True)
class Trace:
    """What has been converted so far: values and constants by tensor index, the nodes made of them."""

    model: TfliteModel
    input: str
    input_shape: Shape
    uses: Counter[int]
    values: dict[int, Value] = field(default_factory=dict)
    arrays: dict[int, npt.NDArray[Any]] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)  # in order, by output
    shapes: dict[str, Shape] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)  # in order, each once
    parameter_bytes: int = 0  # written so far

    def shape(self, tensor: Tensor) -> Shape:
        """The shape of `tensor` for a batch of 1, where it is computed."""
        value = self.values.get(tensor.index)
        return tensor.shape if value is None else value.shape

    def producer(self, value: Value) -> Node | None:
        """The graph node that made `value`; None for the input."""
        return self.nodes.get(value.tensor)


def uses_of(model: TfliteModel) -> Counter[int]:
    """How often each tensor is read, by operators or as the network's output."""
    return Counter([i for op in model.operators for i in op.inputs if i != ABSENT] + list(model.outputs))


def graph_shape(shape: Shape) -> Shape | None:
    """NHWC or NC with batch 1 for a shape of the file; axes of extent 1 are put in front; None where there is none."""
    if len(shape) > 4 or (len(shape) == 4 and shape[0] != 1):
        return None
    if len(shape) < 2:
        return (1, prod(shape))
    return shape if len(shape) == 2 and shape[0] == 1 else (1,) * (4 - len(shape)) + shape


@dataclass(frozen=True, slots=True)
class Call:
    """One operator of the file and where its results go."""

    trace: Trace
    op: Operator

    @property
    def model(self) -> TfliteModel:
        """The file."""
        return self.trace.model

    def refuse(self, why: str, hint: str) -> UnsupportedOpError:
        """An error that names the operator, its index and what it makes."""
        return self.model.refuse(self.op, why, hint)

    def fault(self, why: str, hint: str | None = None) -> ModelError:
        """An error about a file that contradicts itself at this operator."""
        return self.model.fault(self.op, why, hint)

    def is_constant(self, position: int) -> bool:
        """True where the input at `position` does not depend on the network's input."""
        tensor = self.model.input(self.op, position)
        return tensor.index in self.trace.arrays or tensor.data is not None

    def array(self, position: int) -> npt.NDArray[Any]:
        """The constant at `position`, as the file holds it or as it was computed from constants.

        Raises:
            UnsupportedOpError: where it is computed from the network's input.
        """
        tensor = self.model.input(self.op, position)
        if tensor.index in self.trace.arrays:
            return self.trace.arrays[tensor.index]
        return self.model.constant(self.op, position)

    def integers(self, position: int) -> tuple[int, ...]:
        """The integers at `position`, at most one for each of 8 dimensions or 8 pairs."""
        array = self.array(position)
        if not np.issubdtype(array.dtype, np.integer) or array.size > MOST:
            raise self.fault(f"its input {position} holds {array.size} values of {array.dtype}, not a few integers")
        return tuple(int(v) for v in array.ravel())

    def real(self, position: int) -> Float:
        """The constant at `position` as float32; float16 and int8 ones are turned into it.

        Raises:
            UnsupportedOpError: where it is computed, or of another type.
        """
        tensor = self.model.input(self.op, position)
        if tensor.index in self.trace.arrays:
            return self.trace.arrays[tensor.index].astype(np.float32)
        return self.dequantized(tensor, self.model.constant(self.op, position))

    def optional_real(self, position: int) -> Float | None:
        """The constant at `position` as float32, None where it is left out."""
        return None if self.model.optional(self.op, position) is None else self.real(position)

    def dequantized(self, tensor: Tensor, data: npt.NDArray[Any]) -> Float:
        """`data` of the constant `tensor` as float32."""
        if tensor.dtype in (Dtype.FLOAT32, Dtype.FLOAT16):
            if tensor.dtype is Dtype.FLOAT16:
                self.trace.notes["float16 weights are taken as float32"] = None
            return data.astype(np.float32)
        code = tensor.code
        if tensor.dtype not in (Dtype.INT8, Dtype.UINT8, Dtype.INT16) or code is None:
            raise self.refuse(f"{tensor.place} holds constants of {tensor.dtype.name}", "keep the weights in float32")
        self.trace.notes[
            "dynamic-range file: its 8-bit weights are taken as the real numbers they stand for; "
            "TFLite would also round activations to 8 bits, from input to input anew"
        ] = None
        along = [1] * data.ndim
        if code.per_channel:
            along[code.axis] = -1
        scales, zeros = (part.astype(np.float64).reshape(along) for part in (code.scales, code.zero_points))
        return np.asarray((data.astype(np.float64) - zeros) * scales, np.float32)

    def value(self, position: int = 0) -> Value:
        """What the input at `position` became.

        Raises:
            UnsupportedOpError: where it is a constant, without dimensions, spread over the batch or a softmax's result.
        """
        value = self.alias_value(position)
        if value.spread is not None:
            raise self.refuse("it reads an image spread over the batch", HINT)
        if value.softmax is not None:
            raise self.refuse(
                "it reads the result of a softmax", "only a final softmax is supported; the host applies it"
            )
        if not value.shape:
            raise self.refuse("it reads a number without dimensions", "keep (1, H, W, C) or (1, C)")
        return value

    def alias_value(self, position: int = 0) -> Value:
        """What the input at `position` became, a softmax left out or not."""
        tensor = self.model.input(self.op, position)
        value = self.trace.values.get(tensor.index)
        if value is None:
            raise self.refuse(
                f"its input {position} ({tensor.name}) is a constant, where a tensor computed from the input is needed",
                "fold constants before converting",
            )
        return value

    def in_graph_shape(self, value: Value) -> str:
        """The graph's tensor with the elements of `value` in its own shape, as NHWC or NC; a Reshape where needed."""
        shape = graph_shape(value.shape)
        if shape is None:
            raise self.refuse(
                f"it reads a tensor of shape {value.shape}",
                "only shapes of up to 4 dimensions and a batch of 1 are known",
            )
        if self.trace.shapes[value.tensor] == shape:
            return value.tensor
        name = f"{value.tensor}.as_{'x'.join(map(str, shape[1:]))}"
        if name not in self.trace.shapes:
            op: Op = Flatten() if len(shape) == 2 else Reshape(shape)
            self._append(Node(name, op, (value.tensor,), name))
        return name

    def image(self, value: Value) -> tuple[str, Shape]:
        """The graph's tensor with the elements of `value` as (1, H, W, C), and that shape."""
        tensor = self.in_graph_shape(value)
        shape = self.trace.shapes[tensor]
        if len(shape) != 4:
            raise self.refuse(f"it reads shape {value.shape}", "only images (1, H, W, C) are supported here")
        return tensor, shape

    def activation(self, fused: Fused) -> Activation:
        """The clamp that ends the operator."""
        if fused not in _ACTIVATIONS:
            raise self.refuse(f"it ends in {fused.name}", "use ReLU or ReLU6")
        return _ACTIVATIONS[fused]

    def emit(self, op: Op, *inputs: str, shape: Shape | None = None, **params: Float | None) -> Value:
        """The output of a new graph node, called after the operator's kind and index.

        Args:
            op: what the node does.
            inputs: graph tensors that it reads.
            shape: of the result in the file, where that is not the graph's.
            params: arrays by role; those that are None are left out.

        Raises:
            ModelError: where the shapes do not fit.
        """
        given: Params = MappingProxyType({k: readonly(v, np.float32) for k, v in params.items() if v is not None})
        name = self._unique(f"{self.op.kind.lower()}_{self.op.index}")
        made = self._append(Node(name, op, inputs, name, given))
        return Value(name, made if shape is None else shape)

    def clamp(self, value: Value, fused: Fused) -> Value:
        """`value` after the activation that ends the operator, where its op takes none in."""
        act = self.activation(fused)
        return value if act == Activation() else self.emit(Clamp(act), value.tensor, shape=value.shape)

    def replace_node(self, old: Node, new: Node) -> None:
        """`new` where `old` was; it makes the same tensor."""
        assert new.output == old.output
        self._append(new)

    def alias(self, value: Value, shape: Shape) -> Value:
        """`value` under another shape of as many elements."""
        if prod(shape) != prod(value.shape):
            raise self.fault(f"it makes shape {shape} of {value.shape}, which has another number of elements")
        return replace(value, shape=shape)

    def _append(self, node: Node) -> Shape:
        self.trace.shapes[node.output] = shape = self._shape(node)
        self.trace.parameter_bytes += sum(array.nbytes for array in node.params.values())
        if self.trace.parameter_bytes > MOST_PARAMETER_BYTES:
            raise self.fault(f"with it, layers hold more than {MOST_PARAMETER_BYTES:,} B of parameters")
        self.trace.nodes[node.output] = node
        return shape

    def _shape(self, node: Node) -> Shape:
        try:
            shape = node.op.output_shape([self.trace.shapes[t] for t in node.inputs], node.params)
        except ModelError as error:
            raise self.fault(error.args[0], error.hint) from error
        if not 0 < prod(shape) <= MOST_ELEMENTS:
            raise self.fault(f"it makes a tensor of shape {shape}; from 1 to {MOST_ELEMENTS:,} elements are possible")
        return shape

    def _unique(self, name: str) -> str:
        taken = self.trace.shapes.keys()
        candidates = (name if i == 0 else f"{name}_{i}" for i in range(len(taken) + 1))
        return next(candidate for candidate in candidates if candidate not in taken)
