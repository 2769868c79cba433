"""Made-up outcomes of networks with exits, for tests of thresholds."""

import numpy as np
import numpy.typing as npt

from ptee_mcu.data.splits import Part, Split, Use
from ptee_mcu.exits.outcomes import Outcomes, make_outcomes


def split(count: int, name: str = "thresholds") -> Split:
    """A split for choosing thresholds that nobody has seen."""
    return Split(
        name,
        Part.TEST,
        np.arange(count),
        np.zeros((count, 1, 1, 1), np.uint8),
        np.zeros(count, np.int64),
        seen_by_backbone=False,
        seen_by_heads=False,
        used_for=frozenset({Use.THRESHOLDS}),
    )


def outcomes(wrong: npt.ArrayLike, codes: npt.ArrayLike) -> Outcomes:
    """Outcomes where early exits disagree with the final one at `wrong` (E - 1, N)."""
    disagree = np.asarray(wrong, dtype=np.int64).reshape(-1, np.shape(wrong)[-1])
    labels = np.concatenate([disagree, np.zeros((1, disagree.shape[1]), np.int64)])
    return make_outcomes(split(disagree.shape[1]), labels, np.asarray(codes, dtype=np.int8))


def plausible(count: int, exits: int, seed: int) -> Outcomes:
    """Later exits are right more often, and all are right more often where they are confident."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(size=count)
    codes, wrong = [], []
    for i in range(exits - 1):
        evidence = ease + rng.normal(size=count) * 0.7 + i * 0.5
        wrong.append(rng.random(count) < 1 / (1 + np.exp(1 + 2 * evidence)))
        codes.append(np.clip(np.round(evidence * 32), -128, 127))
    return outcomes(np.stack(wrong), np.stack(codes))
