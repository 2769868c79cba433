"""The float network: nodes in execution order, places for exits, exits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType
from typing import Protocol, TypeVar

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.ops.base import Op, Params
from ptee_mcu.tensor import Float, Shape


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operation; `params` are read-only float32 arrays by role."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    output: str
    params: Params = field(default_factory=lambda: MappingProxyType({}))
    module: str = ""  # path of the module it came from, for messages


@dataclass(frozen=True, slots=True)
class Tap:
    """A place where an exit may attach: the output tensor of a basic block."""

    name: str
    tensor: str


@dataclass(frozen=True, slots=True)
class Confidence:
    """Leave where sigmoid(tensor) exceeds a threshold; `tensor` holds one logit (PTEEnet, METHODS 1.2)."""

    tensor: str


@dataclass(frozen=True, slots=True)
class Exit:
    """An answer of the network; the final exit has no rule."""

    name: str
    logits: str
    rule: Confidence | None = None
    tap: str | None = None  # name of the tap it hangs on

    @property
    def tensors(self) -> tuple[str, ...]:
        """What must be computed before the exit can answer."""
        return (self.logits,) if self.rule is None else (self.logits, self.rule.tensor)


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A float network on NHWC tensors of batch 1; `shapes` names every tensor, the input included."""

    name: str
    input: str
    shapes: Mapping[str, Shape]
    nodes: tuple[Node, ...]
    exits: tuple[Exit, ...]
    taps: tuple[Tap, ...] = ()
    softmax: bool = False  # the host may apply one to the logits; the device never does

    @property
    def input_shape(self) -> Shape:
        """Shape of the input with batch 1."""
        return self.shapes[self.input]

    def node(self, name: str) -> Node:
        """The node called `name`."""
        return next(node for node in self.nodes if node.name == name)

    def producer(self, tensor: str) -> Node | None:
        """The node that makes `tensor`; None for the input."""
        return next((node for node in self.nodes if node.output == tensor), None)

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        """The nodes that read `tensor`."""
        return tuple(node for node in self.nodes if tensor in node.inputs)

    def input_shapes(self, node: Node) -> tuple[Shape, ...]:
        """Shapes of what `node` reads."""
        return tuple(self.shapes[name] for name in node.inputs)

    def kept_tensors(self) -> frozenset[str]:
        """Tensors that passes must keep under their names: the input, taps, and what exits read."""
        return frozenset({self.input, *(tap.tensor for tap in self.taps), *(t for e in self.exits for t in e.tensors)})


class NodeLike(Protocol):
    """A float or an int8 node."""

    @property
    def name(self) -> str:
        """Unique name."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Tensors it reads."""

    @property
    def output(self) -> str:
        """The tensor it writes."""


N = TypeVar("N", bound=NodeLike)


def needed(nodes: Sequence[N], outputs: Sequence[str]) -> tuple[N, ...]:
    """The nodes that `outputs` depend on, in their order."""
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if node.output in wanted:
            wanted.update(node.inputs)
            kept.append(node)
    return tuple(reversed(kept))


def segments(nodes: Sequence[N], exits: Sequence[tuple[str, ...]]) -> tuple[tuple[N, ...], ...]:
    """Per exit, the nodes it needs that no earlier exit needed: the trunk so far first, then its head."""
    done: set[str] = set()
    parts = []
    for tensors in exits:
        part = tuple(node for node in needed(nodes, tensors) if node.name not in done)
        done.update(node.name for node in part)
        parts.append(part)
    return tuple(parts)


def make_graph(
    name: str,
    input_name: str,
    input_shape: Shape,
    nodes: Sequence[Node],
    exits: Sequence[Exit],
    *,
    taps: Sequence[Tap] = (),
    softmax: bool = False,
) -> Graph:
    """A verified Graph, its shapes inferred.

    Raises:
        ModelError: naming the node, where shapes do not fit, a tensor is missing or weights are not finite.
    """
    shapes: dict[str, Shape] = {input_name: input_shape}
    for node in nodes:
        missing = [tensor for tensor in node.inputs if tensor not in shapes]
        if missing:
            raise ModelError(f"{node.name}: reads {missing[0]}, which no earlier node makes")
        try:
            shapes[node.output] = node.op.output_shape([shapes[t] for t in node.inputs], node.params)
        except ModelError as error:
            raise ModelError(f"{node.name}: {error}", hint=error.hint) from error
    graph = Graph(name, input_name, MappingProxyType(shapes), tuple(nodes), tuple(exits), tuple(taps), softmax)
    verify_graph(graph)
    return graph


def verify_graph(graph: Graph) -> None:
    """Holds every Graph to its contract.

    Raises:
        ModelError: naming what breaks it.
    """
    names = [node.name for node in graph.nodes]
    outputs = [node.output for node in graph.nodes]
    if len(set(names)) != len(names) or len({*outputs, graph.input}) != len(outputs) + 1:
        raise ModelError(f"{graph.name}: two nodes share a name or an output")
    for node in graph.nodes:
        _verify_finite(node)
    if not graph.exits or graph.exits[-1].rule is not None:
        raise ModelError(f"{graph.name}: the last exit must be unconditional")
    for tensor in graph.kept_tensors():
        if tensor not in graph.shapes:
            raise ModelError(f"{graph.name}: an exit or tap names {tensor}, which no node makes")
    classes = {prod(graph.shapes[e.logits]) for e in graph.exits}
    if len(classes) != 1:
        raise ModelError(f"{graph.name}: exits answer with different numbers of logits: {sorted(classes)}")


def _verify_finite(node: Node) -> None:
    for role, array in node.params.items():
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            raise ModelError(
                f"{node.name}: {bad} of {array.size} values of {role} are NaN or infinite",
                hint="check the file these weights came from, or the training run that wrote them",
            )


def forward(graph: Graph, x: Float, outputs: Sequence[str]) -> dict[str, Float]:
    """Values of the tensors `outputs` for a batch `x` (N, ...) by float32 numpy; others are freed when dead."""
    return {name: value for name, value in walk(graph, x, outputs) if name in set(outputs)}


def walk(graph: Graph, x: Float, outputs: Sequence[str]) -> Iterator[tuple[str, Float]]:
    """(tensor, value) of the input and of every tensor that `outputs` need, in execution order."""
    return walk_from(graph, {graph.input: x}, outputs)


def walk_from(graph: Graph, given: Mapping[str, Float], outputs: Sequence[str]) -> Iterator[tuple[str, Float]]:
    """(tensor, value) of what is given and of every tensor that `outputs` need beside it, in execution order."""
    nodes = needed([node for node in graph.nodes if node.output not in given], outputs)
    last = {tensor: i for i, node in enumerate(nodes) for tensor in node.inputs}
    values = dict(given)
    yield from given.items()
    for i, node in enumerate(nodes):
        values[node.output] = node.op.forward([values[t] for t in node.inputs], node.params)
        yield node.output, values[node.output]
        for tensor in {*node.inputs, node.output}:
            if last.get(tensor, -1) <= i:
                values.pop(tensor, None)
