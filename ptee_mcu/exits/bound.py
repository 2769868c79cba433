"""A lower bound on the mean cost that any subset of exits and any thresholds reach within a limit."""

import numpy as np

from ptee_mcu.exits.problem import Floats, Ints, Problem, State
from ptee_mcu.quant_graph import ALWAYS, NEVER

_CODES = NEVER - ALWAYS
_PATIENCE = 25  # steps without a better bound before steps are halved


def lower_bound(problem: Problem, state: State, *, steps: int = 400) -> float:
    """At most the least mean cost, in backbones, of `problem` under its one limit; `state` is a solution of it.

    Lagrangian decomposition. Write x[n, i] = 1 where the code of image n at exit i reaches the exit's threshold, and
    z[i] = 1 where the exit is kept. An image's cost and disagreement depend on its own x[n] and z alone. Give every
    image copies of both that it may choose for itself, each n its own z[n], with x[n, i] <= z[n, i], and charge the
    differences: with any prices u[n, i], v[n, i] and p >= 0,

        L = sum_n min over x[n], z[n] of (cost + p * disagreement - sum_i (u x + v z)[n, i])
          + sum_i min over thresholds of exit i of (sum of u[n, i] where n reaches it, + sum_n v[n, i] if kept)
          - p * budget.

    Put the true x and z of any thresholds within the budget into both sums: u and v cancel, and what is left is their
    total cost plus p * (disagreements - budget), which is at most their total cost. Each minimum is at most its value
    there, so L is at most the cost of every solution, whatever the prices. Subgradient steps raise L; rounding is far
    below the digits reported, and the bound never exceeds the cost of `state`.

    Source: Guignard and Kim, Lagrangean decomposition, Mathematical Programming 39 (1987); step length of Polyak 1969.
    """
    exits, images = problem.codes.shape
    target = problem.cost(state) * int(images)
    if not exits:
        return target / int(images)
    dual = _Dual(problem, state)
    best, stale, length = -np.inf, 0, 1.0
    kept = dual.prices()
    for _ in range(steps):
        value = dual.step(target, length)
        if value > best + 1e-9 * target:
            best, stale, kept = value, 0, dual.evaluated
        else:
            stale += 1
        if target - best <= 1e-9 * target:
            break
        if stale == _PATIENCE:
            stale, length = 0, length / 2
            dual.restore(kept)
    return float(min(best, target)) / int(images)


class _Dual:
    """The prices u, v (P, N) and p, and one subgradient step on them."""

    def __init__(self, problem: Problem, state: State) -> None:
        self.problem = problem
        exits, images = problem.codes.shape
        self.u, self.v = np.zeros((exits, images)), np.zeros((exits, images))
        self.budget = problem.budgets[0]
        # A disagreement's price starts where the saved cost per disagreement of the solution puts it.
        _, wrong = problem.counts(state.vectors[0])
        saved = max(0.0, 1.0 - problem.cost(state))
        self.p = saved * images / max(wrong, 1)
        self.scale = max(self.p, 1.0) / np.sqrt(images)
        self.evaluated = self.prices()

    def prices(self) -> tuple[Floats, Floats, float]:
        return self.u, self.v, self.p

    def restore(self, prices: tuple[Floats, Floats, float]) -> None:
        self.u, self.v, self.p = prices

    def step(self, target: float, length: float) -> float:
        """The bound at the present prices, which then move towards a better one."""
        self.evaluated = self.prices()
        value, x, z, wrong = self._images()
        reach = np.empty_like(x)
        on = np.empty(len(x))
        for i, codes in enumerate(self.problem.codes):
            threshold, gain = self._threshold(codes, self.u[i], float(self.v[i].sum()))
            value += gain
            reach[i], on[i] = codes >= threshold, threshold < _CODES
        over = wrong - self.budget
        value -= self.p * self.budget
        gu, gv, gp = reach - x, on[:, None] - z, over * self.scale
        norm = float((gu * gu).sum() + (gv * gv).sum() + gp * gp)
        if norm:
            size = length * max(target - value, 1e-12 * target) / norm
            self.u, self.v = self.u + size * gu, self.v + size * gv
            self.p = max(0.0, self.p + size * gp * self.scale)
        return float(value)

    def _images(self) -> tuple[float, Floats, Floats, float]:
        """Least sum of all images, their x and z, and how many disagree."""
        problem, u, v = self.problem, self.u, self.v
        ahead = problem.heads[:, None] - v  # of keeping an exit the image passes
        here = ahead - u
        behind = np.minimum(0.0, np.minimum(-v, -v - u))  # of an exit the image does not come to
        exits, images = u.shape
        total = problem.trunk[:, None] + self.p * problem.wrong
        total[1:] += np.cumsum(np.minimum(0.0, ahead), axis=0)
        total[:-1] += here
        total[:-2] += np.cumsum(behind[:0:-1], axis=0)[::-1]
        leaves = total.argmin(axis=0)
        columns = np.arange(images)
        place = np.arange(exits)[:, None]
        passed, left = place < leaves, place > leaves
        fires = left & (-v - u < np.minimum(0.0, -v))
        x = (fires | (place == leaves)).astype(np.float64)
        z = np.where(passed, ahead < 0.0, np.where(left, fires | (v > 0.0), True)).astype(np.float64)
        return float(total[leaves, columns].sum()), x, z, float(problem.wrong[leaves, columns].sum())

    @staticmethod
    def _threshold(codes: Ints, u: Floats, kept: float) -> tuple[int, float]:
        """The threshold (0 to 256, 256: the exit is dropped) of least sum, and that sum."""
        sums = np.cumsum(np.bincount(codes, u, minlength=_CODES)[::-1])[::-1] + kept
        best = int(sums.argmin())
        return (best, float(sums[best])) if sums[best] < 0.0 else (_CODES, 0.0)
