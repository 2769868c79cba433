"""A search for exits: its candidates, costs and limits, and a solution of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ptee_mcu.exits.outcomes import Outcomes, exit_taken
from ptee_mcu.quant_graph import ALWAYS, NEVER

Vector = tuple[int, ...]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class State:
    """The exits kept, and per limit their thresholds; an exit that is not kept has threshold 128 at every limit."""

    kept: tuple[bool, ...]
    vectors: tuple[Vector, ...]

    def __post_init__(self) -> None:
        assert all(on or t == NEVER for v in self.vectors for on, t in zip(self.kept, v, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """P candidate exits on N images.

    `codes` (P, N) are confidences + 128; `wrong` (P + 1, N) is 1.0 where an exit disagrees with the final one; `trunk`
    (P + 1,) and `heads` (P,) are costs over that of the bare backbone; `budgets` and `weights` go by limit.
    """

    codes: Ints
    wrong: Floats
    trunk: Floats
    heads: Floats
    budgets: tuple[int, ...]
    weights: tuple[float, ...]
    most: int

    def costs(self, kept: Sequence[bool]) -> Floats:
        """(P + 1,): of leaving at each exit where the heads of `kept` are evaluated on the way."""
        heads = np.cumsum(np.where(kept, self.heads, 0.0))
        costs: Floats = self.trunk + np.append(heads, heads[-1] if len(heads) else 0.0)
        return costs

    def at(self, limit: int) -> "Problem":
        """The same under one of its limits alone."""
        return replace(self, budgets=(self.budgets[limit],), weights=(1.0,))

    def counts(self, vector: Vector) -> tuple[Ints, int]:
        """How many images leave at each exit, (P + 1,), and how many disagree."""
        taken = exit_taken((self.codes + ALWAYS).astype(np.int8), vector)
        wrong = int(self.wrong[taken, np.arange(taken.size)].sum())
        return np.bincount(taken, minlength=len(self.trunk)), wrong

    def cost(self, state: State) -> float:
        """Weighted sum over limits of the mean cost, in backbones."""
        costs = self.costs(state.kept)
        means = [float(costs @ self.counts(vector)[0]) / int(self.codes.shape[1]) for vector in state.vectors]
        return float(np.dot(self.weights, means))

    def never(self) -> State:
        """The state that keeps no exit; it disagrees nowhere."""
        exits = len(self.heads)
        return State((False,) * exits, ((NEVER,) * exits,) * len(self.budgets))


def make_problem(
    outcomes: Outcomes,
    trunk: Sequence[float],
    heads: Sequence[float],
    budgets: Sequence[int],
    weights: Sequence[float],
    most: int,
) -> Problem:
    """The search for at most `most` exits of `outcomes`; `trunk` and `heads` in any one unit."""
    return Problem(
        outcomes.confidences.astype(np.int64) - ALWAYS,
        outcomes.disagrees.astype(np.float64),
        np.asarray(trunk, np.float64) / trunk[-1],
        np.asarray(heads, np.float64) / trunk[-1],
        tuple(budgets),
        tuple(weights),
        most,
    )
