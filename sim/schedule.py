"""The order in which a batch goes through a network, and when each tensor can be forgotten."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ptee_mcu.quant_graph import QNode, QuantGraph
from ptee_mcu.sim.kernels import KERNELS
from ptee_mcu.tensor import Int8


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """An exit segment: each node with the tensors nothing reads after it; `carried` is what later segments read."""

    steps: tuple[tuple[QNode, tuple[str, ...]], ...]
    carried: frozenset[str]


def stages(graph: QuantGraph) -> tuple[Stage, ...]:
    """One stage per exit."""
    live: set[str] = set()
    made: list[Stage] = []
    for part, leave in zip(reversed(graph.segments()), reversed(graph.exits), strict=True):
        carried = frozenset(live)
        live.update(leave.tensors)
        steps: list[tuple[QNode, tuple[str, ...]]] = []
        for node in reversed(part):
            dead = tuple(tensor for tensor in dict.fromkeys(node.inputs) if tensor not in live)
            live.update(node.inputs)
            steps.append((node, dead))
        made.append(Stage(tuple(reversed(steps)), carried))
    return tuple(reversed(made))


def outputs(graph: QuantGraph, stage: Stage, values: dict[str, Int8]) -> Iterator[tuple[str, Int8]]:
    """(tensor, batch) of every node of `stage`, in order; `values` gains what was made and loses what is dead."""
    for node, dead in stage.steps:
        value = KERNELS[type(node.op)](node.op, [values[t] for t in node.inputs], graph.tensors[node.output])
        values[node.output] = value
        for tensor in dead:
            del values[tensor]
        yield node.output, value


def carried(stage: Stage, values: Mapping[str, Int8]) -> dict[str, Int8]:
    """What later stages read of `values`."""
    return {tensor: values[tensor] for tensor in values if tensor in stage.carried}
