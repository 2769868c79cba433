"""What a plan takes of the board: bytes of flash and RAM, milliseconds, energy."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ptee_mcu.plan.cost import PlanCost
from ptee_mcu.plan.expected_cost import distribution, exit_cycles, reach_of, running
from ptee_mcu.plan.placement import Constant, How, aligned, constants
from ptee_mcu.plan.plan import Plan, Step
from ptee_mcu.quant_graph import OperatingPoint


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
        constant_bytes=_image_bytes(in_image),
        arena_bytes=plan.arena_bytes if kept == nodes else aligned(max(arena)),
        stage_bytes=plan.stage_bytes,
        boot_bytes=_boot_bytes(plan, in_image),
        mean_ms=plan.target.milliseconds(found.mean),
        percentile_95_ms=plan.target.milliseconds(found.percentile_95),
        worst_ms=plan.target.milliseconds(found.worst),
        energy_uj=plan.target.microjoules(found.mean),
    )


def fixed_of(plan: Plan, flash_bytes: int, ram_bytes: int) -> Fixed:
    """What linked firmware that takes `flash_bytes` and `ram_bytes` holds beside arena, stage and constants."""
    found = constants(plan.graph)
    own = plan.arena_bytes + plan.stage_bytes + _boot_bytes(plan, found)
    # The linker keeps equal arrays once, so that the rest may seem to be less than nothing.
    return Fixed(max(flash_bytes - _image_bytes(found), 0), max(ram_bytes - own, 0), plan.stack_bytes)


def _image_bytes(found: Iterable[Constant]) -> int:
    return sum(aligned(constant.nbytes) for constant in found)


def _boot_bytes(plan: Plan, found: Iterable[Constant]) -> int:
    """Of those that are loaded at boot."""
    return _image_bytes(constant for constant in found if plan.placements[constant.name].how is How.BOOT)


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
