"""Vectors of integer thresholds that trade cost against disagreement, found on the images of one split."""

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt

from ptee_mcu.exits.outcomes import Outcomes, disagreement, exit_taken, mean_cost
from ptee_mcu.quant_graph import ALWAYS, NEVER

Vector = tuple[int, ...]
_Sums = npt.NDArray[np.float64]  # (257,): per threshold -128..128

_FEW = 4096  # so many vectors are tried one by one
_PRICES = np.geomspace(0.03, 3e3, 40)  # of one disagreement, in backbones
_BUDGETS = 48  # most limits on disagreement that are solved for
_REACH_PAST = 2.5  # candidates up to this multiple of the limit: the other split may disagree less than this one
_MARGINS = (1, 2, 4, 8, 16, 32)  # in int8 codes
_SWEEPS = 20  # coordinate descent settles in three or four


def candidates(outcomes: Outcomes, costs: Sequence[float], limit: float) -> tuple[Vector, ...]:
    """The frontier, and each of its vectors raised by a few margins; the vector that never fires is among them.

    A vector at which no image of this split disagrees hides all more careful ones from the frontier, though another
    split may need them.
    """
    best = frontier(outcomes, costs, limit)
    raised = {tuple(min(NEVER, t + margin) for t in vector) for vector in best for margin in _MARGINS}
    never = (NEVER,) * (len(costs) - 1)
    return (*best, *sorted({never, *raised} - set(best), reverse=True))


def frontier(outcomes: Outcomes, costs: Sequence[float], limit: float) -> tuple[Vector, ...]:
    """Threshold vectors that no other found one beats in both cost and disagreement, fewest disagreements first.

    All vectors that differ on these images are tried
    where they are few; otherwise coordinate descent, on the Lagrangian for a range of prices of a disagreement and
    then under a range of limits around `limit`, from several starts.

    Args:
        outcomes: of the images that build candidates.
        costs: of leaving at each exit.
        limit: the largest disagreement that will be asked for; candidates reach past it.
    """
    options = [sorted({NEVER, *map(int, codes)}, reverse=True) for codes in outcomes.confidences]
    few = prod(map(len, options)) <= _FEW
    found = set(product(*options)) if few else set(_descend(outcomes, costs, limit))
    scored = []
    for vector in found:
        taken = exit_taken(outcomes.confidences, vector)
        # Among equals the highest thresholds, so that the order is one.
        scored.append((disagreement(outcomes, taken), mean_cost(taken, costs), tuple(-t for t in vector), vector))
    best: list[Vector] = []
    cheapest = np.inf
    for _, cost, _, vector in sorted(scored):
        if cost < cheapest:
            best.append(vector)
            cheapest = cost
    return tuple(best)


def _descend(outcomes: Outcomes, costs: Sequence[float], limit: float) -> Iterator[Vector]:
    """Vectors from all descents, the shared thresholds included."""
    exits = len(costs) - 1
    shared = [(t,) * exits for t in range(ALWAYS, NEVER + 1)]
    yield from shared
    search = _Search(outcomes, costs)
    hull = []
    for direction in (_PRICES, _PRICES[::-1]):
        vector: Vector = (NEVER,) * exits
        for price in direction:
            vector = search.cheapest_at_price(vector, float(price))
            hull.append(vector)
    for start in shared[:: len(shared) // 8]:
        hull += [search.cheapest_at_price(start, float(price)) for price in _PRICES[::4]]
    yield from hull
    most = min(outcomes.count, int(limit * outcomes.count * _REACH_PAST) + 3)
    for budget in np.unique(np.linspace(0, most, _BUDGETS).astype(int)):
        for start in (*sorted(set(hull)), *shared[::16]):
            if search.wrong(start) <= budget:
                yield search.cheapest_within(start, int(budget))


class _Search:
    """Coordinate descent over threshold vectors: one exit's 257 thresholds are priced at once by histogram."""

    def __init__(self, outcomes: Outcomes, costs: Sequence[float]) -> None:
        self.outcomes = outcomes
        self.costs = np.asarray(costs, dtype=np.float64)
        self.disagrees = outcomes.disagrees
        self.images = np.arange(outcomes.count)
        self.codes = outcomes.confidences.astype(np.int64) - ALWAYS

    def wrong(self, vector: Vector) -> int:
        """How many images disagree."""
        return int(self.disagrees[exit_taken(self.outcomes.confidences, vector), self.images].sum())

    def cheapest_at_price(self, vector: Vector, price: float) -> Vector:
        """A local minimum of cost + price * disagreements."""
        for _ in range(_SWEEPS):
            before = vector
            for i in range(len(vector)):
                cost, wrong = self.sums(vector, i)
                vector = _with(vector, i, _last_minimum(cost + price * wrong))
            if vector == before:
                break
        return vector

    def cheapest_within(self, vector: Vector, budget: int) -> Vector:
        """A local minimum of cost among vectors with at most `budget` disagreements; `vector` is one."""
        for _ in range(_SWEEPS):
            before = vector
            for i in reversed(range(len(vector))):
                cost, wrong = self.sums(vector, i)
                vector = _with(vector, i, _last_minimum(np.where(wrong <= budget, cost, np.inf)))
            if vector == before:
                break
        return vector

    def sums(self, vector: Vector, i: int) -> tuple[_Sums, _Sums]:
        """Total cost and disagreements for each threshold -128..128 of exit `i`, the others as in `vector`."""
        never = exit_taken(self.outcomes.confidences, _with(vector, i, NEVER))
        arrives = never > i
        codes, tail = self.codes[i, arrives], never[arrives]
        images = self.images[arrives]
        saved = self.costs[i] - self.costs[tail]
        worse = self.disagrees[i, images].astype(np.float64) - self.disagrees[tail, images]
        cost = self.costs[never].sum() + _at_or_above(codes, saved)
        wrong = self.disagrees[never, self.images].sum() + _at_or_above(codes, worse)
        return cost, np.rint(wrong)


def _with(vector: Vector, i: int, threshold: int) -> Vector:
    return (*vector[:i], threshold, *vector[i + 1 :])


def _at_or_above(codes: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]) -> _Sums:
    """(257,): sum of the weights whose code is at or above each threshold."""
    per_code = np.bincount(codes, weights, minlength=NEVER - ALWAYS)
    return np.append(np.cumsum(per_code[::-1])[::-1], 0.0)


def _last_minimum(values: _Sums) -> int:
    """The highest threshold with the least value, within rounding."""
    return int(np.flatnonzero(values <= values.min() + 1e-9)[-1]) + ALWAYS
