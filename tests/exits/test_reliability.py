import json
from dataclasses import asdict, replace
from math import log

import numpy as np
import pytest
from exits.outcomes import split
from support.builder import small_network

from ptee_mcu.data import Split, Use
from ptee_mcu.errors import DataError, SplitError
from ptee_mcu.exits.reliability import (
    Bin,
    ExitScores,
    Reliability,
    Score,
    dequantized,
    diagram,
    exit_scores,
    expected_calibration_error,
    measure,
    reliability_bins,
    sigmoid_temperature,
    softmax_temperature,
)
from ptee_mcu.sim import evaluate

IMAGES = 20_000


def true_to(logits: np.ndarray, temperature: float, rng: np.random.Generator) -> np.ndarray:
    """Labels drawn from softmax(logits / temperature)."""
    noise = rng.gumbel(size=logits.shape)
    labels: np.ndarray = (logits / temperature + noise).argmax(axis=1)
    return labels


def scores(temperature: float, seed: int = 0, images: int = IMAGES, name: str = "exit0") -> ExitScores:
    """Scores whose softmax is true at `temperature`; confidences whose sigmoid is far too sure."""
    rng = np.random.default_rng(seed)
    logits = 6 * rng.normal(size=(images, 10))
    labels = true_to(logits, temperature, rng)
    return exit_scores(name, logits, np.full(images, 6.0), labels)


def report(count: int) -> Split:
    return replace(split(count, "report"), used_for=frozenset({Use.REPORT}))


def error(probability: list[float], correct: list[bool], count: int = 15) -> float:
    return expected_calibration_error(reliability_bins(np.array(probability), np.array(correct), count))


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_recovered(temperature: float) -> None:
    made = scores(temperature)
    assert softmax_temperature(made.logits, made.labels) == pytest.approx(temperature, rel=0.03)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_of_a_sigmoid_is_recovered(temperature: float) -> None:
    rng = np.random.default_rng(1)
    h = 3 * rng.normal(size=IMAGES)
    correct = rng.random(IMAGES) < 1 / (1 + np.exp(-h / temperature))
    assert sigmoid_temperature(h, correct) == pytest.approx(temperature, rel=0.05)


def test_where_every_label_is_the_largest_logit_the_temperature_is_the_lower_end() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 3))
    assert softmax_temperature(logits, logits.argmax(axis=1)) < 0.1
    assert softmax_temperature(logits, logits.argmin(axis=1)) > 90


def test_calibrated_probabilities_have_next_to_no_error() -> None:
    rng = np.random.default_rng(2)
    p = rng.random(200_000)
    correct = rng.random(200_000) < p
    assert expected_calibration_error(reliability_bins(p, correct)) < 0.005


def test_the_error_by_hand() -> None:
    assert error([1.0, 1.0, 1.0, 1.0], [True, True, True, False]) == pytest.approx(0.25)
    assert error([0.9, 0.9, 0.3], [True, False, False]) == pytest.approx((2 * 0.4 + 0.3) / 3)
    assert error([0.5, 0.7], [True, False], count=1) == pytest.approx(0.1)


def test_bins_hold_their_upper_ends_and_the_first_one_zero() -> None:
    bins = reliability_bins(np.array([0.0, 0.5, 0.5000001, 1.0]), np.array([False, True, True, True]), 2)
    assert [b.count for b in bins] == [2, 2]
    assert bins[0] == Bin(0.0, 0.5, 2, 0.25, 0.5)


def test_empty_bins_hold_nothing_and_weigh_nothing() -> None:
    bins = reliability_bins(np.array([0.95, 0.97]), np.array([True, True]), 4)
    assert bins[:3] == tuple(Bin(i / 4, (i + 1) / 4, 0, None, None) for i in range(3))
    assert expected_calibration_error(bins) == pytest.approx(0.04)


def test_a_temperature_from_one_split_lowers_the_error_on_another() -> None:
    found = measure(split(IMAGES), [scores(2.5)], report(IMAGES), [scores(2.5, seed=9)])
    assert [(r.exit, r.score) for r in found] == [("exit0", Score.SOFTMAX), ("exit0", Score.CONFIDENCE)]
    for each in found:
        assert each.ece_before > 0.1
        assert each.ece_after < 0.02
        assert each.ece_before == pytest.approx(expected_calibration_error(each.bins))
        assert each.ece_after == pytest.approx(expected_calibration_error(each.bins_after))
    accuracy = (scores(2.5).logits.argmax(axis=1) == scores(2.5).labels).mean()
    assert found[1].temperature == pytest.approx(6.0 / log(accuracy / (1 - accuracy)), rel=1e-3)


def test_bins_go_into_json() -> None:
    found = measure(split(100), [scores(1.0, images=100)], report(100), [scores(1.0, 1, images=100)])[0]
    written = json.loads(json.dumps([asdict(b) for b in found.bins]))
    assert written[0] == {"low": 0.0, "high": 1 / 15, "count": 0, "confidence": None, "accuracy": None}
    assert sum(b["count"] for b in written) == 100


def test_temperatures_are_not_fitted_on_images_that_were_seen_nor_reported_on_others() -> None:
    made = [scores(1.0, images=30)]
    seen = replace(split(30), seen_by_heads=True)
    with pytest.raises(SplitError, match="the exit heads may have been trained on"):
        measure(seen, made, report(30), made)
    with pytest.raises(SplitError, match="nothing can be reported on thresholds"):
        measure(split(30), made, split(30), made)


def test_scores_of_other_images_or_exits_are_refused() -> None:
    made = [scores(1.0, images=30)]
    with pytest.raises(DataError, match="exit0: scores of 30 images, report has 31"):
        measure(split(30), made, report(31), made)
    with pytest.raises(DataError, match=r"scores of exits \['exit0'\] and of \['exit1'\]"):
        measure(split(30), made, report(30), [scores(1.0, images=30, name="exit1")])


def test_scores_that_cannot_be_are_refused() -> None:
    z, h, y = np.zeros((2, 3)), np.zeros(2), np.zeros(2, np.int64)
    with pytest.raises(DataError, match=r"exit0: logits \(2, 3\), confidences \(3,\) and labels \(2,\)"):
        exit_scores("exit0", z, np.zeros(3), y)
    with pytest.raises(DataError, match=r"exit0: logits \(0, 3\)"):
        exit_scores("exit0", z[:0], h[:0], y[:0])
    with pytest.raises(DataError, match="exit0: 2 scores are not finite"):
        exit_scores("exit0", z, h + np.nan, y)
    with pytest.raises(DataError, match="exit0: labels from 0 to 3, 3 classes"):
        exit_scores("exit0", z, h, np.array([0, 3]))


def test_scores_of_int8_codes_are_their_real_numbers_and_the_final_exits_labels() -> None:
    graph = small_network("small")
    x = np.random.default_rng(0).integers(-128, 128, (20, *graph.input_tensor.shape[1:])).astype(np.int8)
    answers = evaluate(graph, x, full=True)
    assert answers.exit_logits is not None
    assert answers.confidences is not None
    (found,) = dequantized(graph, answers.exit_logits, answers.confidences)
    leave = graph.exits[0]
    quant = graph.tensors[leave.logits].quant
    assert found.exit == leave.name
    expected = quant.scale * (answers.exit_logits[0].astype(float) - quant.zero_point)
    assert np.allclose(found.logits, expected, rtol=1e-6)
    assert leave.rule is not None
    quant = graph.tensors[leave.rule.tensor].quant
    expected = quant.scale * (answers.confidences[0].astype(float) - quant.zero_point)
    assert np.allclose(found.confidence, expected, rtol=1e-6)
    assert answers.labels is not None
    assert np.array_equal(found.labels, answers.labels[-1])
    (labelled,) = dequantized(graph, answers.exit_logits, answers.confidences, np.zeros(20, np.int64))
    assert not labelled.labels.any()


def test_the_diagram_draws_accuracy_as_a_bar_and_marks_the_mean_probability() -> None:
    bins = (Bin(0.0, 0.5, 0, None, None), Bin(0.5, 1.0, 8, 0.75, 0.5))
    text = diagram(Reliability("exit1", Score.SOFTMAX, 1.5, 0.25, 0.031, bins, bins))
    assert text == (
        "exit1, softmax: temperature 1.50, expected calibration error 25.00% before, 3.10% after\n"
        "  probability    mean   right   images\n"
        "  0.000-0.500       -       -        0\n"
        "  0.500-1.000   75.0%   50.0%        8  " + "#" * 20 + " " * 10 + "|"
    )
