"""Cost against agreement of a built network, thresholds moved: ours along the certified path, PTEEnet by its one T."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptee_mcu.data import Split
from ptee_mcu.exits.chain import chain
from ptee_mcu.exits.expected import expected_disagreement
from ptee_mcu.exits.outcomes import Outcomes, disagreement, exit_taken, make_outcomes, mean_cost
from ptee_mcu.project import load_project
from ptee_mcu.quant_graph import NEVER, QuantGraph
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import INT8_MAX, INT8_MIN

_LOGITS = np.linspace(-12, 12, 481)  # of T: its sigmoid runs from 6e-6 to 1 - 6e-6


@dataclass(frozen=True)
class Curve:
    """Mean cost, agreement with the backbone and accuracy on the report images, per setting of the thresholds."""

    cost: npt.NDArray[np.float64]
    agreement: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]

    def cost_at_agreement(self, agreement: float) -> float | None:
        """Least cost of a setting that agrees at least so often; None where none does."""
        fits = self.cost[self.agreement >= agreement - 1e-12]
        return float(fits.min()) if fits.size else None

    def cost_at_accuracy(self, accuracy: float) -> float | None:
        """Least cost of a setting that is right at least so often; None where none is."""
        fits = self.cost[self.accuracy >= accuracy - 1e-12]
        return float(fits.min()) if fits.size else None


def said(graph: QuantGraph, split: Split) -> Outcomes:
    """What every exit says on the images of a split."""
    run = evaluate(graph, graph.input_codes(split.x.view(np.uint8)), full=True)
    assert run.labels is not None
    assert run.confidences is not None
    return make_outcomes(split, run.labels, run.confidences)


def curve(graph: QuantGraph, outcomes: Outcomes, vectors: list[tuple[int, ...]]) -> Curve:
    """Cost, agreement and accuracy under each vector of thresholds; every evaluated head is charged."""
    costs = graph.exit_costs()
    rows = []
    for vector in vectors:
        taken = exit_taken(outcomes.confidences, vector)
        labels = outcomes.labels[taken, np.arange(outcomes.count)]
        right = float((labels == outcomes.split.y).mean())
        rows.append((mean_cost(taken, costs), 1 - disagreement(outcomes, taken), right))
    cost, agreement, accuracy = np.array(rows).T
    return Curve(cost, agreement, accuracy)


def our_curve(folder: Path, a: Split, report: Split) -> Curve:
    """Along the path that split A alone lays, from never to always."""
    graph = load_project(folder).plan.graph
    on_a = said(graph, a)
    path = chain(on_a, graph.exit_costs(), expected_disagreement(on_a))
    return curve(graph, said(graph, report), list(path))


def pteenet_curve(folder: Path, report: Split) -> Curve:
    """By one T for all exits: leave at the first whose sigmoid(confidence) exceeds it."""
    graph = load_project(folder).plan.graph
    return curve(graph, said(graph, report), [thresholds_of(graph, logit) for logit in _LOGITS])


def thresholds_of(graph: QuantGraph, logit: float) -> tuple[int, ...]:
    """Per exit the least code whose real value is above `logit`, the log-odds of T."""
    codes = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int8)
    found = []
    for leave in graph.exits[:-1]:
        assert leave.rule is not None
        above = np.flatnonzero(graph.tensors[leave.rule.tensor].quant.reals(codes) > logit)
        found.append(int(codes[above[0]]) if above.size else NEVER)
    return tuple(found)
