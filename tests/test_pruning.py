from dataclasses import replace

import numpy as np
import pytest
from exits.branched import attached, images, quantized

from ptee_mcu.config import Config
from ptee_mcu.data import Split, Use
from ptee_mcu.data.splits import Part
from ptee_mcu.exits.outcomes import make_outcomes
from ptee_mcu.exits.reliability import dequantized
from ptee_mcu.quant_graph import NEVER, OperatingPoint, QuantGraph
from ptee_mcu.report.console import Console
from ptee_mcu.sim import evaluate
from ptee_mcu.stages.choosing import Said
from ptee_mcu.stages.pruning import pruned


def config(placement: str) -> Config:
    exits = {"placement": placement, **({"at": ["a", "b"]} if placement == "names" else {})}
    return Config.model_validate(
        {"model": {"name": "digits_cnn"}, "data": {"source": "digits"}, "exits": exits, "build": {"name": "a"}}
    )


def said(graph: QuantGraph, split: Split) -> Said:
    run = evaluate(graph, graph.input_tensor.quant.codes(split.x.astype(np.float32)), full=True)
    assert run.labels is not None
    assert run.confidences is not None
    assert run.exit_logits is not None
    return Said(make_outcomes(split, run.labels, run.confidences), dequantized(graph, run.exit_logits, run.confidences))


@pytest.mark.parametrize(("placement", "exits"), [("search", 2), ("names", 3)])
def test_an_idle_exit_goes_where_a_search_placed_it_and_stays_where_it_was_asked_for(
    placement: str, exits: int
) -> None:
    graph = attached("pooled")
    idle = OperatingPoint("p", (NEVER, 7), (1.0, 1.0, 0.4))
    network = replace(quantized(graph), points=(idle,))
    x = images(graph, 12)
    split = Split(
        "report", Part.TEST, np.arange(len(x)), x, np.zeros(len(x), np.int64),
        seen_by_backbone=False, seen_by_heads=False, used_for=frozenset({Use.REPORT}),
    )  # fmt: skip
    left, of = pruned(config(placement), network, {"report": said(network, split)}, Console(quiet=True))
    assert len(left.exits) == exits
    again = said(left, split)
    assert np.array_equal(of["report"].outcomes.labels, again.outcomes.labels)
    assert np.array_equal(of["report"].outcomes.confidences, again.outcomes.confidences)
    assert [score.exit for score in of["report"].scores] == [leave.name for leave in left.exits[:-1]]
