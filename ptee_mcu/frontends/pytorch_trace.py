"""One walk over an exported PyTorch program: what each ATen call reads, what it became, where it came from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import fx

from ptee_mcu.errors import ModelError, UnsupportedOpError
from ptee_mcu.graph import Node
from ptee_mcu.ops.base import Op, Params
from ptee_mcu.tensor import Float, Shape, readonly

_FRAME = re.compile(r'File "(?P<file>.+?)", line (?P<line>\d+)')
_TORCH = str(Path(torch.__file__).parent)


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the network: its name in the graph and its shape in PyTorch.

    `order` is the (C, H, W) of a feature map that was flattened: PyTorch has its elements in that order, the graph
    in the order H, W, C, and a Linear that reads it must permute its columns.
    """

    tensor: str
    shape: Shape
    order: tuple[int, int, int] | None = None


@dataclass(slots=True)
class Trace:
    """What has been converted so far."""

    input_shape: Shape
    input: str = "input"
    nodes: list[Node] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    values: dict[fx.Node, Value] = field(default_factory=dict)
    arrays: dict[fx.Node, Float] = field(default_factory=dict)
    owners: dict[fx.Node, str] = field(default_factory=dict)  # module path of each parameter
    softmax: bool = False

    def __post_init__(self) -> None:
        self.shapes[self.input] = self.input_shape

    def elements(self, value: Value) -> int:
        """Elements of a tensor with batch 1."""
        return prod(self.shapes[value.tensor])

    def producer(self, value: Value) -> Node | None:
        """The graph node that made `value`; None for the input."""
        return next((node for node in self.nodes if node.output == value.tensor), None)

    def unique(self, name: str) -> str:
        """`name`, numbered where it is taken."""
        taken = self.shapes.keys()
        candidates = (name if i == 0 else f"{name}_{i}" for i in range(len(taken) + 1))
        return next(candidate for candidate in candidates if candidate not in taken)


@dataclass(frozen=True, slots=True)
class Call:
    """One ATen call: its arguments by the names of its schema, defaults filled in."""

    trace: Trace
    node: fx.Node

    def __getitem__(self, name: str) -> Any:
        """The argument called `name`."""
        schema = self.node.target._schema  # type: ignore[union-attr]  # noqa: SLF001
        for i, argument in enumerate(schema.arguments):
            if argument.name == name:
                if i < len(self.node.args) and not argument.kwarg_only:
                    return self.node.args[i]
                return self.node.kwargs.get(name, argument.default_value)
        raise KeyError(name)

    @property
    def shape(self) -> Shape:
        """Shape of the result in PyTorch."""
        return tuple(self.node.meta["val"].shape)

    @property
    def map_rank(self) -> int:
        """Dimensions of the feature maps that the op is for: (N, C, L) where its name has 1d, or (N, C, H, W)."""
        return 3 if "1d" in base_name(self.node) else 4

    def pair(self, name: str, *, height: int | None = None) -> tuple[int, int]:
        """The argument `name` for height and width, whether given once or twice.

        Args:
            name: of the argument.
            height: what it is along height where the call has one spatial dimension only.
        """
        values = self[name]
        if height is not None and len(self.shape) == 3:
            return height, int(values if isinstance(values, int) else values[0])
        both = [values] * 2 if isinstance(values, int) else list(values)
        both = both * 2 if len(both) == 1 else both
        return int(both[0]), int(both[1])

    def value(self, name: str = "self", *, rank: int | None = None, flattened: bool = False) -> Value:
        """The tensor that the argument `name` stands for.

        Args:
            name: of the argument.
            rank: how many dimensions it must have in PyTorch.
            flattened: whether it may be a flattened feature map, whose elements lie in another order here.
        """
        value = self.tensor(self[name])
        if rank is not None and len(value.shape) != rank:
            raise self.refuse(f"reads shape {value.shape} where {rank} dimensions are supported", "reshape it before")
        if value.order is not None and not flattened:
            raise self.refuse(
                f"reads a feature map of C x H x W = {' x '.join(map(str, value.order))} that was flattened before",
                "only Linear layers may follow a flatten, activations and dropout between them; pool to 1x1 first",
            )
        return value

    def tensor(self, argument: Any) -> Value:
        """The tensor behind an argument that must not be a number, a parameter or a constant."""
        if isinstance(argument, fx.Node) and argument in self.trace.values:
            return self.trace.values[argument]
        kind = "a parameter or constant" if isinstance(argument, fx.Node) else f"the number {argument}"
        raise self.refuse(
            f"takes {kind} where only tensors computed from the input are supported",
            "fold constants into the weights of a neighbouring layer",
        )

    def array(self, name: str) -> Float:
        """The parameter that the argument `name` stands for."""
        argument = self[name]
        if argument in self.trace.arrays:
            return self.trace.arrays[argument]
        raise self.refuse(
            f"has a {name} that is computed at run time", "store it as a parameter (remove_parametrizations)"
        )

    def optional_array(self, name: str) -> Float | None:
        """The parameter that the argument `name` stands for, or None where it is not given."""
        return None if self[name] is None else self.array(name)

    def refuse(self, why: str, hint: str) -> UnsupportedOpError:
        """An error that names the call, its module and its source line."""
        return refuse(self.node, why, hint)

    def alias(self, value: Value) -> Value:
        """`value` under the shape this call gives it."""
        return Value(value.tensor, self.shape, value.order)

    def emit(self, op: Op, *inputs: Value, label: str | None = None, **params: Float | None) -> Value:
        """The output of a new graph node.

        Args:
            op: what the node does.
            inputs: what it reads.
            label: its name within its module, where the module does not name it; the op's own by default.
            params: arrays by role; those that are None are left out.

        Raises:
            ModelError: where the shapes do not fit.
        """
        name = self.trace.unique(self._name(label or base_name(self.node).strip("_")))
        given: Params = MappingProxyType({k: readonly(v, np.float32) for k, v in params.items() if v is not None})
        tensors = tuple(value.tensor for value in inputs)
        try:
            self.trace.shapes[name] = op.output_shape([self.trace.shapes[t] for t in tensors], given)
        except ModelError as error:
            raise ModelError(f"{place(self.node)}: {error}", hint=error.hint) from error
        self.trace.nodes.append(Node(name, op, tensors, name, given, module=_module(self.node)[0]))
        return Value(name, self.shape)

    def _name(self, label: str) -> str:
        """Path of the module that owns its parameters, or of the library module it is, or module path and label."""
        owner = next((self.trace.owners[n] for n in self.node.all_input_nodes if n in self.trace.owners), None)
        path, kind = _module(self.node)
        if kind.startswith("torch.nn.modules.") and ".container." not in kind:
            owner = owner or path
        return owner or ".".join(part for part in (path, label) if part)


def nhwc(shape: Shape) -> Shape:
    """The graph's shape of PyTorch's (N, C, H, W), (N, C, L), which is a map of height 1, or (N, F)."""
    return (shape[0], *[1] * (len(shape) == 3), *shape[2:], shape[1])


def base_name(node: fx.Node) -> str:
    """The op's name without namespace and overload: "relu_"."""
    return str(node.target).removeprefix("aten.").partition(".")[0]


def module_paths(node: fx.Node) -> Mapping[str, str]:
    """Paths of the modules around `node`, outermost first, by call (a module that is called twice has two)."""
    stack = node.meta.get("nn_module_stack") or {}
    return {key: path for key, (path, _) in stack.items()}


def place(node: fx.Node) -> str:
    """Op, module path, module class and source line, for messages."""
    path, kind = _module(node)
    where = f"{path or 'the network'} ({kind.rpartition('.')[2]})" if kind else "the network"
    return f"{node.target} in {where}{_source(node)}"


def refuse(node: fx.Node, why: str, hint: str) -> UnsupportedOpError:
    """An error that names `node`, its module and its source line."""
    return UnsupportedOpError(f"{place(node)}: {why}", hint=hint)


def _module(node: fx.Node) -> tuple[str, str]:
    """Path and class of the innermost module around `node`."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return "", ""
    path, kind = stack[-1]
    return path, kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"


def _source(node: fx.Node) -> str:
    frames = [(m["file"], m["line"]) for m in _FRAME.finditer(node.meta.get("stack_trace") or "")]
    written = [frame for frame in frames if not frame[0].startswith(_TORCH)] or frames
    return f", {written[-1][0]}:{written[-1][1]}" if written else ""
