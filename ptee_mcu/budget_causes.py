"""What takes most of the flash, of the RAM, of the cycles."""

from collections.abc import Iterable, Sequence

from ptee_mcu.plan.cost import PlanCost
from ptee_mcu.plan.expected_cost import exit_cycles, last_reached, reach_of, running
from ptee_mcu.plan.placement import How, constants
from ptee_mcu.plan.plan import Plan
from ptee_mcu.plan.used import Used, live_bytes, widest_step

_NAMED = 3  # of each kind


def flash_causes(plan: Plan, used: Used) -> tuple[str, ...]:
    """Code beside constants, and the largest of those."""
    code = used.fixed.code_bytes
    beside = "code unknown, nothing was linked" if code is None else f"code {code:,} B"
    largest = _largest((c.name, c.nbytes) for c in constants(plan.graph))
    return (f"constants {used.constant_bytes:,} B, {beside}", f"largest constants: {largest}")


def ram_causes(plan: Plan, used: Used) -> tuple[str, ...]:
    """The parts of the RAM, what lies in the arena at its widest step, the largest constants loaded at boot."""
    parts = (
        ("arena", used.arena_bytes), ("stage", used.stage_bytes), ("constants loaded at boot", used.boot_bytes),
        ("variables", used.fixed.static_bytes), ("stack", used.fixed.stack_bytes),
    )  # fmt: skip
    step = widest_step(plan)
    live = _largest((n, slot.nbytes) for n, slot in plan.arena.items() if slot.first <= step.index <= slot.last)
    held = f"{live_bytes(plan, step.index):,} B: {live}"
    lines = [
        ", ".join(f"{name} {nbytes:,} B" for name, nbytes in parts if nbytes),
        f"arena is widest at step {step.index} ({step.node.name}), {held}",
    ]
    if used.boot_bytes:
        loaded = ((c.name, c.nbytes) for c in constants(plan.graph) if plan.placements[c.name].how is How.BOOT)
        lines.append(f"largest constants loaded at boot: {_largest(loaded)}")
    return tuple(lines)


def mean_causes(plan: Plan, cost: PlanCost) -> tuple[str, ...]:
    """The steps with most cycles on average under the default operating point."""
    return (f"most cycles on average: {_slowest(plan, cost, reach_of(plan.graph.point))}",)


def worst_causes(plan: Plan, cost: PlanCost) -> tuple[str, ...]:
    """The steps with most cycles where no exit is taken under the default operating point."""
    thresholds = plan.graph.point.thresholds
    last = last_reached(thresholds)
    every = _slowest(plan, cost, [float(i <= last) for i in range(len(plan.graph.exits))])
    runs = running(plan.graph, thresholds)
    bare = runs - plan.graph.head_nodes()
    heads = exit_cycles(plan, cost, runs)[last] - exit_cycles(plan, cost, bare)[last]
    lines = [f"most cycles: {every}"]
    if heads:
        lines.append(f"heads on the way: {heads:,.0f} cycles")
    return tuple(lines)


def _slowest(plan: Plan, cost: PlanCost, reach: Sequence[float]) -> str:
    runs = running(plan.graph, plan.graph.point.thresholds)
    found = [
        (step.node.name, reach[step.segment] * each.cycles.total)
        for step, each in zip(plan.steps, cost.steps, strict=True)
        if step.node.name in runs
    ]
    names = [leave.name for leave in plan.graph.exits]
    found += [(f"staging for exit {name}", reach[i] * cost.entry[i]) for i, name in enumerate(names)]
    total = sum(cycles for _, cycles in found)
    slowest = sorted(found, key=lambda each: -each[1])[:_NAMED]
    return ", ".join(f"{name} {cycles:,.0f} ({cycles / total:.1%})" for name, cycles in slowest if cycles)


def _largest(sizes: Iterable[tuple[str, int]]) -> str:
    ordered = sorted(sizes, key=lambda each: (-each[1], each[0]))
    rest = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return ", ".join(f"{name} {nbytes:,} B" for name, nbytes in ordered[:_NAMED]) + rest
