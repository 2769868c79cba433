"""What generated C knows of time: cycles of every segment at worst, and where each segment's ops begin."""

from itertools import accumulate, pairwise
from math import ceil

from ptee_mcu.emit_view import View
from ptee_mcu.plan.plan import Plan
from ptee_mcu.plan.plan_cost import full_cycles

_UNKNOWN = 2**32 - 1  # fits no budget


def segment_cycles(plan: Plan) -> tuple[int, ...]:
    """Core cycles of each segment, its copies and its exit included; 2^32 - 1 where no rates of the core are known."""
    until = full_cycles(plan)
    if until is None:
        return (_UNKNOWN,) * len(plan.graph.exits)
    return tuple(min(ceil(later - earlier), _UNKNOWN) for earlier, later in pairwise((0.0, *until)))


def first_ops(view: View) -> tuple[int, ...]:
    """Number of the first op of each segment, and of ops in all."""
    counts = (sum(len(part.calls) for part in segment) for segment in view.segments)
    return tuple(accumulate(counts, initial=0))


def anytime(plan: Plan, view: View, *, yield_every_op: bool) -> dict[str, object]:
    """The names of this kind that the templates use."""
    cycles = segment_cycles(plan)
    return {
        "board": plan.target.name,
        "segment_cycles": [f"UINT32_C({count})" for count in cycles],
        "known_cycles": _UNKNOWN not in cycles,
        "every_op": yield_every_op,
        "first_ops": first_ops(view),
    }
