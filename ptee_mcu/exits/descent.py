"""Local search over subsets of exits and their thresholds, one vector per limit, every kept head charged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ptee_mcu.exits.problem import Floats, Ints, Problem, State, Vector
from ptee_mcu.quant_graph import ALWAYS, NEVER

_CODES = NEVER - ALWAYS
_SWEEPS = 20  # descent settles in three or four
_LEVELS = 40  # thresholds of an exit that are tried together with another's
_NEAR = 8  # int8 codes
_ROUNDING = 1e-9  # of costs in backbones
_OFF, _ON = False, True


class _Tails:
    """Per exit what an image that arrives there goes on to cost and whether it disagrees, under one vector.

    `cost[i]` is trunk cost plus the heads from i on; `wrong[i]` likewise; `arrives[i]` who leaves at no exit before.
    """

    def __init__(self, problem: Problem, kept: Sequence[bool], vector: Vector) -> None:
        exits, images = problem.codes.shape
        self.fires = problem.codes >= (np.asarray(vector, np.int64) - ALWAYS)[:, None]
        self.arrives = np.ones((exits + 1, images), np.bool_)
        self.left_wrong = np.zeros(exits + 1)  # disagreements of those who left before
        for i in range(exits):
            leaves = self.arrives[i] & self.fires[i]
            self.arrives[i + 1] = self.arrives[i] & ~leaves
            self.left_wrong[i + 1] = self.left_wrong[i] + problem.wrong[i, leaves].sum()
        self.cost = np.empty((exits + 1, images))
        self.wrong = np.empty((exits + 1, images))
        self.cost[-1], self.wrong[-1] = problem.trunk[-1], problem.wrong[-1]
        for i in reversed(range(exits)):
            self.put(problem, i, kept[i], vector[i])

    def put(self, problem: Problem, i: int, on: bool, threshold: int) -> None:  # noqa: FBT001 - one state among others
        """Renews cost and wrong at exit i after its threshold changed; `arrives` of later exits becomes stale."""
        if not on:
            self.cost[i], self.wrong[i] = self.cost[i + 1], self.wrong[i + 1]
            return
        fires = problem.codes[i] >= threshold - ALWAYS
        self.cost[i] = np.where(fires, problem.trunk[i], self.cost[i + 1]) + problem.heads[i]
        self.wrong[i] = np.where(fires, problem.wrong[i], self.wrong[i + 1])


@dataclass(frozen=True, slots=True)
class _Move:
    """The value of a choice, summed over limits, and per limit the thresholds that reach it."""

    value: float
    kept: tuple[bool, ...]
    thresholds: tuple[tuple[int, ...], ...]


def descend(problem: Problem, state: State, *, price: float | None = None) -> State:
    """A state that no change of one exit improves; `state` is within the budgets where there is no price.

    A change drops the exit at all limits, or keeps it and gives each limit its best threshold. With a `price`, budgets
    are ignored and every disagreement costs that many backbones.
    """
    for _ in range(_SWEEPS):
        before = state
        tails = [_Tails(problem, state.kept, vector) for vector in state.vectors]
        for i in reversed(range(len(state.kept))):
            state = _replaced(state, (i,), _best_single(problem, state, tails, i, price))
            for tail, vector in zip(tails, state.vectors, strict=True):
                tail.put(problem, i, state.kept[i], vector[i])
        if state == before:
            break
    return state


def polish(problem: Problem, state: State, pairs: Sequence[tuple[int, int]] | None = None) -> State:
    """A state within the budgets that no change of two exits at once improves, among `pairs` or all.

    One exit at a time, descent halts where one would have to hand disagreements, or its head's cost, to another.
    """
    chosen = list(combinations(range(len(state.kept)), 2)) if pairs is None else list(pairs)
    for _ in range(_SWEEPS):
        before = state
        tails = [_Tails(problem, state.kept, vector) for vector in state.vectors]
        for i, j in chosen:
            move = _best_pair(problem, state, tails, i, j)
            after = _replaced(state, (i, j), move)
            if after != state:
                state = after
                tails = [_Tails(problem, state.kept, vector) for vector in state.vectors]
        if state == before:
            break
    return state


def _best_single(problem: Problem, state: State, tails: Sequence[_Tails], i: int, price: float | None) -> _Move:
    off, on, thresholds = _single(problem, tails, i, price)
    others = sum(state.kept) - state.kept[i]
    moves = [_Move(off, (_OFF,), ((NEVER,),) * len(tails))]
    if others < problem.most:
        moves.append(_Move(on, (_ON,), thresholds))
    return _first_minimum(moves)


def forced(problem: Problem, state: State, i: int) -> State:
    """`state` with exit i kept, at the best threshold for each limit, whether or not that is cheaper."""
    tails = [_Tails(problem, state.kept, vector) for vector in state.vectors]
    _, on, thresholds = _single(problem, tails, i, None)
    return _replaced(state, (i,), _Move(on, (_ON,), thresholds))


def _single(
    problem: Problem, tails: Sequence[_Tails], i: int, price: float | None
) -> tuple[float, float, tuple[tuple[int, ...], ...]]:
    """Values of dropping and of keeping exit i, and the thresholds of the latter."""
    off = on = 0.0
    thresholds = []
    for tail, budget, weight in zip(tails, problem.budgets, problem.weights, strict=True):
        arrives = tail.arrives[i]
        codes, stay, wrong = problem.codes[i, arrives], tail.cost[i + 1, arrives], tail.wrong[i + 1, arrives]
        worse = problem.wrong[i, arrives] - wrong
        cost = stay.sum() + _at_or_above(codes + 1, problem.trunk[i] - stay, _CODES + 1)
        disagree = tail.left_wrong[i] + wrong.sum() + _at_or_above(codes + 1, worse, _CODES + 1)
        value = _valued(cost, disagree, budget, price)
        best = _last_minimum(value)
        off += weight * value[-1]
        on += weight * (value[best] + problem.heads[i] * codes.size)
        thresholds.append((best + ALWAYS,))
    return off, on, tuple(thresholds)


def _best_pair(problem: Problem, state: State, tails: Sequence[_Tails], i: int, j: int) -> _Move:
    choices = ((_OFF, _OFF), (_ON, _OFF), (_OFF, _ON), (_ON, _ON))
    values = [0.0] * 4
    thresholds: list[list[tuple[int, int]]] = [[], [], [], []]
    for k, tail in enumerate(tails):
        vector = state.vectors[k]
        first, second = _levels(problem, tail, vector, i), _levels(problem, tail, vector, j)
        table, comes = _pair_table(problem, state, (i, j), tail, (first, second), problem.budgets[k])
        keep_i, keep_j = problem.heads[i] * tail.arrives[i].sum(), problem.heads[j] * comes
        parts = (
            table[-1:, -1:],
            table[:, -1:] + keep_i,
            table[-1:] + keep_j[-1],
            table + keep_i + keep_j[:, None],
        )
        for c, part in enumerate(parts):
            row, column = divmod(_last_minimum(part.ravel()), part.shape[1])
            values[c] += problem.weights[k] * part[row, column]
            best = first[len(first) - part.shape[0] + row], second[len(second) - part.shape[1] + column]
            thresholds[c].append((int(best[0]) + ALWAYS, int(best[1]) + ALWAYS))
    others = sum(state.kept) - state.kept[i] - state.kept[j]
    return _first_minimum(
        [
            _Move(value, kept, tuple(best))
            for value, kept, best in zip(values, choices, thresholds, strict=True)
            if others + sum(kept) <= max(problem.most, sum(state.kept))
        ]
    )


def _pair_table(
    problem: Problem, state: State, pair: tuple[int, int], tail: _Tails, levels: tuple[Ints, Ints], budget: int
) -> tuple[Floats, Floats]:
    """Cost of each pair of thresholds without the two heads, and by threshold of i how many images come to j."""
    i, j = pair
    arrives = np.flatnonzero(tail.arrives[i])
    comes = ~tail.fires[i + 1 : j, arrives].any(axis=0)
    between = float(problem.heads[i + 1 : j][list(state.kept[i + 1 : j])].sum())
    first = _bins(levels[0], problem.codes[i, arrives])
    second = _bins(levels[1], problem.codes[j, arrives[comes]])
    sizes = len(levels[0]), len(levels[1])
    both = first[comes] * sizes[1] + second
    tables = []
    for at, then, extra in ((problem.trunk[:, None], tail.cost, between), (problem.wrong, tail.wrong, 0.0)):
        later = then[j + 1, arrives]
        stay = np.where(comes, extra + later, then[i + 1, arrives])
        here, there = np.broadcast_to(at[[i, j]], (2, problem.codes.shape[1]))[:, arrives]
        leave_i = _at_or_above(first, here - stay, sizes[0])
        leave_j = _below_and_at_or_above(both, (there - later)[comes], sizes)
        tables.append(stay.sum() + leave_i[:, None] + leave_j)
    cost, wrong = tables
    cost[np.rint(wrong + tail.left_wrong[i]) > budget] = np.inf
    return cost, np.cumsum(np.bincount(first[comes], minlength=sizes[0])).astype(np.float64)


def _levels(problem: Problem, tail: _Tails, vector: Vector, i: int) -> Ints:
    """Thresholds + 128 of exit i worth pairing: all that differ, or some of them and those near the present one."""
    codes = np.flatnonzero(np.bincount(problem.codes[i, tail.arrives[i]], minlength=_CODES))
    if len(codes) > _LEVELS:
        near = np.abs(codes - (vector[i] - ALWAYS)) <= _NEAR
        codes = np.union1d(codes[near], codes[np.linspace(0, len(codes) - 1, _LEVELS // 2).astype(np.int64)])
    return np.append(codes, _CODES)


def _bins(levels: Ints, codes: Ints) -> Ints:
    """How many of `levels` each code reaches."""
    return np.searchsorted(levels, np.arange(_CODES), side="right")[codes]


def _valued(cost: Floats, wrong: Floats, budget: int, price: float | None) -> Floats:
    if price is not None:
        return cost + price * wrong
    return np.where(np.rint(wrong) <= budget, cost, np.inf)


def _first_minimum(moves: Sequence[_Move]) -> _Move:
    """The best move; of equals the one listed first, which keeps fewer exits."""
    least = min(move.value for move in moves)
    return next(move for move in moves if move.value <= least + _ROUNDING * max(1.0, abs(least)))


def _replaced(state: State, places: tuple[int, ...], move: _Move) -> State:
    kept = list(state.kept)
    vectors = [list(vector) for vector in state.vectors]
    for k, place in enumerate(places):
        kept[place] = move.kept[k]
        for vector, thresholds in zip(vectors, move.thresholds, strict=True):
            vector[place] = thresholds[k]
    return State(tuple(kept), tuple(map(tuple, vectors)))


def neighbours(kept: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Pairs of exits worth changing together: two kept ones, or a kept one and another beside it."""
    for i, j in combinations(range(len(kept)), 2):
        if (kept[i] and kept[j]) or ((kept[i] or kept[j]) and j - i <= 2):
            yield i, j


def _at_or_above(bins: Ints, weights: Floats, levels: int) -> Floats:
    """(levels,): sum of the weights whose bin, the number of levels reached, lies above each index of a level."""
    per_bin = np.bincount(bins, weights, minlength=levels)
    return np.append(np.cumsum(per_bin[:0:-1])[::-1], 0.0)


def _below_and_at_or_above(both: Ints, weights: Floats, levels: tuple[int, int]) -> Floats:
    """Sum of the weights that reach not the level of the row but that of the column; `both` joins the two bins."""
    per_pair = np.bincount(both, weights, minlength=levels[0] * levels[1]).reshape(levels)
    sums = np.zeros(levels)
    sums[:, :-1] = np.cumsum(np.cumsum(per_pair, axis=0)[:, :0:-1], axis=1)[:, ::-1]
    return sums


def _last_minimum(values: Floats) -> int:
    """The last index of the least value, within rounding: the most careful threshold of equals."""
    least = values.min()
    return int(np.flatnonzero(values <= least + _ROUNDING * max(1.0, abs(least)))[-1]) if np.isfinite(least) else 0
