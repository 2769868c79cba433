"""How likely each exit is to be wrong on each image, smoothed over all images of a split."""

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from scipy.stats import norm, rankdata

from ptee_mcu.exits.outcomes import Outcomes
from ptee_mcu.tensor import Int8

Float = npt.NDArray[np.float64]

_RIDGE = 1.0
_STEPS = 25  # Newton's method settles in six to ten
_SETTLED = 1e-6


def expected_disagreement(outcomes: Outcomes) -> Float:
    """(E, N): the probability that an exit's label is not the final exit's, given the codes of all exits.

    A count of disagreements on a thousand images moves by a third between one sample and the next at 1 %, and the
    thresholds that look best are those it flatters. A regression over all images moves far less.
    """
    return _with_final(outcomes, _regressed(outcomes.confidences, outcomes.disagrees[:-1]), 0.0)


def expected_drop(outcomes: Outcomes) -> Float:
    """(E, N): expected loss of accuracy, in [-1, 1], from leaving at an exit instead of at the final one."""
    right = outcomes.labels == outcomes.split.y
    lost = _regressed(outcomes.confidences, right[-1] & ~right[:-1])
    won = _regressed(outcomes.confidences, right[:-1] & ~right[-1])
    return _with_final(outcomes, lost - won, 0.0)


def _with_final(outcomes: Outcomes, early: Float, final: float) -> Float:
    return np.concatenate([early, np.full((1, outcomes.count), final)])


def _regressed(codes: Int8, events: npt.NDArray[np.bool_]) -> Float:
    """(E - 1, N): probabilities of `events` by logistic regression on all exits' codes.

    Codes enter as normal scores of their ranks: a head whose codes crowd at one end is spread out.
    """
    if not len(codes):
        return np.zeros(codes.shape)
    scores = [norm.ppf((rankdata(row) - 0.5) / len(row)) for row in codes]
    features = np.column_stack([np.ones(codes.shape[1]), *scores])
    return np.stack([_logistic(features, row.astype(np.float64)) for row in events])


def _logistic(features: Float, events: Float) -> Float:
    """Fitted probabilities by Newton's method; the first column of `features` is the constant, which goes free."""
    penalty = np.full(features.shape[1], _RIDGE)
    penalty[0] = 1e-3
    weights = np.zeros(features.shape[1])
    for _ in range(_STEPS):
        p = expit(features @ weights)
        slope = features.T @ (p - events) + penalty * weights
        curvature = (features.T * (p * (1 - p))) @ features + np.diag(penalty)
        step = np.linalg.solve(curvature, slope)
        weights -= step
        if np.abs(step).max() < _SETTLED:
            break
    fitted: Float = expit(features @ weights)
    return fitted
