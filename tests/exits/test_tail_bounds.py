import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptee_mcu.exits.tail_bounds import (
    Tally,
    betting_p_value,
    betting_upper,
    binomial_p_value,
    binomial_upper,
    samples_at_rate,
    samples_without_hits,
    stake,
)


def most_hits(count: int, limit: float, delta: float) -> int:
    return max(k for k in range(count) if binomial_p_value(k, count, limit) <= delta)


def test_the_largest_passing_share_is_the_published_one() -> None:
    assert [most_hits(5000, 0.01, delta) / 50 for delta in (0.05, 0.01)] == [0.76, 0.66]
    assert [most_hits(1000, 0.01, delta) / 10 for delta in (0.05, 0.01)] == [0.4, 0.2]
    assert most_hits(5000, 0.03, 0.05) / 50 == 2.58


@given(st.integers(0, 60), st.integers(61, 5000), st.sampled_from([0.01, 0.05, 0.3]))
def test_the_binomial_upper_bound_is_the_least_limit_that_is_certified(hits: int, count: int, delta: float) -> None:
    upper = binomial_upper(hits, count, delta)
    assert binomial_p_value(hits, count, upper) == pytest.approx(delta, rel=1e-6)
    assert binomial_p_value(hits, count, (1 + upper) / 2) < delta < binomial_p_value(hits, count, upper * 0.99)
    assert binomial_upper(count, count, delta) == 1.0


def test_so_many_samples_certify_and_one_less_does_not() -> None:
    assert samples_without_hits(0.01, 0.05) == 299
    assert binomial_p_value(0, 299, 0.01) <= 0.05 < binomial_p_value(0, 298, 0.01)
    count = samples_at_rate(0.005, 0.01, 0.05)
    assert count is not None
    assert binomial_p_value(int(np.ceil(0.005 * count)), count, 0.01) <= 0.05
    assert binomial_p_value(int(np.ceil(0.005 * 0.8 * count)), int(0.8 * count), 0.01) > 0.05
    assert samples_at_rate(0.01, 0.01, 0.05) is None
    assert samples_at_rate(0.0099999999, 0.01, 0.05) is None


@pytest.mark.parametrize("shares", [(0.006, 0.978, 0.016), (0.0, 0.99, 0.01), (0.3, 0.3, 0.4), (0.0, 0.9, 0.1)])
@pytest.mark.parametrize("bet", [0.02, 0.2, 0.9])
def test_a_true_limit_is_rejected_at_most_as_often_as_stated(shares: tuple[float, ...], bet: float) -> None:
    limit = shares[2] - shares[0]  # the mean lies on the limit: the hardest case
    draws = np.random.default_rng(0).multinomial(500, shares, size=2000)
    for delta in (0.05, 0.2):
        tallies = [Tally((-1.0, 0.0, 1.0), tuple(map(int, row)), 1.0) for row in draws]
        rejected = np.mean([betting_p_value(tally, limit - 1e-12, bet) <= delta for tally in tallies])
        assert rejected <= delta + 3 * (delta * (1 - delta) / 2000) ** 0.5


@given(st.lists(st.integers(0, 500), min_size=3, max_size=3).filter(any), st.floats(0.0, 0.99))
def test_the_betting_p_value_falls_as_the_limit_rises(counts: list[int], bet: float) -> None:
    seen = Tally((-1.0, 0.0, 1.0), tuple(counts), 1.0)
    p_values = [betting_p_value(seen, limit, bet) for limit in np.linspace(-0.9, 0.99, 20)]
    assert p_values == sorted(p_values, reverse=True)


def test_the_betting_upper_bound_is_near_what_a_normal_approximation_gives() -> None:
    seen = Tally((-1.0, 0.0, 1.0), (30, 4900, 70), 1.0)  # 2 % differ, the mean is 0.8 points
    upper = betting_upper(seen, 0.05, stake(seen, 5000, 0.05))
    assert betting_p_value(seen, upper, stake(seen, 5000, 0.05)) <= 0.05
    assert 0.008 + 1.645 * (0.02 / 5000) ** 0.5 < upper < 0.008 + 2.7 * (0.02 / 5000) ** 0.5


def test_what_no_sample_can_exceed_needs_no_evidence() -> None:
    assert betting_p_value(Tally((0.4, 1.0), (1, 0), 0.4), 0.4, 0.5) == 0.0
    assert stake(Tally((0.4,), (5,), 0.4), 100, 0.05) == 0.9


def test_a_tally_knows_mean_and_a_variance_that_is_never_zero() -> None:
    assert Tally((0.0, 1.0), (3, 1), 1.0).mean == 0.25
    assert Tally((0.0, 1.0), (4, 0), 1.0).variance == pytest.approx(0.2)
