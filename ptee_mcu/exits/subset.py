"""A network with some of its early exits only."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from ptee_mcu.errors import ConfigError
from ptee_mcu.graph import Graph, make_graph, needed
from ptee_mcu.quant_graph import NEVER, OperatingPoint, QuantGraph


def without_exits(graph: Graph, keep: Sequence[str]) -> Graph:
    """`graph` with the early exits called `keep` and the final one; what only the others needed is gone.

    What is left keeps its names, order and parameters, so kept exits answer bit for bit as before. Where a kept head
    reads an earlier one, the nodes it reads stay.

    Raises:
        ConfigError: where `keep` names what is no early exit.
    """
    names = _checked(graph.name, [e.name for e in graph.exits[:-1]], keep)
    exits = [e for e in graph.exits[:-1] if e.name in names]
    exits.append(graph.exits[-1])
    nodes = needed(graph.nodes, [tensor for e in exits for tensor in e.tensors])
    made = {node.output for node in nodes}
    return make_graph(
        graph.name,
        graph.input,
        graph.input_shape,
        nodes,
        exits,
        taps=[tap for tap in graph.taps if tap.tensor in made],
        softmax=graph.softmax,
    )


def without_quant_exits(graph: QuantGraph, keep: Sequence[str]) -> QuantGraph:
    """As `without_exits` on the int8 network.

    Operating points keep the thresholds of `keep`, and nothing that was measured or certified with other exits.

    Raises:
        ConfigError: where `keep` names what is no early exit.
    """
    early = graph.exits[:-1]
    names = _checked(graph.name, [e.name for e in early], keep)
    exits = (*(e for e in early if e.name in names), graph.exits[-1])
    nodes = needed(graph.nodes, [tensor for e in exits for tensor in e.tensors])
    made = {graph.input, *(node.output for node in nodes)}
    points = tuple(
        OperatingPoint(
            point.name,
            tuple(t for t, e in zip(point.thresholds, early, strict=True) if e.name in names),
            asked=point.asked,
            quantity=point.quantity,
        )
        for point in graph.points
    )
    tensors = MappingProxyType({name: tensor for name, tensor in graph.tensors.items() if name in made})
    return replace(graph, tensors=tensors, nodes=nodes, exits=exits, points=points)


def idle_exits(graph: QuantGraph) -> tuple[str, ...]:
    """Names of the early exits that fire at no operating point; none where no exit fires at all."""
    early = graph.exits[:-1]
    fires = [any(point.thresholds[i] != NEVER for point in graph.points) for i in range(len(early))]
    return tuple(leave.name for leave, used in zip(early, fires, strict=True) if not used) if any(fires) else ()


def without_idle_exits(graph: QuantGraph) -> QuantGraph:
    """`graph` without its `idle_exits`: at every operating point it decides and answers as before.

    So what was measured and certified stays true: nothing of the points changes but their number of thresholds.
    """
    idle = set(idle_exits(graph))
    if not idle:
        return graph
    kept = [i for i, leave in enumerate(graph.exits) if leave.name not in idle]
    smaller = without_quant_exits(graph, [graph.exits[i].name for i in kept[:-1]])
    points = tuple(
        replace(
            point,
            thresholds=tuple(point.thresholds[i] for i in kept[:-1]),
            reach=None if point.reach is None else tuple(point.reach[i] for i in kept),
        )
        for point in graph.points
    )
    return replace(smaller, points=points)


def _checked(graph: str, early: Sequence[str], keep: Sequence[str]) -> frozenset[str]:
    if unknown := sorted(set(keep) - set(early)):
        known = f"early exits: {', '.join(early)}" if early else "it has no early exits"
        raise ConfigError(f"{graph}: has no early exit called {unknown[0]!r}", hint=known)
    return frozenset(keep)
