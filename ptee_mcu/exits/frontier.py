"""Vectors of integer thresholds that trade cost against disagreement, found on the images of one split."""

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

import numpy as np

from ptee_mcu.exits.outcomes import Outcomes, disagreement, exit_taken, mean_cost
from ptee_mcu.exits.search import Search, Vector
from ptee_mcu.quant_graph import ALWAYS, NEVER

_FEW = 4096  # so many vectors are tried one by one
_PRICES = np.geomspace(0.03, 3e3, 40)  # of one disagreement, in backbones
_BUDGETS = 24  # most limits on disagreement that are solved for
_REACH_PAST = 2.5  # candidates up to this multiple of the limit: the other split may disagree less than this one
_POLISHED = 2  # of the ends of descent under one limit, the cheapest
_MARGINS = (1, 2, 4, 8, 16, 32)  # in int8 codes


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

    All vectors that differ on these images are tried where they are few; otherwise descent, on the Lagrangian for a
    range of prices of a disagreement and then under a range of limits around `limit`, from several starts.

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
    search = Search(outcomes, costs)
    hull = []
    for direction in (_PRICES, _PRICES[::-1]):
        vector: Vector = (NEVER,) * exits
        for price in direction:
            vector = search.cheapest_at_price(vector, float(price))
            hull.append(vector)
    for start in shared[:: len(shared) // 8]:
        hull += [search.cheapest_at_price(start, float(price)) for price in _PRICES[::4]]
    yield from hull
    starts = (*sorted(set(hull)), *shared[::16])
    allowed = int(limit * outcomes.count)
    most = min(outcomes.count, int(allowed * _REACH_PAST) + 3)
    for budget in sorted({allowed, *map(int, np.linspace(0, most, _BUDGETS))}):
        ends = {search.cheapest_within(start, budget) for start in starts if search.wrong(start) <= budget}
        yield from ends
        for end in sorted(ends, key=search.cost)[:_POLISHED]:
            yield search.polished(end, budget)
