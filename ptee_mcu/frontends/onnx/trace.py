"""One walk over an ONNX graph: what each node reads, what it became, and the integers behind quantized constants."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, prod
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import ModelError, UnsupportedOpError
from ptee_mcu.frontends.onnx import layout
from ptee_mcu.frontends.onnx.file import MOST_ELEMENTS
from ptee_mcu.frontends.onnx.layout import CHANNELS_FIRST, CHANNELS_LAST, Dims
from ptee_mcu.frontends.onnx.model import Array, OnnxModel, OnnxNode
from ptee_mcu.graph import Node
from ptee_mcu.ops import Flatten, Pad, Reshape
from ptee_mcu.ops.base import Op
from ptee_mcu.tensor import Float, Quant, Shape, readonly


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Integers behind a DequantizeLinear; `scale` broadcasts over them and is symmetric."""

    integers: npt.NDArray[np.int64]
    scale: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Param:
    """A constant: its values, and the integers behind them where it was quantized."""

    values: Array
    codes: Codes | None = None

    def transposed(self, *axes: int) -> "Param":
        """With its dimensions permuted."""
        codes = self.codes and Codes(self.codes.integers.transpose(axes), self.codes.scale.transpose(axes))
        return Param(self.values.transpose(axes), codes)

    def expanded(self, axis: int) -> "Param":
        """With a dimension of one element at `axis`."""
        codes = self.codes and Codes(np.expand_dims(self.codes.integers, axis), np.expand_dims(self.codes.scale, axis))
        return Param(np.expand_dims(self.values, axis), codes)

    def columns(self, order: npt.NDArray[np.int64]) -> "Param":
        """A matrix with its columns in another order."""
        codes = self.codes
        if codes is not None:
            scale = codes.scale if codes.scale.shape[1] == 1 else codes.scale[:, order]
            codes = Codes(codes.integers[:, order], scale)
        return Param(self.values[:, order], codes)


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the network: its name in the graph, its ONNX shape, and how that lies there (see layout)."""

    tensor: str
    shape: Shape
    dims: Dims


Known = Value | Param


@dataclass(slots=True)
class Trace:
    """What has been converted so far."""

    model: OnnxModel
    known: dict[str, Known] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)  # by output, in execution order
    claims: Counter[str] = field(default_factory=Counter)  # by graph tensor, how many ONNX nodes read it under any name
    shapes: dict[str, Shape] = field(default_factory=dict)
    quants: dict[str, Quant] = field(default_factory=dict)  # of graph tensors, where the file has any
    codes: dict[str, dict[str, Codes]] = field(default_factory=dict)  # of graph nodes' params, by role
    uses: Counter[str] = field(default_factory=Counter)  # of ONNX tensors
    shifts: dict[str, tuple[str, float]] = field(default_factory=dict)  # graph tensor: another one plus a number
    taken: Counter[str] = field(default_factory=Counter)  # by name of a graph tensor, the last number behind it
    left: int = MOST_ELEMENTS  # of constants that nodes may still make: a small file can name one weight often

    def value(self, tensor: str, letters: str) -> Value:
        """The graph tensor `tensor` as ONNX dimensions named by `letters`."""
        shape = self.shapes[tensor]
        dims = layout.dims_of(shape, letters)
        return Value(tensor, layout.sizes(dims, layout.extents(shape)), dims)

    def unique(self, name: str) -> str:
        """`name`, numbered where it is taken."""
        found = name
        while found in self.shapes:
            self.taken[name] += 1
            found = f"{name}_{self.taken[name]}"
        return found

    def spend(self, place: str, elements: int) -> None:
        """Counts `elements` of constants that the node at `place` is about to make.

        Raises:
            ModelError: where all nodes together would make more than MOST_ELEMENTS.
        """
        if elements > self.left:
            raise ModelError(
                f"{place}: makes {elements} elements of constants; {self.left} are left of {MOST_ELEMENTS} for all"
            )
        self.left -= elements


@dataclass(frozen=True, slots=True)
class Call:
    """One ONNX node and what it reads."""

    trace: Trace
    node: OnnxNode

    def given(self, index: int) -> Known | None:
        """Its input `index`; None where it is left out."""
        name = self.node.inputs[index] if index < len(self.node.inputs) else ""
        if not name:
            return None
        if name not in self.trace.known:
            raise ModelError(f"{self.node.place}: reads {name}, which no earlier node makes")
        return self.trace.known[name]

    def value(self, index: int = 0) -> Value:
        """Its input `index`, which must be computed from the network's input."""
        found = self.given(index)
        if isinstance(found, Value):
            return found
        what = "nothing" if found is None else "a constant"
        raise self.node.refuse(
            f"has {what} as input {index} where a tensor computed from the network's input is supported",
            "fold constants into the weights of a neighbouring layer",
        )

    def param(self, index: int, what: str) -> Param:
        """Its input `index`, which must be a constant."""
        found = self.given(index)
        if isinstance(found, Param):
            return found
        state = "is missing" if found is None else "is computed at run time"
        raise self.node.refuse(f"its {what} {state}", f"export the model with a constant {what}")

    def optional_param(self, index: int, what: str) -> Param | None:
        """Its input `index`, a constant; None where it is left out."""
        return None if self.given(index) is None else self.param(index, what)

    def integers(self, index: int, what: str) -> tuple[int, ...] | None:
        """Its input `index`, a constant list of integers; None where it is left out."""
        found = self.optional_param(index, what)
        if found is None:
            return None
        if found.values.dtype.kind not in "iu" or found.values.ndim > 1 or found.values.size > 64:
            raise ModelError(f"{self.node.place}: its {what} is no short list of integers")
        return tuple(int(value) for value in found.values.ravel())

    def scalar(self, index: int, what: str) -> float | None:
        """Its input `index`, one constant number; None where it is left out."""
        found = self.optional_param(index, what)
        if found is None:
            return None
        return self.number(found, what)

    def number(self, param: Param, what: str) -> float:
        """The one number in `param`; it may be infinite."""
        if param.values.size != 1:
            raise self.node.refuse(f"its {what} has {param.values.size} values", "only one number is supported")
        number = float(param.values.ravel()[0])
        if isnan(number):
            raise ModelError(f"{self.node.place}: its {what} is NaN")
        return number

    def letters(self, value: Value) -> str:
        """The order that the dimensions of `value` stand in: channels first, or where only that fits, last."""
        rank = len(value.shape)
        for orders in (CHANNELS_FIRST, CHANNELS_LAST):
            if rank in orders and layout.fits(value.dims, orders[rank]):
                return orders[rank]
        return CHANNELS_FIRST.get(rank, "N" + "?" * (rank - 1))

    def placed(self, value: Value, letters: str) -> str:
        """The graph tensor on which the dimensions of `value` are `letters`.

        Raises:
            UnsupportedOpError: where its bytes would have to move.
        """
        trace = self.trace
        have = trace.shapes[value.tensor]
        if layout.fits(value.dims, letters) and (len(have) == 2) == (letters == "NC"):
            return value.tensor
        shape = None
        if len(value.dims) == len(letters):
            shape = layout.placed_shape(value.dims, value.shape, letters, layout.used_axes(have))
        if shape is None:
            raise self.node.refuse(
                f"reads a tensor of shape {value.shape} whose elements lie in another order (a flattened or "
                f"transposed map) where {letters} is supported",
                "only fully connected layers may follow a flatten, activations and dropout between them; "
                "channel shuffles and attention are not supported",
            )
        flat = letters == "NC"
        return self.add(Flatten() if flat else Reshape(shape), [value.tensor], label="flatten" if flat else "reshape")

    def standard(self, index: int = 0) -> tuple[str, str]:
        """Its input `index` with channels first: the graph tensor and the letters of its dimensions."""
        value = self.value(index)
        letters = CHANNELS_FIRST.get(len(value.shape))
        if letters is None:
            raise self.node.refuse(f"reads shape {value.shape}", "2 to 4 dimensions are supported")
        return self.placed(value, letters), letters

    def spatial(self, index: int = 0) -> tuple[str, str]:
        """As `standard`, of a feature map."""
        tensor, letters = self.standard(index)
        if letters == "NC":
            raise self.node.refuse("reads a tensor of 2 dimensions", "feature maps of 3 or 4 dimensions are supported")
        return tensor, letters

    def add(
        self,
        op: Op,
        inputs: Sequence[str],
        params: Mapping[str, Param | Float | None] | None = None,
        *,
        label: str = "",
    ) -> str:
        """The output tensor of a new graph node.

        Args:
            op: what the node does.
            inputs: graph tensors that it reads.
            params: constants by role; those that are None are left out.
            label: put behind the node's name, where it is not what the ONNX node is for.

        Raises:
            ModelError: where the shapes do not fit.
        """
        trace = self.trace
        name = trace.unique(f"{self.node.name}.{label}" if label else self.node.name)
        known = {role: p if isinstance(p, Param) else Param(p) for role, p in (params or {}).items() if p is not None}
        trace.spend(self.node.place, sum(p.values.size for p in known.values()))
        given = MappingProxyType({role: readonly(p.values, np.float32) for role, p in known.items()})
        try:
            shape = op.output_shape([trace.shapes[t] for t in inputs], given)
        except ModelError as error:
            raise ModelError(f"{self.node.place}: {error}", hint=error.hint) from error
        if not 0 < prod(shape) <= MOST_ELEMENTS:
            raise ModelError(f"{self.node.place}: its output has {prod(shape)} elements; the limit is {MOST_ELEMENTS}")
        trace.shapes[name] = shape
        trace.nodes[name] = Node(name, op, tuple(inputs), name, given)
        trace.codes[name] = {role: p.codes for role, p in known.items() if p.codes is not None}
        return name

    def emit(self, op: Op, value: Value, params: Mapping[str, Param | Float | None] | None = None) -> Value:
        """The output of a new graph node that leaves shape and order of `value` as they are."""
        return self.like(self.add(op, [value.tensor], params), value)

    def like(self, tensor: str, value: Value) -> Value:
        """The graph tensor `tensor` in shape and order of `value`."""
        return Value(tensor, value.shape, value.dims)

    def sole_producer(self, value: Value) -> Node | None:
        """The graph node that makes `value`, the node's own input, where nothing else reads it and it has no code."""
        own = any(isinstance(known, Value) and known.tensor == value.tensor for known in map(self.given, (0, 1)))
        taken = value.tensor in self.trace.quants or self.trace.claims[value.tensor] != 1
        return self.trace.nodes.get(value.tensor) if own and not taken else None

    def padding_before(self, tensor: str) -> Node | None:
        """The zero padding of H and W that makes `tensor`, where a convolution may do it instead."""
        pad, quants = self.trace.nodes.get(tensor), self.trace.quants
        if pad is None or not isinstance(pad.op, Pad) or pad.op.channels_before or pad.op.channels_after:
            return None
        same = tensor not in quants or quants[tensor] == quants.get(pad.inputs[0])
        return pad if same else None

    def refuse(self, why: str, hint: str) -> UnsupportedOpError:
        """An error that names the node."""
        return self.node.refuse(why, hint)
