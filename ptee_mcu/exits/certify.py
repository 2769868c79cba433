"""Operating points that keep what was asked on new images, with a stated probability."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeAlias

import numpy as np

from ptee_mcu.data import require_choosable
from ptee_mcu.errors import ConfigError, DataError, SplitError
from ptee_mcu.exits.asks import Ask, Quantity, verify_asks
from ptee_mcu.exits.chain import chain
from ptee_mcu.exits.expected import expected_disagreement, expected_drop
from ptee_mcu.exits.outcomes import Outcomes, disagreement, exit_taken, mean_cost, reach
from ptee_mcu.exits.search import Vector
from ptee_mcu.exits.shortfall import USEFUL, unreachable, why_not
from ptee_mcu.exits.tail_bounds import Tally, betting_p_value, binomial_p_value, stake
from ptee_mcu.quant_graph import ALWAYS, OperatingPoint

_LEAST_IMAGES = 10  # of either split
CostsAt: TypeAlias = Callable[[Vector], Sequence[float]]
_COST = (Quantity.MEAN_COST, Quantity.MEAN_CYCLES)


@dataclass(frozen=True, slots=True, eq=False)
class _Ground:
    """What all asks of one table share; `level` is the probability of failure that each may use."""

    a: Outcomes
    b: Outcomes
    costs: tuple[float, ...]
    cycles: tuple[float, ...] | None
    costs_at: CostsAt | None
    delta: float
    level: float

    def cost(self, vector: Vector) -> float:
        """Mean over B, without the heads that `vector` leaves out."""
        costs = self.costs if self.costs_at is None else self.costs_at(vector)
        return mean_cost(exit_taken(self.b.confidences, vector), costs)

    def prices(self, quantity: Quantity) -> tuple[float, ...]:
        """Costs per exit in the unit of `quantity`."""
        return self.cycles if quantity is Quantity.MEAN_CYCLES and self.cycles else self.costs


def operating_points(
    a: Outcomes,
    b: Outcomes,
    costs: Sequence[float],
    asks: Sequence[Ask],
    *,
    delta: float = 0.05,
    cycles: Sequence[float] | None = None,
    costs_at: CostsAt | None = None,
) -> tuple[OperatingPoint, ...]:
    """One point per ask, all valid together: P(any of them breaks its limit on new images) <= delta.

    Split A alone lays a path through the thresholds, from the surest to keep the limit to the least sure. Split B
    tests along it, each vector with the null hypothesis that the limit is broken, and stops at the first that cannot
    be rejected: the vectors before it are certified together (fixed-sequence test), so B may choose among them. m asks
    share delta evenly. `reach`, `measured` and `cost` are of B. An ask that cannot be certified gets a point that never
    fires and a note.
    Source: Angelopoulos et al., Learn then Test, arXiv 2110.01052, section 2; Laufer-Goldshtein et al., Pareto
    testing, ICLR 2023.

    Args:
        a: outcomes on the split that lays the path.
        b: outcomes on the split that tests.
        costs: of leaving at each exit relative to the bare backbone, every head on the way charged.
        asks: what to promise, each once.
        delta: in (0, 1).
        cycles: of leaving at each exit; for asks of MEAN_CYCLES.
        costs_at: `costs` under given thresholds, where heads of exits that never fire are not run; among certified
            vectors the cheapest by it is taken.

    Raises:
        ConfigError: where an ask or delta is out of range, or cycles are asked for and not given.
        SplitError: where backbone or heads have seen a split, it serves something else, or A and B share images.
        DataError: where a split is too small, or A, B and the costs are not of the same exits.
    """
    verify_asks(asks, delta)
    _verify_outcomes(a, b, costs, cycles)
    if cycles is None and any(ask.quantity is Quantity.MEAN_CYCLES for ask in asks):
        raise ConfigError("mean_cycles is asked for, the cycles of the exits are not known", hint="name a target")
    known = tuple(cycles) if cycles is not None else None
    ground = _Ground(a, b, tuple(costs), known, costs_at, delta, delta / len(asks))
    paths: dict[Quantity, tuple[Vector, ...]] = {}
    points = []
    for ask in asks:
        if ask.quantity not in paths:
            harm = expected_drop(a) if ask.quantity is Quantity.DROP else expected_disagreement(a)
            paths[ask.quantity] = chain(a, ground.prices(ask.quantity), harm)
        path = paths[ask.quantity]
        points.append(_within_budget(ground, ask, path) if ask.quantity in _COST else _within_harm(ground, ask, path))
    return tuple(points)


def _within_harm(ground: _Ground, ask: Ask, path: tuple[Vector, ...]) -> OperatingPoint:
    """The cheapest certified vector; the one that never fires can do no harm and needs no test."""
    never, *firing = path
    found = list(certified(firing, lambda vector: _p_value(ground, ask, vector), ground.level))
    if firing and not found:
        useful = next(v for v in firing if _leaves_early(ground.a, v) >= USEFUL)
        return _point(ground, ask, never, 0.0, why_not(_tally(ground, ask, ground.b, useful), ask, ground.level))
    best = min((never, *found), key=ground.cost)
    return _point(ground, ask, best, ask.limit if best != never else 0.0)


def _leaves_early(outcomes: Outcomes, vector: Vector) -> float:
    """Share of images that leave at an early exit."""
    return float((exit_taken(outcomes.confidences, vector) < len(vector)).mean())


def _within_budget(ground: _Ground, ask: Ask, path: tuple[Vector, ...]) -> OperatingPoint:
    """The certified vector that disagrees least on B; the path is walked from its cheapest end."""
    prices = ground.prices(ask.quantity)
    found = list(certified(path[::-1], lambda vector: _p_value(ground, ask, vector), ground.level))
    if not found:
        return _point(ground, ask, path[0], None, unreachable(ask, min(prices)))

    def harm(vector: Vector) -> tuple[float, float]:
        taken = exit_taken(ground.b.confidences, vector)
        return disagreement(ground.b, taken), mean_cost(taken, prices)

    return _point(ground, ask, min(found, key=harm), ask.limit)


def certified(vectors: Sequence[Vector], p_value: Callable[[Vector], float], level: float) -> Iterator[Vector]:
    """The vectors before the first whose null hypothesis stands: fixed-sequence test at `level` for all together.

    Were a true null rejected, the first true null in the order would have been; that happens with probability at most
    `level`, however many vectors there are and however their outcomes hang together.
    """
    return takewhile(lambda vector: p_value(vector) <= level, vectors)


def _p_value(ground: _Ground, ask: Ask, vector: Vector) -> float:
    """Of the null hypothesis that `vector` breaks the limit of `ask`; B is the evidence, A plans the bet."""
    seen = _tally(ground, ask, ground.b, vector)
    if ask.quantity is Quantity.DISAGREEMENT:
        return binomial_p_value(seen.counts[1], seen.count, ask.limit)
    share = stake(_tally(ground, ask, ground.a, vector), seen.count, ground.level)
    return betting_p_value(seen, ask.limit, share)


def _tally(ground: _Ground, ask: Ask, outcomes: Outcomes, vector: Vector) -> Tally:
    """What `vector` does to the images, in the unit of `ask`."""
    taken = exit_taken(outcomes.confidences, vector)
    if ask.quantity in _COST:
        prices = ground.prices(ask.quantity)
        last = vector.index(ALWAYS) if ALWAYS in vector else len(vector)  # nothing gets past an exit that always fires
        counts = np.bincount(taken, minlength=len(prices))
        return Tally(prices, tuple(map(int, counts)), max(prices[: last + 1]))
    if ask.quantity is Quantity.DISAGREEMENT:
        wrong = int(outcomes.disagrees[taken, np.arange(outcomes.count)].sum())
        return Tally((0.0, 1.0), (outcomes.count - wrong, wrong), 1.0)
    right = outcomes.labels[taken, np.arange(outcomes.count)] == outcomes.split.y
    loss = (outcomes.labels[-1] == outcomes.split.y).astype(np.int64) - right
    won, same, lost = np.bincount(loss + 1, minlength=3)
    return Tally((-1.0, 0.0, 1.0), (int(won), int(same), int(lost)), 1.0)


def _point(ground: _Ground, ask: Ask, vector: Vector, bound: float | None, note: str | None = None) -> OperatingPoint:
    """The operating point of `vector`; `bound` None: nothing is certified."""
    taken = exit_taken(ground.b.confidences, vector)
    return OperatingPoint(
        ask.name,
        vector,
        reach(taken, len(ground.costs)),
        ask.limit,
        _tally(ground, ask, ground.b, vector).mean,
        quantity=ask.quantity.value,
        delta=ground.delta if bound is not None else None,
        bound=bound,
        cost=ground.cost(vector),
        note=note,
    )


def _verify_outcomes(a: Outcomes, b: Outcomes, costs: Sequence[float], cycles: Sequence[float] | None) -> None:
    require_choosable(a.split)
    require_choosable(b.split)
    shared = np.intersect1d(a.split.index, b.split.index) if a.split.part is b.split.part else np.empty(0, np.int64)
    if shared.size:
        raise SplitError(
            f"{a.split.name} and {b.split.name} share {shared.size} images: a test on images that laid the path "
            "certifies nothing",
            hint="choose on the splits threshold_a and threshold_b",
        )
    for prices in (costs, cycles):
        if prices is not None and not len(a.labels) == len(b.labels) == len(prices):
            raise DataError(f"outcomes of {len(a.labels)} and {len(b.labels)} exits, costs of {len(prices)}")
        if prices is not None and not (np.isfinite(prices).all() and min(prices) > 0):
            raise DataError(f"costs of the exits are {[*prices]}, finite numbers above 0 are expected")
    for outcomes in (a, b):
        if outcomes.count < _LEAST_IMAGES:
            raise DataError(
                f"{outcomes.split.name} holds {outcomes.count} images, nothing can be promised from fewer than "
                f"{_LEAST_IMAGES}",
                hint="give more images that were never trained on; 5,000 certify a disagreement of 1 %",
            )
