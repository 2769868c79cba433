"""Ten images with hand-made outcomes at the exits of the switched network, and what a report needs of them."""

from dataclasses import replace

import numpy as np
from exits.outcomes import split
from support.points import switched_network

from ptee_mcu.data import Split, Use
from ptee_mcu.exits.outcomes import Outcomes, exit_taken, make_outcomes
from ptee_mcu.quant_graph import NEVER, OperatingPoint, QuantGraph
from ptee_mcu.report.summary import Answers

# Per exit a, b, c, final: the labels of ten images. The truth differs from the final exit's at images 0 and 9.
LABELS = np.array(
    [
        [0, 1, 2, 3, 1, 1, 1, 1, 1, 1],
        [0, 1, 2, 3, 0, 2, 1, 1, 1, 1],
        [0, 1, 2, 3, 0, 1, 2, 3, 0, 0],
        [0, 1, 2, 3, 0, 1, 2, 3, 0, 1],
    ]
)
TRUTH = np.array([1, 1, 2, 3, 0, 1, 2, 3, 0, 2])
CODES = np.array(
    [
        [50, 50, 20, 20, 20, -90, -90, -90, -90, -90],
        [40, 40, 40, 40, 40, 35, 8, -90, -90, -90],
        [30, 30, 30, 30, 30, 30, 30, 30, 30, 5],
    ],
    dtype=np.int8,
)
POINTS = (
    OperatingPoint("careful", (40, 30, 20), asked=0.1, quantity="disagreement", delta=0.05, bound=0.1),
    OperatingPoint("bold", (10, 5, 0), asked=0.5, note="a remark on bold"),
    OperatingPoint("never", (NEVER, NEVER, NEVER), asked=0.01, quantity="drop", delta=0.05, bound=0.0),
    OperatingPoint("cheap", (NEVER, -128, 20), asked=0.75, quantity="mean_cost", delta=0.05, bound=0.75),
)


def graph() -> QuantGraph:
    return replace(switched_network(), points=POINTS, default=1)


def report_split(truth: np.ndarray = TRUTH, count: int = 10) -> Split:
    return replace(split(count, "report"), y=truth, used_for=frozenset({Use.REPORT}))


def outcomes(truth: np.ndarray = TRUTH) -> Outcomes:
    return make_outcomes(report_split(truth), LABELS, CODES)


def answers(thresholds: tuple[int, ...] = (10, 5, 0)) -> Answers:
    taken = exit_taken(CODES, thresholds)
    return Answers(taken, LABELS[taken, np.arange(10)], LABELS[-1], TRUTH)
