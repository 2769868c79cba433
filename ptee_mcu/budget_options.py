"""What else a network could be: other operating points, placements and exits, each with what it takes."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import accumulate

from ptee_mcu.graph import needed
from ptee_mcu.plan.cost import PlanCost
from ptee_mcu.plan.expected_cost import last_reached
from ptee_mcu.plan.placement import Constant, How, Placement, aligned, constants
from ptee_mcu.plan.plan import Plan
from ptee_mcu.plan.used import Fixed, Used, used_by
from ptee_mcu.quant_graph import ALWAYS, NEVER, OperatingPoint

Price = Callable[[Plan], PlanCost]


class Change(Enum):
    """What an option changes."""

    POINT = "another operating point"
    PLACEMENT = "another placement"
    FEWER_EXITS = "fewer exits"
    SHORTER = "an earlier last exit"
    BOTH = "another placement and operating point"


@dataclass(frozen=True, slots=True)
class Option:
    """A change, and what the network takes after it; `at_most`: the mean, and its energy, are upper bounds."""

    change: Change
    text: str
    used: Used
    at_most: bool = False


def options(
    plan: Plan, cost: PlanCost, fixed: Fixed, *, ram_bytes: int | None = None, price: Price | None = None
) -> Iterator[Option]:
    """Every change that is tried, of each kind the gentlest first.

    Args:
        plan: what is changed.
        cost: of `plan`.
        fixed: what no change touches.
        ram_bytes: how much RAM to come down to with the fewest constants moved; None where that is no matter.
        price: of a plan; other placements are left out where None.
    """
    points = _other_points(plan, cost, fixed)
    yield from (Option(Change.POINT, _named(point), used_by(plan, cost, fixed, point)) for point in points)
    replaced = [] if price is None else [(t, p, price(p)) for t, p in _replaced(plan, fixed, ram_bytes)]
    placed = [Option(Change.PLACEMENT, text, used_by(other, paid, fixed)) for text, other, paid in replaced]
    yield from sorted(placed, key=_mean)
    yield from _fewer_exits(plan, cost, fixed)
    yield from _shorter(plan, cost, fixed)
    for point in points:
        both = [
            Option(Change.BOTH, f"{_named(point)}; {text}", used_by(other, paid, fixed, point))
            for text, other, paid in replaced
        ]
        yield from sorted(both, key=_mean)


def _other_points(plan: Plan, cost: PlanCost, fixed: Fixed) -> list[OperatingPoint]:
    """All but the default, the slowest first: it is nearest to what the whole network would answer."""
    others = [point for point in plan.graph.points if point is not plan.graph.point]
    return sorted(others, key=lambda point: -used_by(plan, cost, fixed, point).mean_ms)


def _named(point: OperatingPoint) -> str:
    note = "" if point.reach is not None else ", its reach unknown"
    return f"operating point {point.name!r}{note}"


def _mean(option: Option) -> float:
    return option.used.mean_ms


def _replaced(plan: Plan, fixed: Fixed, ram_bytes: int | None) -> Iterator[tuple[str, Plan]]:
    """Plans whose constants lie elsewhere, and what was moved."""
    found = constants(plan.graph)
    loaded = sorted(_placed(plan, found, How.BOOT), key=lambda c: -c.nbytes)
    staged = _placed(plan, found, How.STAGED)
    if ram_bytes is not None:
        other = sum(aligned(c.nbytes) for c in loaded)
        above = _ram(plan, fixed) + other - ram_bytes
        for i, freed in enumerate(accumulate(aligned(c.nbytes) for c in loaded), 1):
            if freed >= above and i < len(loaded):
                names = ", ".join(c.name for c in loaded[: min(i, 3)]) + (f" and {i - 3} more" if i > 3 else "")
                yield f"{names} in place instead of loaded at boot", _in_place(plan, loaded[:i])
                break
    if loaded:
        yield "nothing loaded at boot", _in_place(plan, loaded)
    if staged:
        yield "nothing staged", _in_place(plan, staged)
    if loaded and staged:
        yield "every constant in place", _in_place(plan, found)
    for segment, leave in enumerate(plan.graph.exits):
        more = [c for c in found if c.segment <= segment and plan.placements[c.name].how is not How.BOOT]
        if more and _room(plan, fixed) >= sum(aligned(c.nbytes) for c in more):
            yield f"all constants up to exit {leave.name} loaded at boot", _loaded(plan, more)


def _fewer_exits(plan: Plan, cost: PlanCost, fixed: Fixed) -> Iterator[Option]:
    """Each early exit left out alone, then more and more of them, the one with the largest head first."""
    early = range(len(plan.graph.exits) - 1)
    heads = {i: _without(plan, {i}) for i in early}
    weight = {i: sum(c.nbytes for c in constants(plan.graph) if _node(c) not in heads[i]) for i in early}
    largest = sorted(early, key=lambda i: (-weight[i], i))
    for out in [*({i} for i in largest), *(set(largest[:n]) for n in range(2, len(largest) + 1))]:
        names = ", ".join(plan.graph.exits[i].name for i in sorted(out))
        used = used_by(plan, cost, fixed, _never(plan.graph.point, out), _without(plan, out))
        yield Option(Change.FEWER_EXITS, f"without exit{'s' * (len(out) > 1)} {names}", used, at_most=True)


def _shorter(plan: Plan, cost: PlanCost, fixed: Fixed) -> Iterator[Option]:
    """Everything answered at an early exit at the latest, the last one first."""
    exits = plan.graph.exits
    for last in reversed(range(len(exits) - 1)):
        kept = needed(plan.graph.nodes, [*(t for e in exits[:last] for t in e.tensors), exits[last].logits])
        used = used_by(plan, cost, fixed, _ending(plan.graph.point, last), [node.name for node in kept])
        text = f"ending at exit {exits[last].name} (whose answers replace the later ones: measure the accuracy)"
        yield Option(Change.SHORTER, text, used)


def _without(plan: Plan, out: Collection[int]) -> frozenset[str]:
    """Nodes that are left where the exits `out` are gone."""
    tensors = [t for i, leave in enumerate(plan.graph.exits) if i not in out for t in leave.tensors]
    return frozenset(node.name for node in needed(plan.graph.nodes, tensors))


def _never(point: OperatingPoint, out: Collection[int]) -> OperatingPoint:
    """`point` where the exits `out` cannot fire, and who left there goes on to the last exit that can be reached."""
    thresholds = tuple(NEVER if i in out else t for i, t in enumerate(point.thresholds))
    if point.reach is None:
        return replace(point, thresholds=thresholds)
    last, reach = last_reached(thresholds), list(point.reach)
    for i in out:
        left = point.reach[i] - point.reach[i + 1]
        reach[i + 1 : last + 1] = [share + left for share in reach[i + 1 : last + 1]]
    return replace(point, thresholds=thresholds, reach=tuple(min(1.0, share) for share in reach))


def _ending(point: OperatingPoint, last: int) -> OperatingPoint:
    """`point` where the exit `last` always fires."""
    thresholds = tuple(ALWAYS if i == last else t for i, t in enumerate(point.thresholds))
    reach = None if point.reach is None else tuple(s if i <= last else 0.0 for i, s in enumerate(point.reach))
    return replace(point, thresholds=thresholds, reach=reach)


def _placed(plan: Plan, found: Sequence[Constant], how: How) -> list[Constant]:
    return [constant for constant in found if plan.placements[constant.name].how is how]


def _in_place(plan: Plan, moved: Collection[Constant]) -> Plan:
    loads = {c.name: plan.placements[c.name].load_region for c in moved}
    return _moved(plan, {name: Placement(How.IN_PLACE, load, load) for name, load in loads.items()})


def _loaded(plan: Plan, moved: Collection[Constant]) -> Plan:
    loads = {c.name: plan.placements[c.name].load_region for c in moved}
    ram = plan.target.main_ram.name
    return _moved(plan, {name: Placement(How.BOOT, ram, load) for name, load in loads.items()})


def _moved(plan: Plan, moved: dict[str, Placement]) -> Plan:
    placements = {**plan.placements, **moved}
    staged = any(place.how is How.STAGED for place in placements.values())
    return replace(plan, placements=placements, stage=plan.stage if staged else None)


def _ram(plan: Plan, fixed: Fixed) -> int:
    """RAM of everything but what is loaded at boot."""
    return plan.arena_bytes + plan.stage_bytes + fixed.static_bytes + fixed.stack_bytes


def _room(plan: Plan, fixed: Fixed) -> int:
    """Bytes that are free in the main RAM."""
    ram = plan.target.main_ram
    held = fixed.static_bytes + fixed.stack_bytes
    held += plan.arena_bytes * (plan.arena_region == ram.name)
    held += plan.stage_bytes if plan.stage and plan.stage.region == ram.name else 0
    for constant in constants(plan.graph):
        place = plan.placements[constant.name]
        held += aligned(constant.nbytes) * (place.how is How.BOOT and place.region == ram.name)
    return ram.nbytes - held


def _node(constant: Constant) -> str:
    return constant.name.rpartition(":")[0]
