from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from passes.networks import residual_network

from ptee_mcu.calibrate import calibrate
from ptee_mcu.errors import VerifyError
from ptee_mcu.passes.fold import fold
from ptee_mcu.quant_graph import OperatingPoint, QConfidence, QExit, QuantGraph, _verify_point, verify_quant_graph
from ptee_mcu.quantize import quantize


def network() -> QuantGraph:
    net, graph = residual_network()
    folded = fold(graph)
    return quantize(folded, calibrate(folded, net.inputs(20), observer="minmax"))


BREAKS: dict[str, tuple[Callable[[QuantGraph], QuantGraph], str]] = {
    "a node before its input": (lambda g: replace(g, nodes=g.nodes[::-1]), r"reads .*, which no earlier node makes"),
    "a node twice": (lambda g: replace(g, nodes=(*g.nodes, g.nodes[-1])), r"which exists already"),
    "a tensor without a producer": (
        lambda g: replace(g, tensors={**g.tensors, "stray": g.input_tensor}),
        r"tensors without a producer: \['stray'\]",
    ),
    "a node that feeds no exit": (
        lambda g: replace(g, exits=(replace(g.exits[0], logits=g.nodes[-2].output),)),
        r"a node feeds no exit",
    ),
    "a final exit with a rule": (
        lambda g: replace(g, exits=(replace(g.exits[0], rule=QConfidence(g.exits[0].logits)),)),
        r"every exit but the last needs a rule",
    ),
    "a threshold too many": (
        lambda g: replace(g, points=(OperatingPoint("p", (0,)),)),
        r"p has 1 thresholds for its exits",
    ),
    "a default that is not there": (lambda g: replace(g, default=1), r"default point 1 of 1"),
    "a reach of other segments": (
        lambda g: replace(g, points=(OperatingPoint("p", (), (1.0, 0.5)),)),
        r"p has a reach of 2 segments for its 1 exits",
    ),
    "a reach that starts below 1": (
        lambda g: replace(g, points=(OperatingPoint("p", (), (0.9,)),)),
        r"p has a reach that does not fall from 1",
    ),
    "a limit on something unknown": (
        lambda g: replace(g, points=(OperatingPoint("p", (), quantity="temperature"),)),
        r"p limits temperature, which is none of disagreement, drop, mean_cost, mean_cycles",
    ),
    "a delta of 1": (
        lambda g: replace(g, points=(OperatingPoint("p", (), delta=1.0, bound=0.01),)),
        r"p is certified at delta 1\.0, outside \(0, 1\)",
    ),
    "a delta without a bound": (
        lambda g: replace(g, points=(OperatingPoint("p", (), delta=0.05),)),
        r"p has a bound without its delta, or a delta without its bound",
    ),
    "a confidence of many codes": (
        lambda g: replace(
            g,
            exits=(QExit("early", g.exits[0].logits, QConfidence(g.exits[0].logits)), *g.exits),
            points=(OperatingPoint("p", (0,)),),
        ),
        r"the confidence of early is not one code",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), BREAKS.values(), ids=BREAKS)
def test_a_broken_int8_network_is_refused(spoil: Callable[[QuantGraph], QuantGraph], message: str) -> None:
    with pytest.raises(VerifyError, match=message):
        verify_quant_graph(spoil(network()))


def test_a_threshold_beyond_never_is_refused() -> None:
    graph = network()
    two = replace(graph, exits=(QExit("early", graph.exits[0].logits), *graph.exits))
    with pytest.raises(VerifyError, match=r"p has a threshold outside \[-128, 128\]"):
        _verify_point(two, OperatingPoint("p", (129,)))


def test_the_last_of_several_exits_costs_more_than_the_backbone() -> None:
    graph = network()
    assert graph.exit_costs() == (1.0,)
    assert graph.exit_macs()[-1] == graph.backbone_macs() == sum(graph.segment_macs())


def test_pixels_without_a_table_are_refused() -> None:
    with pytest.raises(VerifyError, match=r"has no preprocessing table"):
        network().input_codes(np.zeros((1, 8, 8, 3), np.uint8))
