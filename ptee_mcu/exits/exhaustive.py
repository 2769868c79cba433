"""All subsets and all thresholds of a small search, tried one by one."""

from collections.abc import Iterator
from itertools import product
from math import prod

import numpy as np

from ptee_mcu.exits.problem import Floats, Ints, Problem, State, Vector
from ptee_mcu.quant_graph import ALWAYS, NEVER

_MOST_VECTORS = 10_000


def is_small(problem: Problem) -> bool:
    """True where the vectors of thresholds that differ on these images can all be tried."""
    return prod(len(levels) for levels in _levels(problem)) <= _MOST_VECTORS


def best_state(problem: Problem) -> State:
    """The best state there is: its kept exits and, per limit, its thresholds; of equals the one with fewest exits."""
    levels = _levels(problem)
    vectors = list(product(*levels))
    tried = list(_counts(problem, levels))
    counts, wrong = np.stack([c for c, _ in tried]), np.asarray([w for _, w in tried])
    uses = np.asarray(vectors, np.int64).reshape(len(vectors), len(levels)) < NEVER
    best: tuple[float, int, State] | None = None
    for kept in product((False, True), repeat=len(levels)):
        if sum(kept) > problem.most:
            continue
        within = ~uses[:, ~np.asarray(kept, np.bool_)].any(axis=1)
        totals = counts @ problem.costs(kept) / problem.codes.shape[1]
        picked = [_cheapest(totals, within & (wrong <= budget)) for budget in problem.budgets]
        value = sum(weight * float(totals[k]) for weight, k in zip(problem.weights, picked, strict=True))
        # Within rounding of each other, fewer exits win.
        if best is None or (round(value, 9), sum(kept)) < (round(best[0], 9), best[1]):
            best = value, sum(kept), State(kept, tuple(vectors[k] for k in picked))
    assert best is not None  # the vector that never fires disagrees nowhere
    return best[2]


def _levels(problem: Problem) -> list[list[int]]:
    return [sorted({NEVER, *(int(code) + ALWAYS for code in codes)}, reverse=True) for codes in problem.codes]


def _cheapest(totals: Floats, allowed: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    return int(np.flatnonzero(allowed)[totals[allowed].argmin()])


def _counts(problem: Problem, levels: list[list[int]]) -> Iterator[tuple[Ints, int]]:
    """Per vector, in the order of the product of `levels`: images that leave at each exit, and disagreements."""

    def follow(i: int, arrives: Ints, head: Vector, wrong: int) -> Iterator[tuple[Ints, int]]:
        if i == len(levels):
            yield np.asarray((*head, arrives.size), np.int64), wrong
            return
        codes, disagrees = problem.codes[i, arrives], problem.wrong[i, arrives]
        for threshold in levels[i]:
            fires = codes >= threshold - ALWAYS
            yield from follow(i + 1, arrives[~fires], (*head, int(fires.sum())), wrong + int(disagrees[fires].sum()))

    yield from follow(0, np.arange(problem.codes.shape[1]), (), 0)
