"""Where exits may attach in any network: the tensors through which all goes from the input to the final logits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod

from ptee_mcu.graph import Graph, NodeLike, Tap, needed
from ptee_mcu.ops import AvgPool2d, MaxPool2d, QAvgPool2d, QMaxPool2d
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import Shape

_MAP = 4  # dimensions of a feature map
_POOLS = (AvgPool2d, MaxPool2d, QAvgPool2d, QMaxPool2d)  # without MACs, though they look around


@dataclass(frozen=True, slots=True)
class AttachPoint:
    """A tensor that cuts the network in two; `name` is that of the node which makes it.

    `macs`: of all that it needs; `share`: the same of the network's, 0 where that has none. `live_bytes`: int8
    activations alive while a head reads it: the tensor itself. `ram_bytes`: the most that are alive at once on the way
    to it, as `alive_bytes` counts. `heads`: whether an exit head can read it; they take feature maps, not vectors.
    """

    name: str
    tensor: str
    shape: Shape
    macs: int
    share: float
    live_bytes: int
    ram_bytes: int
    heads: bool


@dataclass(frozen=True, slots=True)
class _Step:
    """A node on the way from the input to the final logits, float or int8."""

    name: str
    inputs: tuple[str, ...]
    output: str
    macs: int
    pools: bool


def attach_points(graph: Graph | QuantGraph) -> tuple[AttachPoint, ...]:
    """Every tensor but the input and the logits that all paths between them pass, in order of execution.

    Heads that `graph` has already count for nothing. One pass over the nodes: with all tensors in order of execution,
    and all of them between input and logits, a tensor is passed by every path unless a node after it reads one before.
    """
    steps, shapes = _steps(graph), _shapes(graph)
    read = _last_reads(steps)
    alive = list(accumulate(alive_bytes(graph.input, steps, shapes), max))
    macs = list(accumulate(step.macs for step in steps))
    reads = accumulate((read[name] for name in [graph.input, *(step.output for step in steps[:-1])]), max)
    points = []
    for i, (step, latest) in enumerate(zip(steps[:-1], reads, strict=False)):
        if latest == i:
            shape = shapes[step.output]
            share = macs[i] / macs[-1] if macs[-1] else 0.0
            heads = len(shape) == _MAP
            points.append(AttachPoint(step.name, step.output, shape, macs[i], share, prod(shape), alive[i + 1], heads))
    return tuple(points)


def taps_of(graph: Graph | QuantGraph) -> tuple[Tap, ...]:
    """The attach points of `graph` that heads can read, each a tap called as the node that makes its tensor.

    Of tensors that differ only in what is done to every element (convolution, BatchNorm, ReLU) the last stands for
    all: int8 fuses them. Maps of a single pixel are left out: nothing but a classifier follows a global pool; so is
    what no layer with MACs comes before: the input in another shape.
    """
    points = [point for point in attach_points(graph) if point.heads and point.macs and prod(point.shape[1:3]) > 1]
    known = {point.tensor for point in points}
    shapes = _shapes(graph)
    carried_on = {step.inputs[0] for step in _steps(graph) if step.output in known and _is_elementwise(step, shapes)}
    return tuple(Tap(point.name, point.tensor) for point in points if point.tensor not in carried_on)


def path_macs(graph: Graph | QuantGraph) -> int:
    """MACs of all between the input and the final logits."""
    return sum(step.macs for step in _steps(graph))


def most_alive_bytes(graph: Graph | QuantGraph) -> int:
    """The most int8 activations that are alive at once between the input and the final logits, as `alive_bytes`."""
    return max(alive_bytes(graph.input, _steps(graph), _shapes(graph)))


def alive_bytes(source: str, nodes: Sequence[NodeLike], shapes: Mapping[str, Shape]) -> tuple[int, ...]:
    """Int8 bytes of activations alive before each of `nodes`, and after the last one.

    Alive is what is made and will be read. No arena for this order is smaller, whatever kernels write over their
    inputs; scratch is not in it.

    Args:
        source: the input.
        nodes: in order of execution; the last makes the result.
        shapes: of all tensors.
    """
    read = _last_reads(nodes)
    change = [0] * (len(nodes) + 2)
    for first, tensor in enumerate([source, *(node.output for node in nodes)]):
        change[first] += prod(shapes[tensor])
        change[read.get(tensor, first) + 1] -= prod(shapes[tensor])
    return tuple(accumulate(change[:-1]))


def _is_elementwise(step: _Step, shapes: Mapping[str, Shape]) -> bool:
    """True where every element of the one input becomes one of the output, whatever lies around it."""
    alike = len(step.inputs) == 1 and shapes[step.inputs[0]] == shapes[step.output]
    return alike and not step.macs and not step.pools


def _last_reads(nodes: Sequence[NodeLike]) -> dict[str, int]:
    """Per tensor, the number of the last of `nodes` that reads it."""
    return {tensor: i for i, node in enumerate(nodes) for tensor in node.inputs}


def _steps(graph: Graph | QuantGraph) -> tuple[_Step, ...]:
    final = [graph.exits[-1].logits]
    if isinstance(graph, Graph):
        return tuple(
            _Step(n.name, n.inputs, n.output, n.op.macs(graph.input_shapes(n), n.params), isinstance(n.op, _POOLS))
            for n in needed(graph.nodes, final)
        )
    return tuple(
        _Step(n.name, n.inputs, n.output, graph.macs([n]), isinstance(n.op, _POOLS)) for n in needed(graph.nodes, final)
    )


def _shapes(graph: Graph | QuantGraph) -> Mapping[str, Shape]:
    return graph.shapes if isinstance(graph, Graph) else {name: t.shape for name, t in graph.tensors.items()}
