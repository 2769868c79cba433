from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from exits.outcomes import outcomes, plausible
from hypothesis import given, settings
from hypothesis import strategies as st

from ptee_mcu.errors import ConfigError, DataError, SplitError
from ptee_mcu.exits.frontier import candidates, frontier
from ptee_mcu.exits.outcomes import Outcomes, disagreement, exit_taken, mean_cost, reach
from ptee_mcu.exits.thresholds import choose, note
from ptee_mcu.quant_graph import ALWAYS, NEVER, OperatingPoint

COSTS = (0.3, 0.6, 0.8, 0.9, 1.05)


def costs(exits: int) -> tuple[float, ...]:
    return (*COSTS[: exits - 1], COSTS[-1])


def on(seen: Outcomes, thresholds: tuple[int, ...], exits: int) -> tuple[float, float]:
    taken = exit_taken(seen.confidences, thresholds)
    return disagreement(seen, taken), mean_cost(taken, costs(exits))


@st.composite
def tiny(draw: st.DrawFn) -> tuple[Outcomes, int]:
    """Outcomes of anything, on few images."""
    exits, count = draw(st.integers(2, 4)), draw(st.integers(1, 6))
    bits = st.lists(st.integers(0, 1), min_size=count, max_size=count)
    codes = st.lists(st.integers(-128, 127), min_size=count, max_size=count)
    rows = range(exits - 1)
    return outcomes([draw(bits) for _ in rows], [draw(codes) for _ in rows]), exits


@given(st.integers(0, 10**6), st.integers(2, 5), st.sampled_from([0.0, 0.003, 0.01, 0.05, 0.3, 1.0]))
@settings(max_examples=20)
def test_the_chosen_thresholds_stay_within_the_limit_on_the_choosing_images(
    seed: int, exits: int, limit: float
) -> None:
    a, b = plausible(150, exits, seed), plausible(400, exits, seed + 1)
    point = choose(a, b, costs(exits), max_disagreement=limit)
    on_a, on_b = on(a, point.thresholds, exits)[0], on(b, point.thresholds, exits)[0]
    both = (150 * on_a + 400 * on_b) / 550
    assert max(on_b, both) <= limit
    assert point.measured == pytest.approx(both)
    assert point.asked == limit
    assert all(ALWAYS <= t <= NEVER for t in point.thresholds)
    taken = np.concatenate([exit_taken(s.confidences, point.thresholds) for s in (a, b)])
    assert point.reach == reach(taken, exits)


@given(tiny(), st.sampled_from([0.0, 0.2, 0.5, 1.0]))
@settings(max_examples=50)
def test_no_thresholds_at_all_are_cheaper_on_few_images(case: tuple[Outcomes, int], limit: float) -> None:
    seen, exits = case
    point = choose(seen, seen, costs(exits), max_disagreement=limit)
    levels = [sorted({NEVER, *map(int, codes)}) for codes in seen.confidences]
    allowed = [on(seen, vector, exits) for vector in product(*levels)]
    cheapest = min(cost for wrong, cost in allowed if wrong <= limit)
    assert on(seen, point.thresholds, exits)[1] == pytest.approx(cheapest)


@given(st.integers(0, 10**6))
@settings(max_examples=6)
def test_with_two_early_exits_the_cheapest_of_all_thresholds_are_found(seed: int) -> None:
    seen, limit = plausible(600, 3, seed), 0.03
    first, second = (seen.confidences[i].astype(int) + 128 for i in (0, 1))
    wrong = seen.disagrees
    best = np.inf
    for t in range(257):
        here = first >= t
        left = ~here
        fires = np.arange(257)[:, None] <= second[left][None, :]
        errors = wrong[0, here].sum() + (fires & wrong[1, left]).sum(axis=1)
        total = here.sum() * COSTS[0] + fires.sum(axis=1) * COSTS[1] + (~fires).sum(axis=1) * COSTS[-1]
        best = min(best, total[errors <= limit * 600].min(initial=np.inf) / 600)
    point = choose(seen, seen, costs(3), max_disagreement=limit)
    assert on(seen, point.thresholds, 3)[1] == pytest.approx(best)


def test_each_exit_having_its_own_threshold_beats_a_shared_one() -> None:
    seen, exits, limit = plausible(2000, 4, 7), 4, 0.03
    shared = [on(seen, (t,) * 3, exits) for t in range(ALWAYS, NEVER + 1)]
    point = choose(seen, seen, costs(exits), max_disagreement=limit)
    assert on(seen, point.thresholds, exits)[1] < min(cost for wrong, cost in shared if wrong <= limit)


@given(st.integers(0, 10**6), st.integers(2, 5))
@settings(max_examples=6)
def test_along_the_frontier_more_disagreement_buys_lower_cost(seed: int, exits: int) -> None:
    seen = plausible(120, exits, seed)
    points = [on(seen, vector, exits) for vector in frontier(seen, costs(exits), 0.05)]
    assert all(a[0] < b[0] and a[1] > b[1] for a, b in pairwise(points))
    assert (NEVER,) * (exits - 1) in candidates(seen, costs(exits), 0.05)


def test_a_split_that_disagrees_more_than_the_other_gets_more_careful_thresholds() -> None:
    rng = np.random.default_rng(0)
    a = outcomes(np.zeros((1, 50)), rng.integers(0, 100, (1, 50)))
    codes = np.arange(100)[None]
    b = outcomes(codes < 20, codes)
    (threshold,) = choose(a, b, (0.5, 1.0), max_disagreement=0.0).thresholds
    assert 20 <= threshold <= 52


def test_where_no_exit_may_fire_all_thresholds_are_128_and_a_note_says_so() -> None:
    always_wrong = outcomes(np.ones((2, 30)), np.zeros((2, 30)))
    point = choose(always_wrong, always_wrong, (0.4, 0.7, 1.0), max_disagreement=0.01, name="careful")
    assert (point.name, point.thresholds, point.reach, point.measured) == ("careful", (128, 128), (1.0, 1.0, 1.0), 0.0)
    assert "no exit fires: no threshold keeps the disagreement within 1.00%" in str(note(point))


def test_an_estimated_point_is_called_uncertified_and_a_certified_one_needs_no_note() -> None:
    right = outcomes(np.zeros((1, 30)), np.zeros((1, 30)))
    point = choose(right, right, (0.4, 1.0), max_disagreement=0.01)
    assert (point.reach, point.delta, point.bound) == ((1.0, 0.0), None, None)
    assert point.cost == pytest.approx(0.4)
    assert str(note(point)).startswith("uncertified: thresholds keep the disagreement within 1.00% on the choosing")
    assert note(replace(point, delta=0.05, bound=0.01)) is None
    assert note(replace(point, asked=None)) is None


def test_a_points_own_note_comes_first() -> None:
    assert note(OperatingPoint("p", (NEVER,), note="too few images")) == "too few images"


def test_the_same_outcomes_give_the_same_thresholds() -> None:
    a, b = plausible(300, 4, 1), plausible(500, 4, 2)
    assert choose(a, b, costs(4), max_disagreement=0.05) == choose(a, b, costs(4), max_disagreement=0.05)


@pytest.mark.parametrize("which", ["a", "b"])
def test_images_that_backbone_or_heads_have_seen_choose_nothing(which: str) -> None:
    right = outcomes(np.zeros((1, 30)), np.zeros((1, 30)))
    seen = replace(right, split=replace(right.split, seen_by_backbone=True))
    a, b = (seen, right) if which == "a" else (right, seen)
    with pytest.raises(SplitError, match=r"thresholds cannot be chosen on thresholds \(30 images\): the backbone"):
        choose(a, b, (0.4, 1.0), max_disagreement=0.01)


def test_a_limit_outside_0_to_1_is_refused() -> None:
    right = outcomes(np.zeros((1, 30)), np.zeros((1, 30)))
    with pytest.raises(ConfigError, match=r"max_disagreement 1\.5 lies outside \[0, 1\]"):
        choose(right, right, (0.4, 1.0), max_disagreement=1.5)


def test_outcomes_and_costs_of_different_exits_are_refused() -> None:
    right = outcomes(np.zeros((1, 30)), np.zeros((1, 30)))
    with pytest.raises(DataError, match="outcomes of 2 and 2 exits, costs of 3"):
        choose(right, right, (0.4, 0.5, 1.0), max_disagreement=0.01)
