"""Rewrites a trained float graph into the ops that int8 has: BatchNorm, constants, clamps, Dropout, Flatten vanish."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from types import MappingProxyType

import numpy as np

from ptee_mcu.errors import UnsupportedOpError
from ptee_mcu.graph import Exit, Graph, Node, Tap, make_graph, needed
from ptee_mcu.ops import (
    Activation,
    Add,
    AvgPool2d,
    BatchNorm,
    Clamp,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Elementwise,
    Flatten,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Mul,
    PReLU,
    Reshape,
    Slice,
    Span,
)
from ptee_mcu.ops.base import Params
from ptee_mcu.tensor import HW, Float, readonly

_UNIT = HW(1, 1)


def fold(graph: Graph) -> Graph:
    """The same function of the input, in the ops that have an int8 form, with clamps fused.

    Raises:
        UnsupportedOpError: where an op has no int8 form at its place.
    """
    rewrites = (_drop_unused, _drop_dropout, _drop_flatten, _fold_affine, _merge_slopes, _fuse_clamp, _split_groups)
    for rewrite in rewrites:
        graph = rewrite(graph)
    return graph


def _rebuild(graph: Graph, nodes: Sequence[Node], renamed: dict[str, str] | None = None) -> Graph:
    """`graph` with other nodes; `renamed` maps a vanished tensor to the one that carries its value."""
    table = renamed or {}

    def final(tensor: str) -> str:
        while tensor in table:
            tensor = table[tensor]
        return tensor

    def exit_with(leave: Exit) -> Exit:
        rule = leave.rule and replace(leave.rule, tensor=final(leave.rule.tensor))
        return replace(leave, logits=final(leave.logits), rule=rule)

    return make_graph(
        graph.name,
        graph.input,
        graph.input_shape,
        [replace(node, inputs=tuple(map(final, node.inputs))) for node in nodes],
        [exit_with(leave) for leave in graph.exits],
        taps=[Tap(tap.name, final(tap.tensor)) for tap in graph.taps],
        softmax=graph.softmax,
    )


def _drop_unused(graph: Graph) -> Graph:
    nodes = needed(graph.nodes, [t for e in graph.exits for t in e.tensors])
    made = {graph.input, *(node.output for node in nodes)}
    return _rebuild(replace(graph, taps=tuple(tap for tap in graph.taps if tap.tensor in made)), nodes)


def _drop_dropout(graph: Graph) -> Graph:
    gone = {node.output: node.inputs[0] for node in graph.nodes if isinstance(node.op, Dropout)}
    return _rebuild(graph, [node for node in graph.nodes if node.output not in gone], gone)


def _drop_flatten(graph: Graph) -> Graph:
    """Without Flatten: a Linear reads the NHWC bytes as they lie."""
    gone = {}
    for node in graph.nodes:
        if not isinstance(node.op, Flatten):
            continue
        if prod(graph.shapes[node.inputs[0]][1:-1]) > 1:
            _require_linear_readers(graph, node)
        gone[node.output] = node.inputs[0]
    return _rebuild(graph, [node for node in graph.nodes if node.output not in gone], gone)


def _require_linear_readers(graph: Graph, flatten: Node) -> None:
    for reader in graph.consumers(flatten.output):
        if isinstance(reader.op, Clamp | Flatten | Elementwise) or _scales_all_alike(reader):
            _require_linear_readers(graph, reader)
        elif not isinstance(reader.op, Linear | Reshape):  # both read the bytes as they lie
            raise UnsupportedOpError(
                f"{reader.name}: {type(reader.op).__name__} on the flattened tensor of {flatten.name}",
                hint="only Linear layers may read a flattened feature map",
            )


def _scales_all_alike(node: Node) -> bool:
    return isinstance(node.op, Mul) and "factor" in node.params and node.params["factor"].size == 1


def _fuse_pairs(graph: Graph, fuse: Callable[[Node, Node], Node | None]) -> Graph:
    """Merges each node into its producer where `fuse(producer, node)` gives the merged node."""
    nodes: list[Node] = []
    for node in graph.nodes:
        source = node.inputs[0]
        producer = next((n for n in nodes if n.output == source), None)
        alone = len(graph.consumers(source)) == 1 and source not in graph.kept_tensors()
        merged = fuse(producer, node) if producer is not None and alone else None
        if merged is None or producer is None:
            nodes.append(node)
        else:
            nodes[nodes.index(producer)] = merged
    return _rebuild(graph, nodes)


def _fold_affine(graph: Graph) -> Graph:
    graph = _fuse_pairs(graph, _affine_into_producer)
    return _rebuild(graph, [_affine_alone(graph, node) for node in graph.nodes])


def _is_affine(node: Node) -> bool:
    """Whether the node scales and shifts every channel by constants."""
    return isinstance(node.op, BatchNorm) or (isinstance(node.op, Mul) and "factor" in node.params)


def _affine_into_producer(producer: Node, node: Node) -> Node | None:
    if not _is_affine(node) or not isinstance(producer.op, Conv2d | ConvTranspose2d | Linear):
        return None
    if producer.op.act != Activation():
        return None
    scale, shift = _affine(node, producer.params["weight"].shape[0])
    weight = producer.params["weight"].astype(np.float64)
    bias = producer.params["bias"].astype(np.float64) if "bias" in producer.params else 0.0
    params = _params(weight * scale.reshape(-1, *[1] * (weight.ndim - 1)), bias * scale + shift)
    return replace(producer, op=replace(producer.op, act=_act(node)), params=params, output=node.output)


def _affine_alone(graph: Graph, node: Node) -> Node:
    """What no convolution can take in, as a depthwise 1x1 convolution (with one channel: a plain one)."""
    if not _is_affine(node):
        return node
    channels = graph.shapes[node.output][-1]
    if len(graph.shapes[node.output]) != 4:
        raise UnsupportedOpError(
            f"{node.name}: {type(node.op).__name__} on shape {graph.shapes[node.output]} does not follow a convolution "
            "or Linear",
            hint="move it directly behind a Conv2d or Linear layer",
        )
    scale, shift = _affine(node, channels)
    op = Conv2d(groups=channels, act=_act(node))
    return replace(node, op=op, params=_params(scale.reshape(-1, 1, 1, 1), shift))


def _affine(node: Node, channels: int) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], ...]:
    if isinstance(node.op, BatchNorm):
        scale, shift = node.op.scale_and_shift(node.params)
        return scale.astype(np.float64), shift.astype(np.float64)
    return np.full(channels, node.params["factor"], np.float64), np.zeros(channels)


def _act(node: Node) -> Activation:
    return node.op.act if isinstance(node.op, Mul) else Activation()


def _params(weight: np.ndarray, bias: np.ndarray) -> Params:
    roles: dict[str, Float] = {"weight": readonly(weight, np.float32), "bias": readonly(bias, np.float32)}
    return MappingProxyType(roles)


def _merge_slopes(graph: Graph) -> Graph:
    """One slope for all channels is a LeakyReLU, a slope of zero a ReLU."""
    return _rebuild(graph, [_merged_slopes(node) for node in graph.nodes])


def _merged_slopes(node: Node) -> Node:
    if not isinstance(node.op, PReLU) or np.ptp(node.params["slope"]) > 0:
        return node
    slope = float(node.params["slope"][0])
    return replace(node, op=LeakyReLU(slope) if slope else Clamp(Activation(min=0.0)), params=MappingProxyType({}))


def _fuse_clamp(graph: Graph) -> Graph:
    graph = _fuse_pairs(graph, _clamp_into_producer)
    return _rebuild(graph, [_clamp_alone(graph, node) for node in graph.nodes])


def _clamp_into_producer(producer: Node, node: Node) -> Node | None:
    fusable = Conv2d | ConvTranspose2d | Linear | Add | Mul | MaxPool2d | AvgPool2d
    if not isinstance(node.op, Clamp) or not isinstance(producer.op, fusable):
        return None
    outer, inner = node.op.act, producer.op.act
    act = Activation(
        min(max(inner.min, outer.min), outer.max),
        max(min(inner.max, outer.max), outer.min),
    )
    return replace(producer, op=replace(producer.op, act=act), output=node.output)


def _clamp_alone(graph: Graph, node: Node) -> Node:
    """An activation that no producer can take in, as a 1x1 max pool with a clamp."""
    if not isinstance(node.op, Clamp):
        return node
    if len(graph.shapes[node.output]) != 4:
        raise UnsupportedOpError(
            f"{node.name}: an activation on shape {graph.shapes[node.output]} that its producer cannot take in",
            hint="apply it directly behind the Linear layer, before anything else reads that tensor",
        )
    return replace(node, op=MaxPool2d(_UNIT, _UNIT, act=node.op.act))


def _split_groups(graph: Graph) -> Graph:
    """Grouped (not depthwise) convolutions as slices, one convolution each, and a concatenation."""
    nodes: list[Node] = []
    for node in graph.nodes:
        channels = graph.input_shapes(node)[0][-1]
        grouped = isinstance(node.op, Conv2d) and node.op.groups > 1 and not node.op.is_depthwise(channels)
        nodes.extend(_group_nodes(graph, node) if grouped else [node])
    return _rebuild(graph, nodes)


def _group_nodes(graph: Graph, node: Node) -> list[Node]:
    op = node.op
    assert isinstance(op, Conv2d)
    _, h, w, _ = graph.input_shapes(node)[0]
    out, per_group = node.params["weight"].shape[0] // op.groups, node.params["weight"].shape[3]
    nodes = []
    for g in range(op.groups):
        sliced, convolved = f"{node.output}.group{g}.in", f"{node.output}.group{g}"
        channels = Span(g * per_group, (g + 1) * per_group)
        part = {role: readonly(a[g * out : (g + 1) * out], np.float32) for role, a in node.params.items()}
        nodes += [
            Node(f"{node.name}.slice{g}", Slice(Span(0, h), Span(0, w), channels), node.inputs, sliced),
            Node(f"{node.name}.conv{g}", replace(op, groups=1), (sliced,), convolved, MappingProxyType(part)),
        ]
    parts = tuple(f"{node.output}.group{g}" for g in range(op.groups))
    return [*nodes, Node(f"{node.name}.concat", Concat(), parts, node.output)]
