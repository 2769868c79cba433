"""One path through the thresholds, from exits that never fire to ones that always do, laid on one split."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil

import numpy as np
import numpy.typing as npt

from ptee_mcu.exits.outcomes import Outcomes, exit_taken, mean_cost
from ptee_mcu.exits.search import Search, Vector
from ptee_mcu.quant_graph import ALWAYS, NEVER

_PRICES = np.geomspace(3e3, 0.03, 64)  # of one unit of harm, in backbones
_FINEST = 0.001  # expected harm between neighbours of the path
_RELATIVE = 0.03  # and beyond that, as a share of the harm
_DEAREST = 0.02  # of the whole cost: where few images lay the path, their harm may look like none at all


def chain(outcomes: Outcomes, costs: Sequence[float], harm: npt.NDArray[np.float64]) -> tuple[Vector, ...]:
    """Vectors of falling cost and rising expected harm: the convex frontier, with steps between its corners.

    The path begins where no exit fires and ends where every image leaves at the first exit. Neighbours differ by
    little, so that a test which walks along it stops close to where the limit is.

    Args:
        outcomes: of the images that lay the path; their disagreements enter through `harm` alone.
        costs: of leaving at each exit, in any unit.
        harm: (E, N), expected, of each image at each exit.
    """
    early = len(costs) - 1
    never, always = (NEVER,) * early, (ALWAYS,) * early
    relative = tuple(cost / costs[-1] for cost in costs)
    search = Search(outcomes, relative, harm)
    found = {always}
    vector = never
    for price in _PRICES:
        vector = search.cheapest_at_price(vector, float(price))
        found.add(vector)
    scored = sorted((*_scores(outcomes, relative, harm, vector), vector) for vector in found)
    corners = [(0.0, relative[-1], never)]
    for corner in scored:
        if corner[1] < corners[-1][1]:
            corners.append(corner)
    if corners[-1][2] != always:  # which saves no more on these images, but surely saves on others
        corners.append(next(corner for corner in scored if corner[2] == always))
    path = [never]
    for (before, dearer, start), (after, cheaper, end) in pairwise(corners):
        by_harm = (after - before) / (_FINEST + _RELATIVE * abs(before))
        steps = max(1, ceil(by_harm), ceil((dearer - cheaper) / _DEAREST))
        path += [_between(start, end, step / steps) for step in range(1, steps + 1)]
    return tuple(dict.fromkeys(path))


def _scores(
    outcomes: Outcomes, costs: Sequence[float], harm: npt.NDArray[np.float64], vector: Vector
) -> tuple[float, float]:
    taken = exit_taken(outcomes.confidences, vector)
    return float(harm[taken, np.arange(outcomes.count)].mean()), mean_cost(taken, costs)


def _between(start: Vector, end: Vector, share: float) -> Vector:
    return tuple(round(a + (b - a) * share) for a, b in zip(start, end, strict=True))
