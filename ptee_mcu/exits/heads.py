"""Exit heads: what a branch consists of, and a graph with branches attached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, prod, sqrt
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import ConfigError, ModelError
from ptee_mcu.exits.placement import in_order
from ptee_mcu.graph import Confidence, Exit, Graph, Node, Tap, make_graph, needed
from ptee_mcu.ops import Activation, AvgPool2d, BatchNorm, Clamp, Conv2d, Linear, Op
from ptee_mcu.tensor import HW, Padding, Shape, readonly

_KERNEL = 3
_RELU = Activation(min=0.0)
_FREE = Activation()


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """A branch: pool to about `pool_to` pixels a side, convolve, pool globally, then classifier and confidence.

    `convs` convolutions 3x3 with padding 1, BatchNorm and ReLU; `stride` and `channels` are theirs, None keeping the
    channels of the tap; `pool_to` None leaves the tap's resolution. `hidden` are the widths of layers through which
    the confidence reads the classifier's logits; without any it reads the same features as the classifier.
    """

    name: str
    convs: int = 0
    pool_to: int | None = None
    stride: int = 1
    channels: int | None = None
    hidden: tuple[int, ...] = ()


HEADS: Mapping[str, HeadSpec] = MappingProxyType(
    {
        head.name: head
        for head in (
            # A linear confidence cannot tell a clear winner among the logits: on ResNet-20 it saves next to nothing.
            HeadSpec("pooled", convs=1, pool_to=8, stride=2, channels=32, hidden=(32, 32)),
            HeadSpec("pool"),
            HeadSpec("conv1", convs=1),  # conv1..3: ConvX of PTEEnet, Lahiany and Aperstein, arXiv 2501.02508
            HeadSpec("conv2", convs=2),
            HeadSpec("conv3", convs=3),
        )
    }
)


def find_head(name: str) -> HeadSpec:
    """The head called `name`.

    Raises:
        ConfigError: where there is none.
    """
    if name not in HEADS:
        raise ConfigError(f"no exit head is called {name!r}", hint=f"known heads: {', '.join(HEADS)}")
    return HEADS[name]


def attach(graph: Graph, taps: Sequence[Tap], head: HeadSpec, *, seed: int = 0) -> Graph:
    """`graph` with one exit per tap, in order of execution, ahead of its final exit; backbone nodes are untouched.

    Exit i is called exit<i>, its nodes exit<i>.conv1, exit<i>.bn1, ..., exit<i>.classifier, exit<i>.confidence; they
    stand right behind the tap's node. Convolutions start kaiming-normal by fan-out, the Linear layers uniform within
    1 / sqrt(features), as torch.nn.Linear.

    Raises:
        ModelError: where the graph has exits already, there are no taps, or a tap is no feature map.
    """
    if len(graph.exits) != 1:
        early = len(graph.exits) - 1
        raise ModelError(f"{graph.name}: has {early} early exits already", hint="attach all exits at once")
    if not taps:
        raise ModelError(f"{graph.name}: no place for an exit was given")
    if len({tap.tensor for tap in taps}) != len(taps):
        raise ModelError(f"{graph.name}: two exits on one tensor: {', '.join(tap.tensor for tap in taps)}")
    classes = prod(graph.shapes[graph.exits[-1].logits])
    branches = {
        tap.tensor: _Branch(graph, tap, f"exit{i}", np.random.default_rng([seed, i])).build(head, classes)
        for i, tap in enumerate(in_order(graph, taps))
    }
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes.append(node)
        if node.output in branches:
            nodes += branches[node.output].nodes
    exits = [branch.exit() for branch in branches.values()]
    return make_graph(
        graph.name,
        graph.input,
        graph.input_shape,
        nodes,
        [*exits, *graph.exits],
        taps=graph.taps,
        softmax=graph.softmax,
    )


def head_nodes(graph: Graph) -> frozenset[str]:
    """Names of the nodes that belong to exit heads: what the final exit does not need."""
    backbone = {node.name for node in backbone_nodes(graph)}
    return frozenset(node.name for node in graph.nodes if node.name not in backbone)


def backbone_nodes(graph: Graph) -> tuple[Node, ...]:
    """The nodes that the final exit needs."""
    return needed(graph.nodes, graph.exits[-1].tensors)


class _Branch:
    """The nodes of one exit, built front to back."""

    def __init__(self, graph: Graph, tap: Tap, name: str, rng: np.random.Generator) -> None:
        shape = graph.shapes[tap.tensor]
        if len(shape) != 4:
            raise ModelError(
                f"{graph.name}: block {tap.name} gives {tap.tensor} of shape {shape}; an exit needs a feature map",
                hint="place exits ahead of the layer that flattens",
            )
        self.tap, self.name, self.rng = tap, name, rng
        self.shape: Shape = shape
        self.last = tap.tensor
        self.nodes: list[Node] = []

    def build(self, head: HeadSpec, classes: int) -> "_Branch":
        _, h, w, _ = self.shape
        if head.pool_to is not None:
            kernel = HW(max(1, floor(h / head.pool_to + 0.5)), max(1, floor(w / head.pool_to + 0.5)))
            if kernel != HW(1, 1):
                self.add("pool", AvgPool2d(kernel, kernel))
        for i in range(1, head.convs + 1):
            self.convolve(i, head.channels or self.shape[3], head.stride)
        size = HW(self.shape[1], self.shape[2])
        self.add("gap", AvgPool2d(size, size))
        features = self.last, self.shape[3]
        logits = self.linear("classifier", *features, classes)
        source = (logits, classes) if head.hidden else features
        for i, width in enumerate(head.hidden, 1):
            source = (self.linear(f"hidden{i}", *source, width, _RELU), width)
        self.linear("confidence", *source, 1)
        return self

    def exit(self) -> Exit:
        return Exit(self.name, f"{self.name}.classifier", Confidence(f"{self.name}.confidence"), self.tap.name)

    def convolve(self, i: int, out: int, stride: int) -> None:
        channels = self.shape[3]
        scale = sqrt(2.0 / (out * _KERNEL * _KERNEL))
        weight = self.rng.normal(0.0, scale, (out, _KERNEL, _KERNEL, channels))
        self.add(f"conv{i}", Conv2d(HW(stride, stride), Padding.same(1, 1)), weight=weight)
        ones, zeros = np.ones(out), np.zeros(out)
        self.add(f"bn{i}", BatchNorm(), weight=ones, bias=zeros, mean=zeros, var=ones)
        self.add(f"relu{i}", Clamp(_RELU))

    def linear(self, role: str, source: str, features: int, out: int, act: Activation = _FREE) -> str:
        bound = 1.0 / sqrt(features)
        weight = self.rng.uniform(-bound, bound, (out, features))
        bias = self.rng.uniform(-bound, bound, out)
        node = _node(f"{self.name}.{role}", Linear(act), source, weight=weight, bias=bias)
        self.nodes.append(node)
        return node.output

    def add(self, role: str, op: Op, **params: npt.NDArray[np.float64]) -> None:
        node = _node(f"{self.name}.{role}", op, self.last, **params)
        self.nodes.append(node)
        self.shape = op.output_shape([self.shape], node.params)
        self.last = node.output


def _node(name: str, op: Op, source: str, **params: npt.NDArray[np.float64]) -> Node:
    frozen = {role: readonly(array, np.float32) for role, array in params.items()}
    return Node(name, op, (source,), name, MappingProxyType(frozen), module=name)
