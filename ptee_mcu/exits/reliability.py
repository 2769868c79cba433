"""How far an exit's probabilities can be believed: temperature, reliability diagram, expected calibration error.

For the report and the curious. A threshold of an exit's own confidence needs none of this: dividing that one logit by
a temperature keeps the order of the images, so the threshold moves along and lets out the same ones. A temperature
matters where one threshold serves several exits, or where somebody reads the number as a probability.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from math import exp, log

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, logsumexp

from ptee_mcu.data import Split, require_choosable, require_reportable
from ptee_mcu.errors import DataError
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import Int8

Reals = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]

BINS = 15  # Guo et al. 2017, table 1
_TEMPERATURES = (0.01, 100.0)
_WIDTH = 40  # characters of a diagram's bar


class Score(Enum):
    """What is read as the probability that an exit's label is the backbone's."""

    SOFTMAX = "softmax"  # the largest probability of the classifier
    CONFIDENCE = "confidence"  # the sigmoid of the exit's confidence


@dataclass(frozen=True, slots=True)
class Bin:
    """Images whose probability lies in (low, high], the first bin with 0; means are None where there are none."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Reliability:
    """A score of one exit: temperature from one split; errors, and bins at temperature 1, from another.

    `bins_after` are those at `temperature`. `dataclasses.asdict` gives what JSON takes, but for the enum `score`.
    """

    exit: str
    score: Score
    temperature: float
    ece_before: float
    ece_after: float
    bins: tuple[Bin, ...]
    bins_after: tuple[Bin, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ExitScores:
    """What one early exit says about N images: logits (N, K), confidence (N,) ahead of its sigmoid, labels asked (N,).

    The labels are the backbone's own answers, or true ones.
    """

    exit: str
    logits: Reals
    confidence: Reals
    labels: Integers


def exit_scores(exit_name: str, logits: npt.ArrayLike, confidence: npt.ArrayLike, labels: npt.ArrayLike) -> ExitScores:
    """Verified ExitScores.

    Raises:
        DataError: where there is no image, shapes do not fit, a number is not finite, or a label is out of range.
    """
    z, h = np.asarray(logits, np.float64), np.asarray(confidence, np.float64)
    y = np.asarray(labels, np.int64)
    if z.ndim != 2 or not z.size or h.shape != z.shape[:1] or y.shape != z.shape[:1]:
        raise DataError(f"{exit_name}: logits {z.shape}, confidences {h.shape} and labels {y.shape} of its images")
    if not (np.isfinite(z).all() and np.isfinite(h).all()):
        raise DataError(f"{exit_name}: {int((~np.isfinite(z)).sum() + (~np.isfinite(h)).sum())} scores are not finite")
    if y.min() < 0 or y.max() >= z.shape[1]:
        raise DataError(f"{exit_name}: labels from {y.min()} to {y.max()}, {z.shape[1]} classes")
    return ExitScores(exit_name, z, h, y)


def dequantized(
    graph: QuantGraph, exit_logits: Int8, confidences: Int8, labels: npt.ArrayLike | None = None
) -> tuple[ExitScores, ...]:
    """The scores of every early exit from codes (E, N, K) and (E - 1, N), as a full evaluation gives them.

    Without `labels` (N,) the final exit's own answers are the labels, the lowest of equals as everywhere.

    Raises:
        DataError: as `exit_scores`.
    """
    asked = exit_logits[-1].argmax(axis=1) if labels is None else labels
    return tuple(
        exit_scores(
            leave.name,
            graph.tensors[leave.logits].quant.reals(exit_logits[i]),
            graph.tensors[leave.rule.tensor].quant.reals(confidences[i]),
            asked,
        )
        for i, leave in enumerate(graph.exits)
        if leave.rule is not None
    )


def measure(a: Split, on_a: Sequence[ExitScores], report: Split, on_report: Sequence[ExitScores]) -> list[Reliability]:
    """Both scores of every early exit: temperatures from split A, everything else from the report split.

    Raises:
        SplitError: where backbone or heads have seen a split, or it serves something else.
        DataError: where the scores are not of the splits' images, or not of the same exits.
    """
    require_choosable(a)
    require_reportable(report)
    for split, scores in ((a, on_a), (report, on_report)):
        for each in scores:
            if len(each.labels) != len(split):
                raise DataError(f"{each.exit}: scores of {len(each.labels)} images, {split.name} has {len(split)}")
    if [each.exit for each in on_a] != [each.exit for each in on_report]:
        raise DataError(f"scores of exits {[e.exit for e in on_a]} and of {[e.exit for e in on_report]}")
    return [
        _measured(score, fitted, held)
        for fitted, held in zip(on_a, on_report, strict=True)
        for score in Score
    ]  # fmt: skip


def softmax_temperature(logits: Reals, labels: Integers) -> float:
    """The tau of least mean negative log-likelihood of softmax(logits / tau) (N, K) at the labels (N,).

    In [0.01, 100]; at the lower end where every label is the largest logit: then nothing is too sharp.

    Source: Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017, section 4.2.
    """
    own = logits[np.arange(len(logits)), labels]
    return _least(lambda tau: float((logsumexp(logits / tau, axis=1) - own / tau).mean()))


def sigmoid_temperature(confidence: Reals, correct: Truths) -> float:
    """The tau of least mean negative log-likelihood of sigmoid(confidence / tau) (N,) for `correct` (N,)."""
    signed = np.where(correct, confidence, -confidence)
    return _least(lambda tau: float(-log_expit(signed / tau).mean()))


def reliability_bins(probability: Reals, correct: Truths, count: int = BINS) -> tuple[Bin, ...]:
    """The reliability diagram: mean probability and accuracy of images in `count` bins of equal width over [0, 1].

    Equal width, as Guo et al. 2017, section 2: a probability of exactly a bin's upper end belongs to it.
    """
    index = np.clip(np.ceil(probability * count).astype(np.int64) - 1, 0, count - 1)
    images = np.bincount(index, minlength=count)
    sums, rights = np.bincount(index, probability, count), np.bincount(index, correct, count)
    return tuple(
        Bin(
            i / count,
            (i + 1) / count,
            int(n),
            float(sums[i] / n) if n else None,
            float(rights[i] / n) if n else None,
        )
        for i, n in enumerate(images)
    )


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean over images of |accuracy - confidence| of their bin; empty bins weigh nothing.

    Source: Guo et al. 2017, equation 3.
    """
    total = sum(b.count for b in bins)
    gaps = (
        b.count * abs(b.accuracy - b.confidence) for b in bins if b.accuracy is not None and b.confidence is not None
    )
    return sum(gaps) / total


def diagram(reliability: Reliability) -> str:
    """The diagram at temperature 1 as text: a bar as long as the accuracy, a | where the mean probability stands."""
    r = reliability
    errors = f"expected calibration error {r.ece_before:.2%} before, {r.ece_after:.2%} after"
    lines = [
        f"{r.exit}, {r.score.value}: temperature {r.temperature:.2f}, {errors}",
        f"{'probability':>13}  {'mean':>6}  {'right':>6}  {'images':>7}",
    ]
    for b in r.bins:
        between = f"{b.low:.3f}-{b.high:.3f}"
        if b.confidence is None or b.accuracy is None:
            lines.append(f"{between:>13}  {'-':>6}  {'-':>6}  {0:>7}")
        else:
            bar = _bar(b.accuracy, b.confidence)
            lines.append(f"{between:>13}  {b.confidence:>6.1%}  {b.accuracy:>6.1%}  {b.count:>7}  {bar}")
    return "\n".join(lines)


def _bar(accuracy: float, confidence: float) -> str:
    filled, mark = round(accuracy * _WIDTH), min(round(confidence * _WIDTH), _WIDTH - 1)
    bar = list("#" * filled + " " * (_WIDTH - filled))
    bar[mark] = "|"
    return "".join(bar).rstrip()


def _measured(score: Score, fitted: ExitScores, held: ExitScores) -> Reliability:
    correct_fitted, correct = _correct(fitted), _correct(held)
    if score is Score.SOFTMAX:
        temperature = softmax_temperature(fitted.logits, fitted.labels)
    else:
        temperature = sigmoid_temperature(fitted.confidence, correct_fitted)
    before, after = (reliability_bins(_probability(score, held, tau), correct) for tau in (1.0, temperature))
    errors = expected_calibration_error(before), expected_calibration_error(after)
    return Reliability(held.exit, score, temperature, *errors, before, after)


def _correct(scores: ExitScores) -> Truths:
    right: Truths = scores.logits.argmax(axis=1) == scores.labels
    return right


def _probability(score: Score, scores: ExitScores, temperature: float) -> Reals:
    z = scores.logits / temperature
    logs: dict[Score, Reals] = {
        Score.SOFTMAX: z.max(axis=1) - logsumexp(z, axis=1),
        Score.CONFIDENCE: log_expit(scores.confidence / temperature),
    }
    return np.exp(logs[score])


def _least(loss: Callable[[float], float]) -> float:
    """The temperature of least `loss`; in 1 / tau the losses here are convex, so in log tau they have one valley."""
    low, high = map(log, _TEMPERATURES)
    found = minimize_scalar(lambda t: loss(exp(t)), bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return exp(float(found.x))
