"""What every exit said about some images, and what given thresholds make of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ptee_mcu.data import Labels, Split
from ptee_mcu.errors import DataError
from ptee_mcu.tensor import Int8, readonly

Taken = npt.NDArray[np.int64]  # (N,) index of the exit each image leaves at


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Labels of every exit, int64 (E, N), and confidence codes of all but the last, int8 (E - 1, N), on a split."""

    split: Split
    labels: Labels
    confidences: Int8

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.split)

    @property
    def disagrees(self) -> npt.NDArray[np.bool_]:
        """(E, N): where an exit's label is not the final exit's."""
        wrong: npt.NDArray[np.bool_] = self.labels != self.labels[-1]
        return wrong


def make_outcomes(split: Split, labels: npt.ArrayLike, confidences: npt.ArrayLike) -> Outcomes:
    """Verified Outcomes.

    Args:
        split: the images.
        labels: integers (E, N), N as many as the split holds.
        confidences: int8 codes (E - 1, N).

    Raises:
        DataError: where shapes or types do not fit.
    """
    answers, codes = np.asarray(labels), np.asarray(confidences)
    if answers.ndim != 2 or answers.shape[1] != len(split) or not answers.size:
        raise DataError(f"labels of the exits have shape {answers.shape}, {split.name} holds {len(split)} images")
    if codes.shape != (len(answers) - 1, len(split)) or codes.dtype != np.int8:
        raise DataError(
            f"confidences are {codes.dtype} {codes.shape}, int8 {(len(answers) - 1, len(split))} is expected"
        )
    return Outcomes(split, readonly(answers, np.int64), readonly(codes, np.int8))


def exit_taken(confidences: Int8, thresholds: Sequence[int] | npt.NDArray[np.integer[Any]]) -> Taken:
    """Index of the exit each image leaves at: the first whose code is at least its threshold, else the last."""
    fires = confidences >= np.asarray(thresholds, dtype=np.int16)[:, None]
    last = np.ones((1, confidences.shape[1]), dtype=np.bool_)
    taken: Taken = np.concatenate([fires, last]).argmax(axis=0)
    return taken


def mean_cost(taken: Taken, costs: Sequence[float]) -> float:
    """Mean over images of the cost of the exit taken."""
    return float(np.asarray(costs, dtype=np.float64)[taken].mean())


def disagreement(outcomes: Outcomes, taken: Taken) -> float:
    """Share of images whose label at the exit taken differs from the final exit's."""
    return float(outcomes.disagrees[taken, np.arange(outcomes.count)].mean())


@dataclass(frozen=True, slots=True)
class ExitRisk:
    """What the images that left at one exit got: shares of `count`, None where nobody left there.

    `disagree`: label other than the final exit's; `wrong`: label other than the true one.
    """

    count: int
    disagree: float | None
    wrong: float | None


def risk_per_exit(outcomes: Outcomes, taken: Taken) -> tuple[ExitRisk, ...]:
    """P(disagree | exit) and P(wrong | exit) for every exit: a mean over all images can hide a bad exit.

    Estimates to look at, certified by nothing: an exit that few images take has few to judge it by.
    """
    labels = outcomes.labels[taken, np.arange(outcomes.count)]
    risks = []
    for exit_ in range(len(outcomes.labels)):
        here = taken == exit_
        if not (count := int(here.sum())):
            risks.append(ExitRisk(0, None, None))
            continue
        disagree = float((labels != outcomes.labels[-1])[here].mean())
        risks.append(ExitRisk(count, disagree, float((labels != outcomes.split.y)[here].mean())))
    return tuple(risks)


def reach(taken: Taken, exits: int) -> tuple[float, ...]:
    """Per exit segment, the fraction of images that enter it: those that left at no earlier exit."""
    left = np.bincount(taken, minlength=exits).cumsum()
    return (1.0, *(float(1 - gone / len(taken)) for gone in left[:-1]))
