"""A plan with its constants placed: prices from the closed form, the partition, what it costs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ptee_mcu.boards import smallest_that_fits
from ptee_mcu.cycles.steps import activation_cycles, constant_cycles, copy_cycles, step_work
from ptee_mcu.isa import Isa
from ptee_mcu.plan.cost import PlanCost
from ptee_mcu.plan.expected_cost import reach_of
from ptee_mcu.plan.partition import Needs, Partition, Prices, partition
from ptee_mcu.plan.placement import constants
from ptee_mcu.plan.plan import Plan
from ptee_mcu.plan.plan_cost import plan_cost
from ptee_mcu.plan.settings import Objective, PlaceSettings
from ptee_mcu.quant_graph import NEVER, QuantGraph

_GAPS = 64  # bytes of a written memory that alignment of the linker's sections may take
_CONTEXT = 24  # of NAME_t, beside two bytes an exit


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A plan, where its constants lie and by what problem (`explain` says why), and what it costs."""

    plan: Plan
    partition: Partition
    cost: PlanCost


def placed(plan: Plan, settings: PlaceSettings | None = None) -> Placed:
    """`plan` with the constants where the optimizer, or the mode, puts them; best for the default operating point.

    Raises:
        DoesNotFitError: where no layout fits the board: in which memory, by how many bytes.
        ConfigError: where there are no rates for the target's core.
    """
    settings = settings or PlaceSettings()
    graph, target = plan.graph, plan.target
    found = constants(graph)
    reach, head_reach = _reach(graph)
    worst = settings.objective is Objective.WORST
    weights = ((1.0,) * len(reach), (1.0,) * len(reach)) if worst else (reach, head_reach)
    prices = _prices(plan, *weights)
    reserved = {region.name: _GAPS for region in target.regions if "data" in region.holds}
    reserved[target.main_ram.name] += settings.ram_reserve_bytes + _CONTEXT + 2 * len(graph.exits)
    reserved[target.code_region.name] = settings.flash_reserve_bytes
    needs = Needs(plan.arena_bytes, settings.stack_bytes, reserved)
    made = partition(
        found, target, needs, prices, reach=reach, head_reach=head_reach, mode=settings.mode,
        objective=settings.objective, larger=lambda flash, ram: _larger(flash, ram, target.isa),
    )  # fmt: skip
    chosen = replace(
        plan,
        placements=made.placements,
        arena_region=made.arena_region,
        stage=made.stage,
        stack_bytes=settings.stack_bytes,
    )
    return Placed(chosen, made, plan_cost(chosen))


def _reach(graph: QuantGraph) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Share of inputs that enter each segment, and that evaluate its head."""
    reach = reach_of(graph.point)
    fires = (*(threshold < NEVER for threshold in graph.point.thresholds), True)
    return reach, tuple(share if fired else 0.0 for share, fired in zip(reach, fires, strict=True))


def _prices(plan: Plan, reach: Sequence[float], head_reach: Sequence[float]) -> Prices:
    graph, target = plan.graph, plan.target
    read, works = {}, [step_work(step, graph, target) for step in plan.steps]
    for step, work in zip(plan.steps, works, strict=True):
        for role in step.node.op.constants:
            read[f"{step.node.name}:{role}"] = {
                region.name: constant_cycles(step, work, role, region, target, target.main_ram)
                for region in target.regions
                if "constants" in region.holds or "data" in region.holds
            }
    images = [r for r in target.regions if "constants" in r.holds and "data" not in r.holds]
    copy = {c.name: {r.name: copy_cycles(c.nbytes, r, target) for r in images} for c in constants(graph)}
    heads = graph.head_nodes()
    weight = [(head_reach if step.node.name in heads else reach)[step.segment] for step in plan.steps]
    arena = {
        region.name: sum(
            share * activation_cycles(step, work, graph, target, region)
            for step, work, share in zip(plan.steps, works, weight, strict=True)
        )
        for region in target.regions
        if "data" in region.holds
    }
    return Prices(read, copy, arena)


def _larger(flash_bytes: int, ram_bytes: int, isa: Isa) -> str | None:
    board = smallest_that_fits(flash_bytes, ram_bytes, isa=isa)
    return board.name if board else None
