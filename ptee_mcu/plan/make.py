"""The plan of an int8 network on a target: order of execution, lifetimes across exit segments, arena."""

from types import MappingProxyType

from ptee_mcu.errors import DoesNotFitError, VerifyError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Counts
from ptee_mcu.plan.arena import Lifetime, allocate, arena_bytes, lower_bound, widest_step
from ptee_mcu.plan.placement import all_in_place
from ptee_mcu.plan.plan import Plan, Step
from ptee_mcu.quant_graph import QNode, QuantGraph
from ptee_mcu.target import Target


def make_plan(graph: QuantGraph, target: Target) -> Plan:
    """Steps in segment order and a slot in one arena for every tensor and every scratch buffer.

    Scratch covers the target's kernels and the portable ones, so that a host runs the same plan.

    Raises:
        DoesNotFitError: where arena or constants exceed the target's memory.
        VerifyError: where an exit adds no node.
    """
    steps = _steps(graph, target)
    lifetimes = tensor_lifetimes(graph, steps)
    slots = allocate(lifetimes)
    plan = Plan(
        graph=graph,
        target=target,
        steps=steps,
        arena=MappingProxyType(slots),
        arena_bytes=arena_bytes(slots),
        lower_bound_bytes=lower_bound(lifetimes),
        arena_region=target.main_ram.name,
        placements=all_in_place(graph, target),
    )
    _require_fit(plan, steps[widest_step(lifetimes)].node)
    return plan


def tensor_lifetimes(graph: QuantGraph, steps: tuple[Step, ...]) -> dict[str, Lifetime]:
    """From the step that makes a tensor (the input: step 0) to its last use; what an exit reads, to its segment's end.

    A result is read after its segment has run and before the next one starts, so the end of the segment is enough.
    """
    first = {graph.input: 0} | {step.node.output: step.index for step in steps}
    last = dict(first)
    ends = {step.segment: step.index for step in steps}
    for step in steps:
        for tensor in step.node.inputs:
            last[tensor] = max(last[tensor], step.index)
    for i, leave in enumerate(graph.exits):
        if i not in ends:
            raise VerifyError(f"{graph.name}: exit {leave.name} adds no node to the exits before it")
        for tensor in leave.tensors:
            last[tensor] = max(last[tensor], ends[i])
    tensors = {name: Lifetime(graph.tensors[name].nbytes, first[name], last[name]) for name in first}
    scratch = {
        step.scratch: Lifetime(step.counts.scratch_bytes, step.index, step.index)
        for step in steps
        if step.counts.scratch_bytes
    }
    return tensors | scratch


def _steps(graph: QuantGraph, target: Target) -> tuple[Step, ...]:
    order = [(i, node) for i, part in enumerate(graph.segments()) for node in part]
    return tuple(
        Step(index, segment, node, _counts(graph, node, target)) for index, (segment, node) in enumerate(order)
    )


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
