"""What a plan takes of the board: bytes of flash and RAM, milliseconds, energy."""

from collections.abc import Collection
from dataclasses import dataclass

from ptee_mcu.plan.cost import PlanCost
from ptee_mcu.plan.expected_cost import distribution, exit_cycles, reach_of, running
from ptee_mcu.plan.placement import How, aligned, constants
from ptee_mcu.plan.plan import Plan, Step
from ptee_mcu.quant_graph import OperatingPoint
from ptee_mcu.target import Target


@dataclass(frozen=True, slots=True)
class Fixed:
    """What neither placement nor operating point changes.

    `code_bytes`: flash of the linked firmware beside the constants, None where nothing was linked. `static_bytes`: RAM
    of variables beside arena, stage and constants loaded at boot. `stack_bytes`: what the linker keeps for the stack.
    """

    code_bytes: int | None = None
    static_bytes: int = 0
    stack_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Used:
    """Bytes, milliseconds and microjoules of one inference under one operating point.

    Every constant lies once in the image, wherever it is read; those loaded at boot take RAM as well. `energy_uj` is
    that of the mean inference at the power of the running core; None where that is unknown.
    """

    fixed: Fixed
    constant_bytes: int
    arena_bytes: int
    stage_bytes: int
    boot_bytes: int
    mean_ms: float
    percentile_95_ms: float
    worst_ms: float
    energy_uj: float | None

    @property
    def flash_bytes(self) -> int:
        """Bytes of the image: constants, and code where it is known."""
        return self.constant_bytes + (self.fixed.code_bytes or 0)

    @property
    def ram_bytes(self) -> int:
        """Bytes of all writable memories."""
        own = self.arena_bytes + self.stage_bytes + self.boot_bytes
        return own + self.fixed.static_bytes + self.fixed.stack_bytes


def used_by(
    plan: Plan,
    cost: PlanCost,
    fixed: Fixed,
    point: OperatingPoint | None = None,
    kept: Collection[str] | None = None,
) -> Used:
    """What `plan` takes under `point`.

    Args:
        plan: with its addresses, which stay.
        cost: of `plan`.
        fixed: what depends on neither placement nor operating point.
        point: the default operating point where None.
        kept: nodes that remain in the image, all where None; others are not executed, wherever `point` would lead.
    """
    point = point or plan.graph.point
    nodes = {step.node.name for step in plan.steps}
    kept = nodes if kept is None else nodes & set(kept)
    cycles = exit_cycles(plan, cost, running(plan.graph, point.thresholds) & kept)
    found = distribution(cycles, reach_of(point), point.thresholds)
    in_image = [c for c in constants(plan.graph) if c.name.rpartition(":")[0] in kept]
    arena = (plan.arena[name].end for step in plan.steps if step.node.name in kept for name in step.tensors)
    return Used(
        fixed=fixed,
        constant_bytes=sum(aligned(c.nbytes) for c in in_image),
        arena_bytes=plan.arena_bytes if kept == nodes else aligned(max(arena)),
        stage_bytes=plan.stage.nbytes if plan.stage else 0,
        boot_bytes=sum(aligned(c.nbytes) for c in in_image if plan.placements[c.name].how is How.BOOT),
        mean_ms=milliseconds(found.mean, plan.target),
        percentile_95_ms=milliseconds(found.percentile_95, plan.target),
        worst_ms=milliseconds(found.worst, plan.target),
        energy_uj=microjoules(found.mean, plan.target),
    )


def milliseconds(cycles: float, target: Target) -> float:
    """`cycles` at the board's clock."""
    return 1e3 * cycles / target.clock_hz


def microjoules(cycles: float, target: Target) -> float | None:
    """Energy of `cycles` at the power of the running core; None where that is unknown."""
    power = None if target.energy is None else target.energy.milliwatts
    return None if power is None else milliseconds(cycles, target) * power


def live_bytes(plan: Plan, index: int) -> int:
    """Arena bytes that some slot holds at a step; bytes that slots share count once."""
    total, reached = 0, 0
    for start, end in sorted((s.offset, aligned(s.end)) for s in plan.arena.values() if s.first <= index <= s.last):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def widest_step(plan: Plan) -> Step:
    """The first step at which most arena bytes are held."""
    return max(plan.steps, key=lambda step: (live_bytes(plan, step.index), -step.index))
