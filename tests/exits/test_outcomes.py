from dataclasses import replace

import numpy as np
import pytest
from exits.outcomes import outcomes, plausible, split
from hypothesis import given
from hypothesis import strategies as st

from ptee_mcu.errors import DataError
from ptee_mcu.exits.outcomes import disagreement, exit_taken, make_outcomes, mean_cost, reach, risk_per_exit
from ptee_mcu.quant_graph import ALWAYS, NEVER

CODES = np.asarray([[-128, 0, 127, 5], [10, 127, -128, 9]], dtype=np.int8)


def test_an_image_leaves_at_the_first_exit_whose_code_reaches_its_threshold() -> None:
    assert exit_taken(CODES, (5, 10)).tolist() == [1, 1, 0, 0]
    assert exit_taken(CODES, (6, 10)).tolist() == [1, 1, 0, 2]


def test_128_never_fires_and_minus_128_always_does() -> None:
    assert exit_taken(CODES, (NEVER, NEVER)).tolist() == [2, 2, 2, 2]
    assert exit_taken(CODES, (NEVER, ALWAYS)).tolist() == [1, 1, 1, 1]


def test_a_network_without_early_exits_answers_at_its_end() -> None:
    assert exit_taken(np.zeros((0, 3), np.int8), ()).tolist() == [0, 0, 0]


def test_cost_reach_and_disagreement_are_means_over_images() -> None:
    seen = outcomes([[1, 0, 0, 1], [0, 0, 1, 1]], CODES)
    taken = np.asarray([0, 1, 1, 2])
    assert mean_cost(taken, (0.2, 0.6, 1.1)) == pytest.approx((0.2 + 0.6 + 0.6 + 1.1) / 4)
    assert reach(taken, 3) == (1.0, 0.75, 0.25)
    assert disagreement(seen, taken) == 0.5


@given(st.integers(0, 50), st.integers(2, 5), st.lists(st.integers(ALWAYS, NEVER), min_size=4, max_size=4))
def test_reach_falls_from_one_and_leaves_the_share_of_each_exit(seed: int, exits: int, thresholds: list[int]) -> None:
    seen = plausible(40, exits, seed)
    taken = exit_taken(seen.confidences, thresholds[: exits - 1])
    entered = np.asarray([*reach(taken, exits), 0.0])
    assert entered[0] == 1.0
    assert np.allclose(-np.diff(entered), np.bincount(taken, minlength=exits) / 40)


def test_a_bad_exit_shows_in_the_risk_per_exit() -> None:
    labels = np.asarray([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    seen = make_outcomes(replace(split(4), y=np.asarray([1, 0, 0, 0])), labels, np.zeros((2, 4), np.int8))
    first, second, last = risk_per_exit(seen, np.asarray([0, 0, 0, 1]))
    assert (first.count, 3 * (first.disagree or 0), 3 * (first.wrong or 0)) == (3, 2.0, 1.0)
    assert (second.count, second.disagree, second.wrong) == (1, 0.0, 0.0)
    assert (last.count, last.disagree, last.wrong) == (0, None, None)


def test_outcomes_of_another_size_or_type_are_refused() -> None:
    labels, codes = np.zeros((3, 4), np.int64), np.zeros((2, 4), np.int8)
    with pytest.raises(DataError, match=r"labels of the exits have shape \(3, 4\), thresholds holds 5 images"):
        make_outcomes(split(5), labels, codes)
    with pytest.raises(DataError, match=r"confidences are int8 \(3, 4\), int8 \(2, 4\) is expected"):
        make_outcomes(split(4), labels, np.zeros((3, 4), np.int8))
    with pytest.raises(DataError, match="confidences are float64"):
        make_outcomes(split(4), labels, codes.astype(np.float64))
