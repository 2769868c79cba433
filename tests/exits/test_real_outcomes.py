"""The guarantee on what a real network says: ResNet-20 with exits, int8, on CIFAR-10's 10,000 test images.

tests/golden/resnet20_outcomes.npz is written by `benchmarks/ptee_cifar10.py --table --outcomes FILE`.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exits.outcomes import split
from exits.test_certify import A, B, division
from scipy.stats import binom

from ptee_mcu.exits.asks import DEFAULT_ASKS
from ptee_mcu.exits.certify import operating_points
from ptee_mcu.exits.outcomes import disagreement, exit_taken, make_outcomes

STORED = Path(__file__).parents[1] / "golden" / "resnet20_outcomes.npz"
SPLITS = 200


@pytest.mark.slow
def test_points_of_a_real_network_break_a_limit_in_at_most_five_of_a_hundred_splits_and_are_not_vacuous() -> None:
    """Samples are drawn with replacement from the stored images, whose disagreement is therefore the true one."""
    with np.load(STORED) as stored:
        images = replace(split(stored["truth"].size), y=stored["truth"].astype(np.int64))
        pool = make_outcomes(images, stored["labels"].astype(np.int64), stored["confidences"])
        costs = tuple(map(float, stored["costs"]))
    rng = np.random.default_rng(0)
    realised = np.empty((SPLITS, len(DEFAULT_ASKS)))
    for i in range(SPLITS):
        points = operating_points(*division(pool, rng, A, B), costs, DEFAULT_ASKS)
        realised[i] = [disagreement(pool, exit_taken(pool.confidences, point.thresholds)) for point in points]
    asked = np.array([ask.limit for ask in DEFAULT_ASKS])
    failures = int((realised > asked).any(axis=1).sum())
    assert failures <= binom.ppf(0.999, SPLITS, 0.05)
    assert ((realised / asked).mean(axis=0) >= (0.5, 0.6, 0.6)).all()
