"""The plan of an int8 network on a target: order of execution, lifetimes across exit segments, arena."""

from ptee_mcu.boards import smallest_that_fits
from ptee_mcu.errors import DoesNotFitError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Counts
from ptee_mcu.plan.arena import allocate, widest_step
from ptee_mcu.plan.lifetimes import tensor_lifetimes, tensor_overlaps
from ptee_mcu.plan.order import execution_order
from ptee_mcu.plan.placement import all_in_place
from ptee_mcu.plan.plan import Plan, Step
from ptee_mcu.plan.settings import CODE_BYTES, STACK_BYTES
from ptee_mcu.quant_graph import QNode, QuantGraph
from ptee_mcu.target import Region, Target


def make_plan(graph: QuantGraph, target: Target) -> Plan:
    """Steps segment by segment and a slot in one arena for every tensor and every scratch buffer.

    Scratch covers the target's kernels and the portable ones, so that a host runs the same plan.

    Raises:
        DoesNotFitError: where arena or constants exceed every memory of the target that may hold them.
        VerifyError: where an exit adds no node.
    """
    steps = _steps(graph, target)
    lifetimes = tensor_lifetimes(graph, steps)
    overlaps = tensor_overlaps(graph, steps, lifetimes, target.isa)
    layout = allocate(lifetimes, overlaps)
    plan = Plan(
        graph=graph,
        target=target,
        steps=steps,
        arena=layout.slots,
        arena_bytes=layout.arena_bytes,
        lower_bound_bytes=layout.lower_bound_bytes,
        arena_region=_arena_region(layout.arena_bytes, target).name,
        placements=all_in_place(graph, target),
    )
    _require_fit(plan, steps[widest_step(lifetimes, overlaps)].node)
    return plan


def _steps(graph: QuantGraph, target: Target) -> tuple[Step, ...]:
    counts = {node.name: _counts(graph, node, target) for node in graph.nodes}
    scratch = {name: found.scratch_bytes for name, found in counts.items()}
    order = execution_order(graph, target.isa, scratch)
    return tuple(Step(index, segment, node, counts[node.name]) for index, (segment, node) in enumerate(order))


def _counts(graph: QuantGraph, node: QNode, target: Target) -> Counts:
    inputs = [graph.tensors[name] for name in node.inputs]
    per_isa = [node.op.counts(inputs, graph.tensors[node.output], isa) for isa in (target.isa, Isa.SCALAR)]
    return Counts(per_isa[0].macs, max(counts.scratch_bytes for counts in per_isa))


def _arena_region(arena_bytes: int, target: Target) -> Region:
    """The main RAM, or where that is too small for the arena, the largest memory that is written."""
    largest = max((r for r in target.regions if "data" in r.holds), key=lambda r: r.nbytes)
    return largest if arena_bytes > target.main_ram.nbytes else target.main_ram


def _require_fit(plan: Plan, widest: QNode) -> None:
    """Refuses what no placement can mend."""
    target, arena = plan.target, plan.target.region(plan.arena_region)
    flash = sum(r.nbytes for r in target.regions if "constants" in r.holds and "data" not in r.holds)
    if plan.arena_bytes <= arena.nbytes and plan.weight_bytes <= flash:
        return
    larger = smallest_that_fits(plan.weight_bytes + CODE_BYTES, plan.arena_bytes + STACK_BYTES, isa=target.isa)
    board = "a larger board" + (f": the smallest listed one that fits is {larger.name}" if larger else "")
    if plan.arena_bytes > arena.nbytes:
        raise DoesNotFitError(
            f"{widest.name}: what is alive while it runs needs an arena of {plan.arena_bytes} B; "
            f"{target.name} has {arena.nbytes} B of SRAM, {plan.arena_bytes - arena.nbytes} B too few",
            hint=f"lower the input resolution or the channels of this layer, or choose {board}",
        )
    raise DoesNotFitError(
        f"{plan.graph.name}: its constants need {plan.weight_bytes} B; {target.name} has {flash} B of flash, "
        f"{plan.weight_bytes - flash} B too few",
        hint=f"choose a smaller network, or {board}",
    )
