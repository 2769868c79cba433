"""Exit heads: what a branch consists of, and a graph with branches attached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor, prod, sqrt
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import ConfigError, ModelError
from ptee_mcu.exits.placement import in_order
from ptee_mcu.graph import Confidence, Exit, Graph, Node, Tap, make_graph, needed
from ptee_mcu.ops import Activation, Add, AvgPool2d, BatchNorm, Clamp, Conv2d, Linear, Op
from ptee_mcu.tensor import HW, Padding, Shape, readonly

_KERNEL = 3
_RELU = Activation(min=0.0)
_FREE = Activation()


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """A branch: pool to about `pool_to` pixels a side, normalise, convolve, pool globally; classifier and confidence.

    `norm` puts a BatchNorm with that activation on what was pooled. A convolution 3x3 with padding 1, BatchNorm and
    ReLU follows for each of `strides`; `channels` are theirs, None keeping the channels of the tap. `separable`: each
    is one per channel and one 1x1, BatchNorm and ReLU behind both, a tenth of the work and of the weights. `pool_to`
    None leaves the tap's resolution. `gap` False flattens where the others pool globally. `hidden` are the widths of
    layers through which the confidence reads the logits; without any it reads the same features as the classifier.

    `cascade`: logits of exit n are W f + b + V logits of exit n - 1, f the features.
    """

    name: str
    strides: tuple[int, ...] = ()
    pool_to: int | None = None
    channels: int | None = None
    separable: bool = False
    hidden: tuple[int, ...] = ()
    norm: Activation | None = None
    gap: bool = True
    cascade: bool = False


HEADS: Mapping[str, HeadSpec] = MappingProxyType(
    {
        head.name: head
        for head in (
            # A linear confidence cannot tell a clear winner among the logits: on ResNet-20 it saves next to nothing.
            HeadSpec("pooled", strides=(2,), pool_to=8, channels=32, hidden=(32, 32)),
            HeadSpec("pooled2", strides=(2, 2), pool_to=8, channels=64, hidden=(32, 32), gap=False),
            HeadSpec("separable", strides=(1, 2, 2), pool_to=8, channels=64, separable=True, hidden=(32, 32)),
            # plain, pool, bnpool: EENet, Demir and Akbas, arXiv 2409.05336
            HeadSpec("plain", gap=False),
            HeadSpec("pool"),
            HeadSpec("bnpool", norm=_FREE),
            # bnpool_relu, conv1..3 (ConvX): PTEEnet, Lahiany and Aperstein, arXiv 2501.02508
            HeadSpec("bnpool_relu", norm=_RELU),
            HeadSpec("conv1", strides=(1,)),
            HeadSpec("conv2", strides=(1, 1)),
            HeadSpec("conv3", strides=(1, 1, 1)),
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


def attach(graph: Graph, taps: Sequence[Tap], head: HeadSpec, *, seed: int = 0, cascade: bool = False) -> Graph:
    """`graph` with one exit per tap, in order of execution, ahead of its final exit; backbone nodes are untouched.

    Exit i is called exit<i>, its nodes exit<i>.conv1, exit<i>.bn1, ..., exit<i>.classifier, exit<i>.confidence; they
    stand right behind the tap's node. In a cascade every exit but the first has two nodes more: exit<i>.previous, a
    Linear layer on the logits of the exit before, and exit<i>.logits, its sum with exit<i>.classifier; the exit
    answers with that sum, and layers `hidden` read it. Training must cut `cascade_edges`, or a later head would
    teach an earlier one.

    Convolutions start kaiming-normal by fan-out, the Linear layers uniform within 1 / sqrt(features), as
    torch.nn.Linear; in a cascade classifier and previous share the bound of one layer on both inputs.

    Args:
        graph: the backbone, without early exits.
        taps: where the exits go.
        head: what they are made of.
        seed: of the initial weights.
        cascade: makes any head a cascading one, as `head.cascade` does.

    Raises:
        ModelError: where the graph has exits already, there are no taps, or a tap is no feature map.

    Source: of the cascade: Wolczyk et al., Zero Time Waste, NeurIPS 2021, section 3.1; without its layer
    normalisation of the logits, for which int8 has no kernel and whose scale V can learn.
    """
    if len(graph.exits) != 1:
        early = len(graph.exits) - 1
        raise ModelError(f"{graph.name}: has {early} early exits already", hint="attach all exits at once")
    if not taps:
        raise ModelError(f"{graph.name}: no place for an exit was given")
    if len({tap.tensor for tap in taps}) != len(taps):
        raise ModelError(f"{graph.name}: two exits on one tensor: {', '.join(tap.tensor for tap in taps)}")
    classes = prod(graph.shapes[graph.exits[-1].logits])
    cascading = replace(head, cascade=head.cascade or cascade)
    built: dict[str, _Builder] = {}
    previous: str | None = None
    for i, tap in enumerate(in_order(graph, taps)):
        builder = _Builder(graph, tap, f"exit{i}", np.random.default_rng([seed, i]))
        builder.build(cascading, classes, previous if cascading.cascade else None)
        built[tap.tensor] = builder
        previous = builder.logits
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes.append(node)
        if node.output in built:
            nodes += built[node.output].nodes
    exits = [builder.exit() for builder in built.values()]
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


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """The head of one early exit: the backbone tensor it reads, the logits it reads in a cascade, its own nodes."""

    exit: Exit
    tap: str
    previous: str | None
    nodes: tuple[Node, ...]


def branches(graph: Graph) -> tuple[Branch, ...]:
    """The heads of the early exits in order, each with the nodes that no exit before it runs.

    Raises:
        ModelError: where a head reads anything but one tensor of the backbone and the logits of the exit before.
    """
    own = head_nodes(graph)
    made_by_heads = {node.output for node in graph.nodes if node.name in own}
    found: list[Branch] = []
    done: set[str] = set()
    for place in graph.exits[:-1]:
        nodes = tuple(node for node in needed(graph.nodes, place.tensors) if node.name in own - done)
        done.update(node.name for node in nodes)
        sources = {tensor for node in nodes for tensor in node.inputs} - {node.output for node in nodes}
        taps, heads = sorted(sources - made_by_heads), sorted(sources & made_by_heads)
        before = [found[-1].exit.logits] if found else []
        if len(taps) != 1 or heads not in ([], before):
            raise ModelError(
                f"{graph.name}: the head of {place.name} reads {sorted(sources)}, one tensor of the backbone is "
                "expected and at most the logits of the exit before",
                hint="attach the exits with ptee_mcu.exits.heads.attach",
            )
        found.append(Branch(place, taps[0], heads[0] if heads else None, nodes))
    return tuple(found)


def cascade_edges(graph: Graph) -> frozenset[tuple[str, str]]:
    """(node, tensor it reads) wherever a head reads the logits of the exit before; no gradient may pass there.

    Raises:
        ModelError: as `branches`.
    """
    return frozenset(
        (node.name, branch.previous)
        for branch in branches(graph)
        for node in branch.nodes
        if branch.previous is not None and branch.previous in node.inputs
    )


class _Builder:
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
        self.logits = f"{name}.classifier"
        self.nodes: list[Node] = []

    def build(self, head: HeadSpec, classes: int, previous: str | None) -> None:
        if head.pool_to is not None:
            self.pool(head.pool_to)
        if head.norm is not None:
            self.normalise("", head.norm)
        for i, stride in enumerate(head.strides, 1):
            channels = head.channels or self.shape[3]
            if head.separable:
                self.separate(i, channels, stride)
            else:
                self.convolve(str(i), channels, stride)
        if head.gap:
            size = HW(self.shape[1], self.shape[2])
            self.add("gap", AvgPool2d(size, size))
        features = self.last, prod(self.shape)  # a Linear layer reads a map as its flattened bytes
        if previous is None:
            self.linear("classifier", *features, classes)
        else:
            self.cascade(features, previous, classes)
        source = (self.logits, classes) if head.hidden else features
        for i, width in enumerate(head.hidden, 1):
            source = (self.linear(f"hidden{i}", *source, width, _RELU), width)
        self.linear("confidence", *source, 1)

    def exit(self) -> Exit:
        return Exit(self.name, self.logits, Confidence(f"{self.name}.confidence"), self.tap.name)

    def pool(self, side: int) -> None:
        kernel = HW(*(max(1, floor(pixels / side + 0.5)) for pixels in self.shape[1:3]))
        if kernel != HW(1, 1):
            self.add("pool", AvgPool2d(kernel, kernel))

    def convolve(self, number: str, out: int, stride: int, kernel: int = _KERNEL) -> None:
        scale = sqrt(2.0 / (out * kernel * kernel))
        weight = self.rng.normal(0.0, scale, (out, kernel, kernel, self.shape[3]))
        self.add(f"conv{number}", Conv2d(HW(stride, stride), Padding.same(kernel // 2, kernel // 2)), weight=weight)
        self.normalise(number, _RELU)

    def separate(self, i: int, out: int, stride: int) -> None:
        channels = self.shape[3]
        weight = self.rng.normal(0.0, sqrt(2.0) / _KERNEL, (channels, _KERNEL, _KERNEL, 1))
        self.add(f"conv{i}a", Conv2d(HW(stride, stride), Padding.same(1, 1), groups=channels), weight=weight)
        self.normalise(f"{i}a", _RELU)
        self.convolve(f"{i}b", out, 1, kernel=1)

    def normalise(self, number: str, act: Activation) -> None:
        ones, zeros = np.ones(self.shape[3]), np.zeros(self.shape[3])
        self.add(f"bn{number}", BatchNorm(), weight=ones, bias=zeros, mean=zeros, var=ones)
        if act != _FREE:
            self.add(f"relu{number}", Clamp(act))

    def cascade(self, features: tuple[str, int], previous: str, classes: int) -> None:
        fan_in = features[1] + classes
        own = self.linear("classifier", *features, classes, fan_in=fan_in)
        carried = self.linear("previous", previous, classes, classes, fan_in=fan_in, bias=False)
        self.logits = f"{self.name}.logits"
        self.nodes.append(_node(self.logits, Add(), own, carried))

    def linear(
        self,
        role: str,
        source: str,
        features: int,
        out: int,
        act: Activation = _FREE,
        *,
        fan_in: int | None = None,
        bias: bool = True,
    ) -> str:
        bound = 1.0 / sqrt(fan_in or features)
        params = {"weight": self.rng.uniform(-bound, bound, (out, features))}
        if bias:
            params["bias"] = self.rng.uniform(-bound, bound, out)
        node = _node(f"{self.name}.{role}", Linear(act), source, **params)
        self.nodes.append(node)
        return node.output

    def add(self, role: str, op: Op, **params: npt.NDArray[np.float64]) -> None:
        node = _node(f"{self.name}.{role}", op, self.last, **params)
        self.nodes.append(node)
        self.shape = op.output_shape([self.shape], node.params)
        self.last = node.output


def _node(name: str, op: Op, *sources: str, **params: npt.NDArray[np.float64]) -> Node:
    frozen = {role: readonly(array, np.float32) for role, array in params.items()}
    return Node(name, op, sources, name, MappingProxyType(frozen), module=name)
