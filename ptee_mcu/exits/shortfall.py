"""Why an ask cannot be certified, what can be, and how many samples would do."""

from math import ceil, log

from ptee_mcu.exits.asks import Ask, Quantity
from ptee_mcu.exits.tail_bounds import (
    Tally,
    betting_upper,
    binomial_upper,
    samples_at_rate,
    samples_without_hits,
    stake,
)

USEFUL = 0.05  # share of images that leave early: below that, thresholds are careful and save nothing


def why_not(seen: Tally, ask: Ask, level: float) -> str:
    """The note of a disagreement or drop that not even the most careful thresholds are shown to keep.

    Args:
        seen: what the most careful thresholds at which a share `USEFUL` leaves early gave on the testing images.
        ask: what was asked.
        level: the probability of failure that this ask may use.
    """
    count = seen.count
    if ask.quantity is Quantity.DISAGREEMENT:
        least, here = binomial_upper(0, count, level), binomial_upper(seen.counts[1], count, level)
        none, at_rate = samples_without_hits(ask.limit, level), samples_at_rate(seen.mean, ask.limit, level)
    else:
        careful = Tally((0.0,), (count,), 1.0)
        least, here = (betting_upper(x, level, stake(x, count, level)) for x in (careful, seen))
        none, at_rate = ceil(2 * log(1 / level) / ask.limit), samples_of_bets(seen, ask.limit, level)
    more = (
        f"about {at_rate:,} at the rate seen here"
        if at_rate is not None
        else "no sensible number would at the rate seen here: train the heads longer or place exits later"
    )
    return (
        f"no exit fires: {ask} cannot be certified at confidence {1 - level:.4g} with {count:,} images. The least that "
        f"they could certify is {_unit(ask, least)}, and with {100 * USEFUL:g} % of them leaving early "
        f"{_unit(ask, here)}; {none:,} images would do where none is lost, {more}"
    )


def samples_of_bets(seen: Tally, limit: float, level: float) -> int | None:
    """About how many samples with the mean and variance of `seen` certify `limit`; None where no number does."""
    gap = limit - seen.mean
    return ceil(2 * log(1 / level) * seen.variance / gap**2) if gap > 0 else None


def unreachable(ask: Ask, least: float) -> str:
    """The note of a budget below what leaving at the first exit costs."""
    number = f"{least:,.0f} cycles" if ask.quantity is Quantity.MEAN_CYCLES else f"{least:.4g} backbones"
    return f"no exit fires: {ask} cannot be reached: the least is {number}, where every image leaves at the first exit"


def _unit(ask: Ask, value: float) -> str:
    return f"{100 * value:.3g} " + ("%" if ask.quantity is Quantity.DISAGREEMENT else "percentage points")
