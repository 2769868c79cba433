"""Cycles of an inference under an operating point: at every exit, on average, at the 95th percentile, at worst."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate

from ptee_mcu.plan.cost import PlanCost
from ptee_mcu.plan.plan import Plan
from ptee_mcu.quant_graph import ALWAYS, OperatingPoint, QuantGraph

_TAIL = 0.05  # of the inputs may take longer than the 95th percentile


@dataclass(frozen=True, slots=True)
class PointCycles:
    """Core cycles of an inference; `per_exit`: of leaving at each exit, heads that cannot fire left out.

    `percentile_95` is the smallest figure that at least 95 % of the inputs keep; `worst` is of the last exit that an
    input can reach, whatever the measured reach of its segment.
    """

    mean: float
    percentile_95: float
    worst: float
    per_exit: tuple[float, ...]


def point_cycles(plan: Plan, cost: PlanCost, point: OperatingPoint) -> PointCycles:
    """What an inference takes under `point`; as if all segments were entered where its reach is unknown."""
    nodes = running(plan.graph, point.thresholds)
    return distribution(exit_cycles(plan, cost, nodes), reach_of(point), point.thresholds)


def running(graph: QuantGraph, thresholds: Sequence[int]) -> frozenset[str]:
    """Names of the nodes that NAME_run executes where no exit is taken."""
    return frozenset(node.name for node in graph.nodes) - graph.skipped(thresholds)


def exit_cycles(plan: Plan, cost: PlanCost, nodes: Collection[str]) -> tuple[float, ...]:
    """Cycles up to and including each exit where of all steps only `nodes` are executed.

    What is staged for a head is copied where any node that only exits need runs in its segment.
    """
    heads = plan.graph.head_nodes()
    parts = list(cost.entry)
    charged: set[int] = set()
    for step, each in zip(plan.steps, cost.steps, strict=True):
        if step.node.name in nodes:
            parts[step.segment] += each.cycles.total
            if step.node.name in heads:
                charged.add(step.segment)
    return tuple(accumulate(part + cost.heads[i] * (i in charged) for i, part in enumerate(parts)))


def reach_of(point: OperatingPoint) -> tuple[float, ...]:
    """Fraction of inputs that enter each segment: as measured, or all that can where nothing was measured."""
    if point.reach is not None:
        return point.reach
    last = last_reached(point.thresholds)
    return tuple(float(i <= last) for i in range(len(point.thresholds) + 1))


def last_reached(thresholds: Sequence[int]) -> int:
    """Index of the last exit that an input can reach: nothing gets past an exit that always fires."""
    return tuple(thresholds).index(ALWAYS) if ALWAYS in thresholds else len(thresholds)


def distribution(per_exit: Sequence[float], reach: Sequence[float], thresholds: Sequence[int]) -> PointCycles:
    """Mean, 95th percentile and worst case of leaving at exits with cycles `per_exit`.

    Args:
        per_exit: cycles up to and including each exit; must not fall.
        reach: fraction of inputs that enter each segment, from 1 down.
        thresholds: of all exits but the last.
    """
    beyond = (*reach[1:], 0.0)
    mean = sum((here - later) * cycles for here, later, cycles in zip(reach, beyond, per_exit, strict=True))
    tail = next(cycles for later, cycles in zip(beyond, per_exit, strict=True) if later <= _TAIL)
    return PointCycles(mean, tail, per_exit[last_reached(thresholds)], tuple(per_exit))
