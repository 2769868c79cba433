"""The plan of an int8 network on a target: order of execution, lifetimes across exit segments, arena."""

from ptee_mcu.errors import DoesNotFitError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Counts
from ptee_mcu.plan.arena import allocate, widest_step
from ptee_mcu.plan.lifetimes import tensor_lifetimes, tensor_overlaps
from ptee_mcu.plan.order import execution_order
from ptee_mcu.plan.placement import all_in_place
from ptee_mcu.plan.plan import Plan, Step
from ptee_mcu.quant_graph import QNode, QuantGraph
from ptee_mcu.target import Target


def make_plan(graph: QuantGraph, target: Target) -> Plan:
    """Steps segment by segment and a slot in one arena for every tensor and every scratch buffer.

    Scratch covers the target's kernels and the portable ones, so that a host runs the same plan.

    Raises:
        DoesNotFitError: where arena or constants exceed the target's memory.
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
        arena_region=target.main_ram.name,
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


def _require_fit(plan: Plan, widest: QNode) -> None:
    sram, flash = plan.target.main_ram.nbytes, plan.target.code_region.nbytes
    if plan.arena_bytes > sram:
        raise DoesNotFitError(
            f"{widest.name}: what is alive while it runs needs an arena of {plan.arena_bytes} B; "
            f"{plan.target.name} has {sram} B of SRAM",
            hint="lower the input resolution or the channels of this layer, or choose a larger board",
        )
    if plan.weight_bytes > flash:
        raise DoesNotFitError(
            f"{plan.graph.name}: its constants need {plan.weight_bytes} B; {plan.target.name} has {flash} B of flash",
            hint="choose a smaller network or a larger board",
        )
