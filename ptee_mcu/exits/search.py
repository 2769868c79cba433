"""Cheapest thresholds on the images of one split: descent along one exit's thresholds or two exits' at once."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ptee_mcu.exits.outcomes import Outcomes, exit_taken
from ptee_mcu.quant_graph import ALWAYS, NEVER

Vector = tuple[int, ...]
_Sums = npt.NDArray[np.float64]  # (257,) or (257, 257): per threshold -128..128

_CODES = NEVER - ALWAYS
_SWEEPS = 20  # descent settles in three or four
_DECIMALS = 9  # of a sum of harm: sums of whole numbers stay whole


class Search:
    """Descent over threshold vectors: all 257 thresholds of an exit, or all pairs of two, are priced by histogram.

    `harm`, (E, N), is what an image that leaves at an exit counts against a budget or is charged at a price; where
    it is not given, 1 for a disagreement.
    """

    def __init__(self, outcomes: Outcomes, costs: Sequence[float], harm: npt.NDArray[np.float64] | None = None) -> None:
        self.outcomes = outcomes
        self.costs = np.asarray(costs, dtype=np.float64)
        self.disagrees = outcomes.disagrees
        self.harm = self.disagrees.astype(np.float64) if harm is None else harm
        self.images = np.arange(outcomes.count)
        self.codes = outcomes.confidences.astype(np.int64) - ALWAYS

    def wrong(self, vector: Vector) -> int:
        """How many images disagree."""
        return int(self.disagrees[exit_taken(self.outcomes.confidences, vector), self.images].sum())

    def cost(self, vector: Vector) -> tuple[float, Vector]:
        """Total cost, and the vector itself so that an order by it is one."""
        return float(self.costs[exit_taken(self.outcomes.confidences, vector)].sum()), vector

    def cheapest_at_price(self, vector: Vector, price: float) -> Vector:
        """A local minimum of cost + price * harm."""
        for _ in range(_SWEEPS):
            before = vector
            for i in range(len(vector)):
                cost, wrong = self.sums(vector, i)
                vector = _with(vector, i, _last_minimum(cost + price * wrong) + ALWAYS)
            if vector == before:
                break
        return vector

    def cheapest_within(self, vector: Vector, budget: int) -> Vector:
        """A local minimum of cost among vectors with at most `budget` harm; `vector` is one."""
        for _ in range(_SWEEPS):
            before = vector
            for i in reversed(range(len(vector))):
                cost, wrong = self.sums(vector, i)
                vector = _with(vector, i, _last_minimum(np.where(wrong <= budget, cost, np.inf)) + ALWAYS)
            if vector == before:
                break
        return vector

    def polished(self, vector: Vector, budget: int) -> Vector:
        """A vector that no change of two neighbouring thresholds makes cheaper within `budget`; `vector` is within it.

        One threshold at a time, descent halts where one exit would have to give disagreements back to another.
        """
        for _ in range(_SWEEPS):
            before = vector
            for i, j in pairwise(range(len(vector))):
                cost, wrong = self.pair_sums(vector, i, j)
                first, second = divmod(_last_minimum(np.where(wrong <= budget, cost, np.inf).ravel()), _CODES + 1)
                vector = _with(_with(vector, i, first + ALWAYS), j, second + ALWAYS)
            if vector == before:
                break
        return vector

    def sums(self, vector: Vector, i: int) -> tuple[_Sums, _Sums]:
        """Total cost and harm for each threshold -128..128 of exit `i`, the others as in `vector`."""
        never = exit_taken(self.outcomes.confidences, _with(vector, i, NEVER))
        arrives = never > i
        codes, tail = self.codes[i, arrives], never[arrives]
        images = self.images[arrives]
        saved = self.costs[i] - self.costs[tail]
        worse = self.harm[i, images] - self.harm[tail, images]
        cost = self.costs[never].sum() + _at_or_above(codes, saved)
        wrong = self.harm[never, self.images].sum() + _at_or_above(codes, worse)
        return cost, np.round(wrong, _DECIMALS)

    def pair_sums(self, vector: Vector, i: int, j: int) -> tuple[_Sums, _Sums]:
        """Total cost and harm for each pair of thresholds of exits `i` < `j`, (257, 257)."""
        never = exit_taken(self.outcomes.confidences, _with(_with(vector, i, NEVER), j, NEVER))
        at_i, at_j = never > i, never > j
        total_cost, total_wrong = self.costs[never].sum(), self.harm[never, self.images].sum()
        gains = []
        for value in (np.repeat(self.costs[:, None], len(never), axis=1), self.harm):
            tail = value[never, self.images]
            leave_i = _at_or_above(self.codes[i, at_i], (value[i] - tail)[at_i])
            leave_j = _below_and_at_or_above(self.codes[i, at_j], self.codes[j, at_j], (value[j] - tail)[at_j])
            gains.append(leave_i[:, None] + leave_j)
        return total_cost + gains[0], np.round(total_wrong + gains[1], _DECIMALS)


def _with(vector: Vector, i: int, threshold: int) -> Vector:
    return (*vector[:i], threshold, *vector[i + 1 :])


def _at_or_above(codes: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]) -> _Sums:
    """(257,): sum of the weights whose code is at or above each threshold."""
    per_code = np.bincount(codes, weights, minlength=_CODES)
    return np.append(np.cumsum(per_code[::-1])[::-1], 0.0)


def _below_and_at_or_above(
    first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]
) -> _Sums:
    """(257, 257): sum of the weights whose first code is below one threshold and the second at or above another."""
    per_pair = np.bincount(first * _CODES + second, weights, minlength=_CODES * _CODES).reshape(_CODES, _CODES)
    sums = np.zeros((_CODES + 1, _CODES + 1))
    sums[1:, :-1] = np.cumsum(np.cumsum(per_pair[:, ::-1], axis=1)[:, ::-1], axis=0)
    return sums


def _last_minimum(values: _Sums) -> int:
    """The last index of the least value, within rounding: the most careful threshold of equals."""
    return int(np.flatnonzero(values <= values.min() + 1e-9)[-1])
