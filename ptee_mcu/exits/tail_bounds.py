"""Tests and bounds for the mean of bounded outcomes that hold for every number of samples, not only for many."""

from dataclasses import dataclass
from math import ceil, log, log1p, sqrt

import numpy as np
from scipy.special import bdtr, bdtri

_LARGEST_BET = 0.9  # of what would lose everything on the worst value
_MOST_SAMPLES = 10**8  # more is as good as never, and the binomial loses digits
_BISECTIONS = 60


@dataclass(frozen=True, slots=True)
class Tally:
    """How often each of a few values was seen; `highest` is the largest value that can occur at all."""

    values: tuple[float, ...]
    counts: tuple[int, ...]
    highest: float

    @property
    def count(self) -> int:
        """Samples."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """Of the samples."""
        return float(np.dot(self.values, self.counts) / self.count)

    @property
    def variance(self) -> float:
        """Of the samples and one more that lies as far off as the highest value: never zero by luck."""
        mean = self.mean
        spread = float(np.dot((np.asarray(self.values) - mean) ** 2, self.counts))
        return (spread + (self.highest - mean) ** 2) / (self.count + 1)


def binomial_p_value(hits: int, count: int, limit: float) -> float:
    """p-value of "an event has probability above `limit`", given how often it was seen among `count` samples.

    Exact: at any probability above the limit so few hits are less likely still.
    """
    return float(bdtr(hits, count, limit))


def binomial_upper(hits: int, count: int, delta: float) -> float:
    """The upper end of the Clopper-Pearson interval: a probability above it gives so few hits in a share < `delta`."""
    return 1.0 if hits >= count else float(bdtri(hits, count, delta))


def samples_without_hits(limit: float, delta: float) -> int:
    """The least number of samples that certify `limit` where none is a hit: (1 - limit)^n <= delta."""
    return ceil(log(delta) / log1p(-limit))


def samples_at_rate(rate: float, limit: float, delta: float) -> int | None:
    """About how many samples certify `limit` where a share `rate` of them are hits; None where 100 million do not."""
    if rate >= limit:
        return None
    low, high = 0, samples_without_hits(limit, delta)
    while not binomial_p_value(ceil(rate * high), high, limit) <= delta:
        low, high = high, 2 * high
        if high > _MOST_SAMPLES:
            return None
    while high - low > 1 + high // 1000:
        middle = (low + high) // 2
        enough = binomial_p_value(ceil(rate * middle), middle, limit) <= delta
        low, high = (low, middle) if enough else (middle, high)
    return high


def stake(expected: Tally, count: int, delta: float) -> float:
    """The share to bet on each of `count` samples, planned from `expected`, which holds other samples.

    Any share in [0, 1) keeps a test valid; this one makes it reject about as early as one can.
    Source: Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, JRSS-B 86 (2024),
    eq. 26, at a fixed number of samples.
    """
    if expected.highest <= expected.mean:
        return _LARGEST_BET
    bet = sqrt(2 * log(1 / delta) / (count * expected.variance)) * (expected.highest - expected.mean)
    return min(bet, _LARGEST_BET)


def betting_p_value(seen: Tally, limit: float, share: float) -> float:
    """p-value of "the mean is above `limit`".

    The wealth prod (1 + share (limit - x) / (highest - limit)) starts at 1 and, where the mean is above the limit,
    is expected to be at most 1: by Markov's inequality it exceeds 1/p with probability at most p. It depends on
    how often each value was seen, not on their order.
    Source: Waudby-Smith and Ramdas (2024), section 4, with one bet chosen from other samples.

    Args:
        seen: the samples.
        limit: on the mean.
        share: in [0, 1), chosen without looking at `seen`.
    """
    if seen.highest <= limit:
        return 0.0  # no sample can lie above
    values, counts = (np.asarray(each)[np.asarray(seen.counts) > 0] for each in (seen.values, seen.counts))
    gains = np.log1p(share * (limit - values) / (seen.highest - limit))
    return float(np.exp(-max(0.0, float(gains @ counts))))


def betting_upper(seen: Tally, delta: float, share: float) -> float:
    """The least limit that `betting_p_value` certifies at `delta`: the p-value falls as the limit rises."""
    low, high = seen.mean, seen.highest
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if betting_p_value(seen, middle, share) <= delta else (middle, high)
    return high
