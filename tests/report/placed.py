"""Plans whose constants lie in all three ways, and costs made by hand."""

from collections.abc import Mapping
from dataclasses import replace

from support.emitted import planned

from ptee_mcu.plan.cost import Cycles, PlanCost, StepCost
from ptee_mcu.plan.placement import How, Placement, Stage, aligned, constants
from ptee_mcu.plan.plan import Plan, verify_plan
from ptee_mcu.quant_graph import QuantGraph


def mixed(graph: QuantGraph) -> Plan:
    """The trunk of the first segment loaded at boot, its head and the next segment staged, the rest in place."""
    plan = planned(graph)
    flash, ram = plan.target.code_region.name, plan.target.main_ram.name
    placements, top = dict(plan.placements), 0
    for constant in constants(graph):
        if constant.segment == 0 and not constant.head:
            placements[constant.name] = Placement(How.BOOT, ram, flash)
        elif constant.segment <= 1:
            placements[constant.name] = Placement(How.STAGED, ram, flash, top)
            top += aligned(constant.nbytes)
    made = replace(plan, placements=placements, stage=Stage(ram, top))
    verify_plan(made)
    return made


def cost_of(
    plan: Plan,
    cycles: Mapping[str, float],
    *,
    entry: tuple[float, ...] = (),
    heads: tuple[float, ...] = (),
    other: float = 0.0,
) -> PlanCost:
    """Steps named in `cycles` cost that, the others `other`."""
    none = (0.0,) * len(plan.graph.exits)
    steps = tuple(StepCost(Cycles(cycles.get(step.node.name, other)), {}) for step in plan.steps)
    return PlanCost(steps, entry or none, heads or none, 0.0)
