"""The subset of candidate exits, and their thresholds, of least mean cost within limits on disagreement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ptee_mcu.data import require_choosable
from ptee_mcu.errors import ConfigError, DataError
from ptee_mcu.exits.bound import lower_bound
from ptee_mcu.exits.costs import PlaceCosts
from ptee_mcu.exits.descent import descend, forced, neighbours, polish
from ptee_mcu.exits.exhaustive import best_state, is_small
from ptee_mcu.exits.outcomes import Outcomes
from ptee_mcu.exits.problem import Problem, State, Vector, make_problem
from ptee_mcu.quant_graph import ALWAYS, NEVER

_Rank = tuple[float, int, tuple[Vector, ...]]

_PRICES = np.geomspace(0.03, 3e3, 40)  # of one disagreement, in backbones
_STARTS = 6  # ends of descent under prices, from which descent within a budget starts
_POLISHED = 3  # of its ends, the cheapest
_SHAKES = 8  # random starts round the best solution, each time it improved
_SHAKE = 48  # largest change of a threshold there, in int8 codes
_SHAKEN_SHARE = 0.4  # of the thresholds
_PROVEN = 1e-6  # a gap that counts as none


@dataclass(frozen=True, slots=True)
class Selection:
    """The exits to keep under one limit, by index of candidate, and what that costs on the choosing images.

    `thresholds` are of the kept exits. `cost` is the mean per image, every kept head on the way charged, and
    `lower_bound` what no subset and thresholds can beat, both in the unit of the given costs; `gap` is their
    difference over `cost`. `optimal`: nothing cheaper exists on these images.
    """

    exits: tuple[int, ...]
    thresholds: tuple[int, ...]
    cost: float
    disagreement: float
    lower_bound: float
    gap: float
    optimal: bool


@dataclass(frozen=True, slots=True)
class JointSelection:
    """One set of exits for several limits, and per limit its thresholds; fields as in Selection.

    `cost` and `lower_bound` are weighted means over the limits. A kept exit may never fire at one limit (threshold
    128); its head is charged there all the same, because the network evaluates it.
    """

    exits: tuple[int, ...]
    points: tuple[Selection, ...]
    cost: float
    lower_bound: float
    gap: float
    optimal: bool


def select(
    outcomes: Outcomes,
    places: PlaceCosts,
    max_disagreement: float,
    *,
    most_exits: int | None = None,
    tolerance: float = 0.0,
) -> Selection:
    """The exits and thresholds of least mean cost that disagree on at most floor(max_disagreement * N) images.

    As `select_for` with one limit.
    """
    return select_for(outcomes, places, (max_disagreement,), most_exits=most_exits, tolerance=tolerance).points[0]


def select_for(
    outcomes: Outcomes,
    places: PlaceCosts,
    limits: Sequence[float],
    *,
    weights: Sequence[float] | None = None,
    most_exits: int | None = None,
    tolerance: float = 0.0,
) -> JointSelection:
    """The one set of exits of least weighted mean, over `limits`, of the least mean cost within each.

    Small searches try everything. Others start from descent on cost + price * disagreements for a range of prices,
    descend within each limit, change pairs of exits together, and then drop, add and exchange exits until nothing
    helps. The same input gives the same result.

    Args:
        outcomes: of all candidates, independent of one another, and the final exit, on the choosing images.
        places: what the trunk up to each candidate and each head cost.
        limits: on disagreement, in [0, 1].
        weights: of the limits, positive; equal where None.
        most_exits: the largest number of exits to keep.
        tolerance: exits are given up while the cost stays within this fraction above the least one found.

    Raises:
        SplitError: where backbone or heads have seen the images, or they serve something else.
        ConfigError: where a limit, weight, count or tolerance lies outside its range.
        DataError: where outcomes and costs are not of the same exits.

    Source: the exit search of HAPI, Laskaridis et al., ICCAD 2020, on cached outputs of heads at all places.
    """
    require_choosable(outcomes.split)
    shares = _checked(outcomes, places, limits, weights, most_exits, tolerance)
    count = len(places.heads)
    problem = make_problem(
        outcomes,
        places.trunk,
        places.heads,
        [int(limit * outcomes.count + 1e-9) for limit in limits],
        shares,
        count if most_exits is None else min(most_exits, count),
    )
    small = is_small(problem)
    solos = [problem.at(k) for k in range(len(limits))]
    ends = [best_state(solo) if small else _solved(solo, _starts(solo)) for solo in solos]
    bounds = [solo.cost(end) if small else lower_bound(solo, end) for solo, end in zip(solos, ends, strict=True)]
    if len(limits) == 1:
        state = ends[0]
    else:
        state = best_state(problem) if small else _solved(problem, _shared_starts(problem, ends))
    least = problem.cost(state)
    # Alone under its limit no point is beaten by a shared set, so the solo bounds hold for it too.
    bound = least if small else sum(w * b for w, b in zip(shares, bounds, strict=True))
    if tolerance:
        state = _thinned(problem, state, least * (1.0 + tolerance))
    cost = problem.cost(state)
    unit = places.trunk[-1]
    points = tuple(_point(solo, state, k, b, unit) for k, (solo, b) in enumerate(zip(solos, bounds, strict=True)))
    gap = _gap(cost, bound)
    return JointSelection(_indices(state.kept), points, cost * unit, bound * unit, gap, gap <= _PROVEN)


def _point(problem: Problem, state: State, k: int, bound: float, unit: float) -> Selection:
    vector = state.vectors[k]
    alone = State(state.kept, (vector,))
    cost = problem.cost(alone)
    _, wrong = problem.counts(vector)
    gap = _gap(cost, bound)
    thresholds = tuple(t for t, kept in zip(vector, state.kept, strict=True) if kept)
    share = wrong / problem.codes.shape[1]
    return Selection(_indices(state.kept), thresholds, cost * unit, share, bound * unit, gap, gap <= _PROVEN)


def _gap(cost: float, bound: float) -> float:
    return max(0.0, cost - bound) / cost


def _starts(problem: Problem) -> list[State]:
    """Ends of descent under prices that lie within the one budget, cheapest first, and the state without exits."""
    ends: set[State] = set()
    for prices in (_PRICES, _PRICES[::-1]):
        state = problem.never()
        for price in prices:
            state = descend(problem, state, price=float(price))
            ends.add(state)
    inside = [s for s in ends if problem.counts(s.vectors[0])[1] <= problem.budgets[0]]
    return [*sorted(inside, key=_rank(problem))[:_STARTS], *_single_exits(problem)]


def _single_exits(problem: Problem) -> list[State]:
    """Each exit alone."""
    return [forced(problem, problem.never(), i) for i in range(len(problem.heads))]


def _shared_starts(problem: Problem, ends: Sequence[State]) -> list[State]:
    """The exits of each limit's own solution, and of all of them, with whatever known thresholds suit each limit."""
    kept = {end.kept for end in ends}
    kept.add(tuple(any(column) for column in zip(*(end.kept for end in ends), strict=True)))
    starts = _single_exits(problem)
    for on in sorted(kept):
        if sum(on) <= problem.most:
            vectors = []
            for k in range(len(ends)):
                solo = problem.at(k)
                options = [_restricted(on, end.vectors[0]) for end in ends] + [(NEVER,) * len(on)]
                states = [State(on, (v,)) for v in options if solo.counts(v)[1] <= solo.budgets[0]]
                vectors.append(min(states, key=_rank(solo)).vectors[0])
            starts.append(State(on, tuple(vectors)))
    return starts


def _solved(problem: Problem, starts: Sequence[State]) -> State:
    rank = _rank(problem)
    ends = sorted({descend(problem, start) for start in starts}, key=rank)[:_POLISHED]
    best = min((polish(problem, end, list(neighbours(end.kept))) for end in ends), key=rank)
    rng = np.random.default_rng(0)  # the same kicks for the same input
    while True:
        others = [_kicked(problem, best, i) for i in range(len(best.kept))]
        others += [_shaken(problem, best, rng) for _ in range(_SHAKES)]
        better = polish(problem, min(others, key=rank, default=best))
        if rank(better) >= rank(best):
            return best
        best = better


def _kicked(problem: Problem, state: State, i: int) -> State:
    """A descent after exit i was dropped, where it was kept, or after all exits next to it were, where it was not."""
    gone = {i} if state.kept[i] else {i - 1, i + 1}
    return _settled(problem, tuple(on and k not in gone for k, on in enumerate(state.kept)), state.vectors)


def _shaken(problem: Problem, state: State, rng: np.random.Generator) -> State:
    """A descent after some thresholds were moved at random."""
    size = len(state.kept), len(state.vectors)
    moved = np.asarray(state.vectors).T + rng.integers(-_SHAKE, _SHAKE + 1, size) * (rng.random(size) < _SHAKEN_SHARE)
    vectors = np.where(np.asarray(state.vectors).T == NEVER, NEVER, np.clip(moved, ALWAYS, NEVER)).T
    return _settled(problem, state.kept, [tuple(map(int, vector)) for vector in vectors])


def _thinned(problem: Problem, state: State, most: float) -> State:
    """`state`, exits given up one by one while the cost stays at most `most`."""
    while any(state.kept):
        fewer = replace(problem, most=sum(state.kept) - 1)
        options = [_dropped(fewer, state, i) for i in _indices(state.kept)]
        best = min(options, key=_rank(problem))
        if problem.cost(best) > most:
            return state
        state = best
    return state


def _dropped(problem: Problem, state: State, i: int) -> State:
    return _settled(problem, tuple(on and k != i for k, on in enumerate(state.kept)), state.vectors)


def _settled(problem: Problem, kept: tuple[bool, ...], vectors: Sequence[Vector]) -> State:
    """Descent from `kept` and `vectors`; where a vector disagrees too often, from the one that never fires."""
    inside = []
    for k, vector in enumerate(vectors):
        cut = _restricted(kept, vector)
        inside.append(cut if problem.counts(cut)[1] <= problem.budgets[k] else (NEVER,) * len(kept))
    start = descend(problem, State(kept, tuple(inside)))
    return polish(problem, start, list(neighbours(start.kept)))


def _restricted(on: Sequence[bool], vector: Vector) -> Vector:
    return tuple(t if kept else NEVER for t, kept in zip(vector, on, strict=True))


def _rank(problem: Problem) -> Callable[[State], _Rank]:
    def rank(state: State) -> _Rank:
        # Within rounding of each other, fewer exits and then higher thresholds win.
        return round(problem.cost(state), 9), sum(state.kept), tuple(tuple(-t for t in v) for v in state.vectors)

    return rank


def _indices(kept: Sequence[bool]) -> tuple[int, ...]:
    return tuple(i for i, on in enumerate(kept) if on)


def _checked(
    outcomes: Outcomes,
    places: PlaceCosts,
    limits: Sequence[float],
    weights: Sequence[float] | None,
    most_exits: int | None,
    tolerance: float,
) -> tuple[float, ...]:
    """The weights, summing to 1."""
    if len(outcomes.labels) != len(places.trunk):
        raise DataError(f"outcomes of {len(outcomes.labels)} exits, costs of {len(places.trunk)}")
    if not limits:
        raise ConfigError("no limit on disagreement was given to choose exits for")
    for limit in limits:
        if not 0.0 <= limit <= 1.0:
            raise ConfigError(f"limit {limit} on disagreement lies outside [0, 1]")
    given = [1.0] * len(limits) if weights is None else list(weights)
    if len(given) != len(limits) or not all(0.0 < w < np.inf for w in given):
        raise ConfigError(f"weights {given} for {len(limits)} limits", hint="give one positive weight per limit")
    if most_exits is not None and most_exits < 1:
        raise ConfigError(f"most_exits is {most_exits}, at least 1 is needed")
    if not 0.0 <= tolerance <= 1.0:
        raise ConfigError(f"tolerance {tolerance} lies outside [0, 1]")
    return tuple(w / sum(given) for w in given)
