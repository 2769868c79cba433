from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from passes.networks import residual_network

from ptee_mcu.calibrate import calibrate
from ptee_mcu.errors import VerifyError
from ptee_mcu.passes.fold import fold
from ptee_mcu.quant_graph import OperatingPoint, QConfidence, QExit, QuantGraph, verify_quant_graph
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


def test_the_last_of_several_exits_costs_more_than_the_backbone() -> None:
    graph = network()
    assert graph.exit_costs() == (1.0,)
    assert graph.exit_macs()[-1] == graph.backbone_macs() == sum(graph.segment_macs())


def test_pixels_without_a_table_are_refused() -> None:
    with pytest.raises(VerifyError, match=r"has no preprocessing table"):
        network().input_codes(np.zeros((1, 8, 8, 3), np.uint8))
