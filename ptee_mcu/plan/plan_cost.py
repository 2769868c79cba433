"""What a plan costs in closed form, and what the nodes of a network cost before there is a plan."""

from collections.abc import Mapping
from types import MappingProxyType

from ptee_mcu.cycles.kernels import has_rates
from ptee_mcu.cycles.steps import copy_cycles, step_cost
from ptee_mcu.plan.cost import PlanCost
from ptee_mcu.plan.expected_cost import exit_cycles
from ptee_mcu.plan.placement import How, all_in_place, constants
from ptee_mcu.plan.plan import Plan, Step
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.target import Target


def plan_cost(plan: Plan) -> PlanCost:
    """What `plan` costs: its steps, the copies into its stage, the load at boot.

    Raises:
        ConfigError: where there are no rates for the target's core.
    """
    graph, target, segments = plan.graph, plan.target, len(plan.graph.exits)
    steps = tuple(step_cost(step, graph, target, plan.placements, plan.arena_region) for step in plan.steps)
    entry, heads, boot = [0.0] * segments, [0.0] * segments, 0.0
    for constant in constants(graph):
        place = plan.placements[constant.name]
        if place.how is How.IN_PLACE:
            continue
        cycles = copy_cycles(constant.nbytes, target.region(place.load_region), target)
        if place.how is How.BOOT:
            boot += cycles
        else:
            (heads if constant.head else entry)[constant.segment] += cycles
    return PlanCost(steps, tuple(entry), tuple(heads), boot)


def known_cost(plan: Plan) -> PlanCost | None:
    """What `plan` costs; None where there are no rates for the target's core."""
    return plan_cost(plan) if has_rates(plan.target.cpu) else None


def full_cycles(plan: Plan, cost: PlanCost | None = None) -> tuple[float, ...] | None:
    """Cycles of a pass through every head up to each exit: the worst case of any operating point.

    None where there are no rates for the target's core. `cost`: of `plan`, where it is known already.
    """
    cost = cost or known_cost(plan)
    return None if cost is None else exit_cycles(plan, cost, [node.name for node in plan.graph.nodes])


def flash_cycles(graph: QuantGraph, target: Target) -> Mapping[str, float]:
    """Cycles of every node with all constants in place where code lies: what a search for exits weighs.

    Raises:
        ConfigError: where there are no rates for the target's core.
    """
    placements = all_in_place(graph, target)
    cycles = {}
    for index, node in enumerate(graph.nodes):
        inputs = [graph.tensors[name] for name in node.inputs]
        step = Step(index, 0, node, node.op.counts(inputs, graph.tensors[node.output], target.isa))
        cycles[node.name] = step_cost(step, graph, target, placements, target.main_ram.name).cycles.total
    return MappingProxyType(cycles)
