"""Integer thresholds for a requested largest disagreement with the final exit, estimated and not certified."""

from collections.abc import Sequence

import numpy as np

from ptee_mcu.data import require_choosable
from ptee_mcu.errors import ConfigError, DataError
from ptee_mcu.exits.frontier import candidates
from ptee_mcu.exits.outcomes import Outcomes, disagreement, exit_taken, mean_cost, reach
from ptee_mcu.quant_graph import NEVER, OperatingPoint


def choose(
    a: Outcomes, b: Outcomes, costs: Sequence[float], *, max_disagreement: float, name: str = "default"
) -> OperatingPoint:
    """The cheapest thresholds whose labels differ from the final exit's on at most `max_disagreement` of the images.

    Split A builds the candidates; one is taken only where split B, and A and B together, stay within the limit.
    `reach`, `measured` and `cost` are of A and B together. Thresholds of 128 throughout: no exit can fire within the
    limit. B both chooses and checks, so new images disagree more than the limit about as often as less:
    `certify.operating_points` gives the points that keep it.

    Args:
        a: outcomes on the split that builds candidates.
        b: outcomes on the split that checks them.
        costs: of leaving at each exit relative to the bare backbone, every head on the way charged.
        max_disagreement: in [0, 1].
        name: of the operating point.

    Raises:
        SplitError: where backbone or heads have seen a split, or it serves something else.
        ConfigError: where the limit lies outside [0, 1].
        DataError: where A, B and the costs are not of the same exits.
    """
    require_choosable(a.split)
    require_choosable(b.split)
    if not 0.0 <= max_disagreement <= 1.0:
        raise ConfigError(f"max_disagreement {max_disagreement} lies outside [0, 1]")
    if not len(a.labels) == len(b.labels) == len(costs):
        raise DataError(f"outcomes of {len(a.labels)} and {len(b.labels)} exits, costs of {len(costs)}")
    best: OperatingPoint | None = None
    cheapest = np.inf
    for vector in candidates(a, costs, max_disagreement):
        taken_a, taken_b = exit_taken(a.confidences, vector), exit_taken(b.confidences, vector)
        on_b = disagreement(b, taken_b)
        both = (disagreement(a, taken_a) * a.count + on_b * b.count) / (a.count + b.count)
        taken = np.concatenate([taken_a, taken_b])
        cost = mean_cost(taken, costs)
        if max(on_b, both) <= max_disagreement and cost < cheapest:
            cheapest = cost
            best = OperatingPoint(name, vector, reach(taken, len(costs)), max_disagreement, both, cost=cost)
    assert best is not None  # the vector that never fires disagrees nowhere
    return best


def note(point: OperatingPoint) -> str | None:
    """What a reader of reports should know about a point; None where it fires and is certified, or nothing was asked.

    That is the point's own note, that no image leaves early under it, or that nobody vouches for its limit.
    """
    if point.note is not None:
        return point.note
    if all(t == NEVER for t in point.thresholds):
        return (
            f"no exit fires: no threshold keeps {_asked(point)} on the choosing images and "
            "saves anything; train the heads longer, place exits later, or allow more disagreement"
        )
    if point.asked is not None and point.delta is None:
        return f"uncertified: thresholds keep {_asked(point)} on the choosing images; new images may go beyond"
    return None


def _asked(point: OperatingPoint) -> str:
    """The limit in words."""
    if point.asked is None:
        return "any limit"
    limit = f"{point.asked:.2%}" if point.quantity in ("disagreement", "drop") else f"{point.asked:,.4g}"
    return f"the {point.quantity.replace('_', ' ')} within {limit}"
