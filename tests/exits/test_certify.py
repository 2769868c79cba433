from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from exits.outcomes import split
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from ptee_mcu.data.splits import Part
from ptee_mcu.errors import ConfigError, DataError, SplitError
from ptee_mcu.exits.asks import DEFAULT_ASKS, Ask, Quantity
from ptee_mcu.exits.certify import certified, operating_points
from ptee_mcu.exits.chain import chain
from ptee_mcu.exits.expected import expected_disagreement, expected_drop
from ptee_mcu.exits.outcomes import Outcomes, exit_taken, make_outcomes, mean_cost, reach
from ptee_mcu.exits.search import Search, Vector
from ptee_mcu.exits.thresholds import note
from ptee_mcu.quant_graph import ALWAYS, NEVER

COSTS = (0.4, 0.7, 1.03)
POOL = 400_000
SPLITS = 200
A, B = 1000, 5000
TABLE = npt.NDArray[np.float64]  # (257, 257): per pair of thresholds


def simulated(count: int, early: int, seed: int) -> Outcomes:
    """Exits of a network on images of known difficulty; the final exit is right on nine in ten."""
    rng = np.random.default_rng(seed)
    ease = 1.3 * rng.normal(size=count)
    noise = np.zeros(count)
    truth = (rng.random(count) < 0.1 / (1 + np.exp(ease)) * 2).astype(np.int64)
    labels, codes = [], []
    for i in range(early):
        noise = 0.6 * noise + 0.5 * rng.normal(size=count)
        evidence = ease + noise + 1.5 * i / early
        labels.append(rng.random(count) < 1 / (1 + np.exp(1 + 2.2 * evidence)))
        codes.append(np.clip(np.round(evidence * 32), -128, 127))
    answers = np.concatenate([np.stack(labels).astype(np.int64), np.zeros((1, count), np.int64)])
    return make_outcomes(replace(split(count), y=truth), answers, np.stack(codes).astype(np.int8))


def part(pool: Outcomes, rows: npt.NDArray[np.int64], first: int = 0) -> Outcomes:
    """Some images of `pool` under new numbers, from `first` on."""
    some = replace(split(len(rows)), index=np.arange(len(rows)) + first, y=pool.split.y[rows])
    return make_outcomes(some, pool.labels[:, rows], pool.confidences[:, rows])


def division(pool: Outcomes, rng: np.random.Generator, a: int = A, b: int = B) -> tuple[Outcomes, Outcomes]:
    """Two independent samples; drawn with replacement, so that their true values are those of the pool."""
    rows = rng.integers(pool.count, size=a + b)
    return part(pool, rows[:a]), part(pool, rows[a:], a)


@cache
def pool_of_two() -> Outcomes:
    return simulated(POOL, 2, 0)


@cache
def truths() -> dict[Quantity, TABLE]:
    """True disagreement, drop and mean cost of all pairs of thresholds."""
    pool = pool_of_two()
    right = pool.labels == pool.split.y
    cost, wrong = Search(pool, COSTS).pair_sums((NEVER, NEVER), 0, 1)
    _, lost = Search(pool, COSTS, right[-1].astype(np.float64) - right).pair_sums((NEVER, NEVER), 0, 1)
    found = {Quantity.DISAGREEMENT: wrong, Quantity.DROP: lost, Quantity.MEAN_COST: cost}
    return {quantity: table / POOL for quantity, table in found.items()}


def realised(asks: Sequence[Ask], *, delta: float, seed: int) -> npt.NDArray[np.float64]:
    """(SPLITS, asks): the true value over the asked one, for each random calibration split."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(SPLITS):
        points = operating_points(*division(pool_of_two(), rng), COSTS, asks, delta=delta)
        codes = [tuple(t - ALWAYS for t in point.thresholds) for point in points]
        rows.append([truths()[ask.quantity][code] / ask.limit for ask, code in zip(asks, codes, strict=True)])
    return np.asarray(rows)


def most_failures(delta: float) -> int:
    """What a guarantee at `delta` may break in SPLITS splits, but for one chance in a thousand."""
    return int(binom.ppf(0.999, SPLITS, delta))


@pytest.mark.slow
def test_the_table_of_points_breaks_any_of_its_limits_in_at_most_five_of_a_hundred_splits_and_is_not_vacuous() -> None:
    ratios = realised(DEFAULT_ASKS, delta=0.05, seed=1)
    assert (ratios > 1).any(axis=1).sum() <= most_failures(0.05)
    assert (ratios.mean(axis=0) >= [0.6, 0.75, 0.85]).all()


@pytest.mark.slow
def test_every_quantity_breaks_its_limit_in_at_most_its_share_of_delta_and_is_not_vacuous() -> None:
    asks = {
        Ask(Quantity.DISAGREEMENT, 0.03): 0.8,
        Ask(Quantity.DROP, 0.01): 0.5,
        Ask(Quantity.DROP, 0.05): 0.75,
        Ask(Quantity.MEAN_COST, 0.7): 0.95,
    }
    ratios = realised(list(asks), delta=0.05 * len(asks), seed=2)
    assert ((ratios > 1).sum(axis=0) <= most_failures(0.05)).all()
    assert (ratios.mean(axis=0) >= list(asks.values())).all()


def test_a_smoothed_path_certifies_lower_cost_than_counting_disagreements_does() -> None:
    pool, costs = simulated(60_000, 9, 5), tuple(np.linspace(0.3, 1.05, 10))
    a, b = division(pool, np.random.default_rng(0))
    counted = [
        vector for vector in chain(a, costs, a.disagrees.astype(np.float64)) if _wrong(b, vector) / b.count <= 0.007
    ]
    (point,) = operating_points(a, b, costs, [Ask(Quantity.DISAGREEMENT, 0.01)])
    assert point.cost is not None
    assert point.cost < min(mean_cost(exit_taken(b.confidences, vector), costs) for vector in counted) + 0.01


def _wrong(outcomes: Outcomes, vector: tuple[int, ...]) -> int:
    taken = exit_taken(outcomes.confidences, vector)
    return int(outcomes.disagrees[taken, np.arange(outcomes.count)].sum())


def test_the_test_stops_at_the_first_vector_it_cannot_reject_and_keeps_those_before() -> None:
    p_values: dict[Vector, float] = {(0,): 0.01, (1,): 0.05, (2,): 0.06, (3,): 0.01}
    assert list(certified(list(p_values), p_values.__getitem__, 0.05)) == [(0,), (1,)]
    assert list(certified([(2,), (0,)], p_values.__getitem__, 0.05)) == []


@given(st.integers(0, 10**6), st.integers(1, 5))
@settings(max_examples=15)
def test_a_path_leads_from_never_to_always_and_each_vector_comes_once(seed: int, early: int) -> None:
    seen = simulated(200, early, seed)
    path = chain(seen, tuple(np.linspace(0.3, 1.0, early + 1)), expected_disagreement(seen))
    assert path[0] == (NEVER,) * early
    assert path[-1] == (ALWAYS,) * early
    assert len(set(path)) == len(path)


def test_a_path_goes_in_small_steps_where_the_few_images_that_lay_it_lose_nothing() -> None:
    """Two of 150 images win at the exit, none loses: all that A knows is that always leaving is best."""
    a, b = losing_below(-100, won=2, count=150), losing_below(-100, won=0, count=750, first=150)
    path = chain(a, COSTS[::2], expected_drop(a))
    spent = [mean_cost(exit_taken(a.confidences, vector), COSTS[::2]) for vector in path]
    assert expected_drop(a)[0].mean() < 0
    assert max(before - after for before, after in pairwise(spent)) < 0.05
    (point,) = operating_points(a, b, COSTS[::2], (Ask(Quantity.DROP, 0.01),))
    assert point.bound == 0.01
    assert point.cost is not None
    assert point.cost < 0.6


def losing_below(code: int, *, won: int, count: int, first: int = 0) -> Outcomes:
    """One exit, its codes spread evenly, that is wrong below `code`, but on the `won` images of least code right."""
    codes = np.linspace(-128, 127, count).round().astype(np.int8)
    labels = np.stack([(codes < code).astype(np.int64), np.zeros(count, np.int64)])
    truth = np.where(np.arange(count) < won, labels[0], 0)
    if won:
        labels[0, won:] = 0
    return make_outcomes(replace(split(count), index=np.arange(count) + first, y=truth), labels, codes[None])


def test_b_has_no_say_in_the_order_and_a_certifies_nothing() -> None:
    pool = pool_of_two()
    a, b = division(pool, np.random.default_rng(0))
    bad = make_outcomes(b.split, np.concatenate([1 - b.labels[-1:].repeat(2, 0), b.labels[-1:]]), b.confidences)
    for point in operating_points(a, bad, COSTS, DEFAULT_ASKS):
        assert point.asked is not None
        assert (exit_taken(bad.confidences, point.thresholds) < 2).mean() <= point.asked
    assert (operating_points(a, b, COSTS, DEFAULT_ASKS)[0].cost or 2) < 0.9


def test_disagreement_needs_no_labels() -> None:
    a, b = division(pool_of_two(), np.random.default_rng(4))
    c, d = (replace(o, split=replace(o.split, y=np.full(o.count, -1))) for o in (a, b))
    assert operating_points(c, d, COSTS, DEFAULT_ASKS) == operating_points(a, b, COSTS, DEFAULT_ASKS)


def test_a_point_states_what_was_asked_and_what_split_b_gave() -> None:
    a, b = division(pool_of_two(), np.random.default_rng(4))
    asks = (*DEFAULT_ASKS, Ask(Quantity.DROP, 0.005), Ask(Quantity.MEAN_COST, 0.8), Ask(Quantity.MEAN_CYCLES, 7e5))
    points = operating_points(a, b, COSTS, asks, cycles=[1e6 * cost for cost in COSTS])
    assert [p.name for p in points] == [
        "max_disagreement_1pct",
        "max_disagreement_3pct",
        "max_disagreement_10pct",
        "max_drop_0p5pp",
        "mean_cost_0p8",
        "mean_cycles_700000",
    ]
    right = b.labels == b.split.y
    for ask, point in zip(asks, points, strict=True):
        taken = exit_taken(b.confidences, point.thresholds)
        drop = float(right[-1].mean() - right[taken, np.arange(b.count)].mean())
        cost = mean_cost(taken, COSTS)
        measured = {"disagreement": _wrong(b, point.thresholds) / b.count, "drop": drop, "mean_cost": cost}
        assert point.measured == pytest.approx(measured.get(ask.quantity, 1e6 * cost))
        assert point.cost == pytest.approx(cost)
        assert point.reach == reach(taken, 3)
        assert (point.quantity, point.asked, point.bound, point.delta) == (ask.quantity, ask.limit, ask.limit, 0.05)
        assert note(point) is None


def test_more_asks_share_delta_and_each_gets_more_careful() -> None:
    a, b = division(pool_of_two(), np.random.default_rng(4))
    alone = operating_points(a, b, COSTS, DEFAULT_ASKS[:1])[0]
    many = [Ask(Quantity.DISAGREEMENT, limit / 1000) for limit in range(10, 200, 10)]
    assert (operating_points(a, b, COSTS, many)[0].cost or 0) > (alone.cost or 2)


def test_too_few_images_for_a_limit_never_fire_and_say_what_would_do() -> None:
    a, b = division(pool_of_two(), np.random.default_rng(4), b=200)
    (point,) = operating_points(a, b, COSTS, [Ask(Quantity.DISAGREEMENT, 0.01)])
    assert (point.thresholds, point.bound, point.measured) == ((NEVER, NEVER), 0.0, 0.0)
    assert "a disagreement of at most 1 % cannot be certified at confidence 0.95 with 200 images" in str(note(point))
    assert "The least that they could certify is 1.49 %, and with 5 % of them leaving early" in str(note(point))
    assert "299 images would do where none is lost" in str(note(point))
    (drop,) = operating_points(a, b, COSTS, [Ask(Quantity.DROP, 0.01)])
    assert "a drop of at most 1 percentage points cannot be certified" in str(note(drop))


def test_heads_that_are_always_wrong_never_fire_and_no_number_of_images_would_do() -> None:
    a, b = (
        make_outcomes(
            replace(split(count), index=np.arange(count) + first),
            np.concatenate([np.ones((2, count), np.int64), np.zeros((1, count), np.int64)]),
            np.full((2, count), 7, np.int8),
        )
        for first, count in ((0, 100), (100, 1000))
    )
    (point,) = operating_points(a, b, COSTS, [Ask(Quantity.DISAGREEMENT, 0.01)])
    assert point.thresholds == (NEVER, NEVER)
    assert str(note(point)).startswith("no exit fires")
    (scarce,) = operating_points(a, b, COSTS, [Ask(Quantity.DISAGREEMENT, 0.001)])
    assert "no sensible number would at the rate seen here: train the heads longer" in str(note(scarce))


def test_a_budget_below_the_first_exit_is_refused_with_the_least_cost() -> None:
    a, b = division(pool_of_two(), np.random.default_rng(4))
    low, cycles = operating_points(
        a, b, COSTS, [Ask(Quantity.MEAN_COST, 0.3), Ask(Quantity.MEAN_CYCLES, 3e5)], cycles=(4e5, 7e5, 1.03e6)
    )
    assert (low.thresholds, low.delta, low.bound) == ((NEVER, NEVER), None, None)
    assert "a mean cost of at most 0.3 backbones cannot be reached: the least is 0.4 backbones" in str(note(low))
    assert "a mean of at most 300,000 cycles cannot be reached: the least is 400,000 cycles" in str(note(cycles))


def test_a_budget_that_no_image_can_exceed_needs_no_evidence() -> None:
    a, b = division(pool_of_two(), np.random.default_rng(4), b=10)
    first, whole = operating_points(a, b, COSTS, [Ask(Quantity.MEAN_COST, 0.4), Ask(Quantity.MEAN_COST, 1.03)])
    assert first.thresholds[0] == ALWAYS
    assert first.cost == pytest.approx(0.4)
    assert whole.measured == pytest.approx(whole.cost)
    assert _wrong(b, whole.thresholds) == 0


def test_a_network_without_early_exits_gets_points_that_promise_nothing_breaks() -> None:
    a, b = (
        make_outcomes(
            replace(split(20), index=np.arange(20) + first), np.zeros((1, 20), np.int64), np.zeros((0, 20), np.int8)
        )
        for first in (0, 20)
    )
    points = operating_points(a, b, (1.0,), [*DEFAULT_ASKS, Ask(Quantity.MEAN_COST, 1.0)])
    assert [p.thresholds for p in points] == [()] * 4
    assert [p.bound for p in points] == [0.0, 0.0, 0.0, 1.0]


def test_expected_disagreement_averages_to_the_observed_one() -> None:
    seen = part(pool_of_two(), np.arange(2000))
    expected = expected_disagreement(seen)
    assert expected.mean(axis=1) == pytest.approx(seen.disagrees.mean(axis=1), abs=1e-3)
    assert (expected[-1] == 0).all()
    right = seen.labels == seen.split.y
    assert expected_drop(seen).mean(axis=1) == pytest.approx((right[-1] * 1.0 - right).mean(axis=1), abs=2e-3)


DISAGREE = Ask(Quantity.DISAGREEMENT, 0.01)
REFUSED: dict[str, tuple[tuple[Ask, ...], float, str]] = {
    "delta 0": ((DISAGREE,), 0.0, r"delta 0\.0 lies outside \(0, 1\)"),
    "delta 1": ((DISAGREE,), 1.0, r"delta 1\.0 lies outside \(0, 1\)"),
    "delta not a number": ((DISAGREE,), float("nan"), r"delta nan lies outside"),
    "nothing": ((), 0.05, "no operating point is asked for"),
    "no disagreement": ((Ask(Quantity.DISAGREEMENT, 0.0),), 0.05, r"disagreement 0\.0 lies outside \(0, 1\)"),
    "a drop of all": ((Ask(Quantity.DROP, 1.0),), 0.05, r"drop 1\.0 lies outside \(0, 1\)"),
    "a negative budget": ((Ask(Quantity.MEAN_COST, -1.0),), 0.05, r"mean_cost -1\.0 is not a finite number above 0"),
    "an endless budget": ((Ask(Quantity.MEAN_CYCLES, np.inf),), 0.05, r"mean_cycles inf is not a finite number"),
    "twice": ((DISAGREE, DISAGREE), 0.05, r"a disagreement of at most 1 % is asked for twice"),
    "cycles unknown": ((Ask(Quantity.MEAN_CYCLES, 1e6),), 0.05, "the cycles of the exits are not known"),
}


@pytest.mark.parametrize(("asks", "delta", "message"), REFUSED.values(), ids=REFUSED)
def test_asks_out_of_range_are_refused(asks: tuple[Ask, ...], delta: float, message: str) -> None:
    a, b = division(pool_of_two(), np.random.default_rng(4), 20, 20)
    with pytest.raises(ConfigError, match=message):
        operating_points(a, b, COSTS, asks, delta=delta)


def test_outcomes_that_can_certify_nothing_are_refused() -> None:
    a, b = division(pool_of_two(), np.random.default_rng(4), 20, 20)
    with pytest.raises(SplitError, match=r"thresholds and thresholds share 20 images"):
        operating_points(a, a, COSTS, DEFAULT_ASKS)
    operating_points(a, replace(a, split=replace(a.split, part=Part.TRAIN)), COSTS, DEFAULT_ASKS)
    seen = replace(b, split=replace(b.split, seen_by_heads=True))
    with pytest.raises(SplitError, match="the exit heads may have been trained on them"):
        operating_points(a, seen, COSTS, DEFAULT_ASKS)
    with pytest.raises(DataError, match="outcomes of 3 and 3 exits, costs of 2"):
        operating_points(a, b, (0.4, 1.0), DEFAULT_ASKS)
    with pytest.raises(DataError, match="outcomes of 3 and 3 exits, costs of 1"):
        operating_points(a, b, COSTS, DEFAULT_ASKS, cycles=[1e6])
    with pytest.raises(DataError, match=r"costs of the exits are .*finite numbers above 0"):
        operating_points(a, b, (0.0, 0.5, 1.0), DEFAULT_ASKS)
    few = part(pool_of_two(), np.arange(9))
    with pytest.raises(DataError, match="thresholds holds 9 images, nothing can be promised from fewer than 10"):
        operating_points(few, b, COSTS, DEFAULT_ASKS)


def test_a_point_whose_exits_cost_more_than_they_save_never_fires_where_heads_can_be_left_out() -> None:
    dear = (1.4, 1.7, 2.0)
    a, b = division(pool_of_two(), np.random.default_rng(5))
    ask = Ask(Quantity.DISAGREEMENT, 0.03)

    def costs_at(vector: Vector) -> tuple[float, ...]:
        return (1.0, 1.0, 1.0) if vector == (NEVER, NEVER) else dear

    [charged] = operating_points(a, b, dear, [ask])
    [point] = operating_points(a, b, dear, [ask], costs_at=costs_at)
    assert charged.cost is not None
    assert min(charged.thresholds) < NEVER
    assert (point.thresholds, point.cost) == ((NEVER, NEVER), 1.0)
