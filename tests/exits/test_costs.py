from functools import cache

import numpy as np
import pytest
import torch
from exits.networks import two_blocks

from ptee_mcu.calibrate import calibrate
from ptee_mcu.errors import ModelError
from ptee_mcu.exits.costs import PlaceCosts, exit_costs, flop_costs, nominal_costs, nominal_exit_costs, place_costs
from ptee_mcu.exits.heads import attach, find_head, head_nodes
from ptee_mcu.exits.placement import place
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.graph import Graph
from ptee_mcu.models import build, find
from ptee_mcu.models.cifar_resnet import CifarResNet
from ptee_mcu.ops import AvgPool2d, Clamp
from ptee_mcu.passes.fold import fold
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.quantize import quantize


@cache
def published(name: str, count: int, head: str) -> Graph:
    """A network of the papers with heads placed by Fine; its ResNets have shortcuts with convolutions."""
    spec = find(name)
    network = build(name)
    if isinstance(network, CifarResNet):
        network.use_shortcuts("conv")
    graph = capture(network, torch.zeros(1, 3, 32, 32), name=name, taps=spec.blocks)
    return attach(graph, place(graph, "fine", count), find_head(head))


def quantized_of(graph: Graph) -> QuantGraph:
    x = np.random.default_rng(0).normal(size=(4, *graph.input_shape[1:])).astype(np.float32)
    folded = fold(graph)
    return quantize(folded, calibrate(folded, x))


NOMINAL = {
    ("resnet110", 10): (0.08, 0.13, 0.17, 0.21, 0.25, 0.28, 0.32, 0.36, 0.39, 0.43, 1.0),
    ("vgg19", 3): (0.15, 0.29, 0.62, 1.0),
}


@pytest.mark.parametrize("case", NOMINAL, ids=str)
def test_nominal_costs_are_those_the_papers_print(case: tuple[str, int]) -> None:
    assert nominal_costs(published(*case, "conv2")) == pytest.approx(NOMINAL[case], abs=0.005)


PUBLISHED = {
    ("resnet20", 3, "conv1"): 1.176,
    ("resnet20", 3, "conv2"): 1.350,
    ("resnet32", 5, "conv2"): 1.345,
    ("resnet110", 10, "conv2"): 1.188,
    ("vgg19", 3, "conv2"): 1.142,
}


@pytest.mark.parametrize("case", PUBLISHED, ids=str)
def test_the_published_networks_really_cost_more_than_one_in_eenets_flops(case: tuple[str, int, str]) -> None:
    costs = flop_costs(published(*case))
    assert costs.honest[-1] == pytest.approx(PUBLISHED[case], abs=0.0006)
    assert costs.nominal[-1] == 1.0


def test_densenets_published_cost_counts_no_functional_relu_and_pool_of_its_trunk() -> None:
    graph = published("densenet121", 3, "conv2")
    costs = flop_costs(graph)
    heads = head_nodes(graph)
    functional = sum(
        node.op.flops(graph.input_shapes(node), node.params)
        for node in graph.nodes
        if node.name not in heads and isinstance(node.op, Clamp | AvgPool2d)
    )
    bare = costs.trunk[-1] - functional
    assert 1.0 + sum(costs.heads) / bare == pytest.approx(2.054, abs=0.0006)
    # The third exit alone: 1.226 of the backbone.
    assert costs.honest[2] == pytest.approx(1.226, abs=0.01)
    assert exit_costs(graph)[-1] == pytest.approx(2.062, abs=0.0006)


def test_resnet110_has_the_flops_that_its_notebooks_print() -> None:
    assert flop_costs(published("resnet110", 10, "conv2")).trunk[-1] == pytest.approx(256.32e6, abs=5e3)


def test_honest_costs_exceed_nominal_ones_by_the_heads_passed_by() -> None:
    graph = attach(two_blocks(), two_blocks().taps, find_head("conv1"))
    stem, late, fc = 16 * 20 * 9 * 3 * 4, 8 * 10 * 9 * 4 * 8, 8 * 5
    head0, head1 = 16 * 20 * 9 * 4 * 4 + 4 * 6, 8 * 10 * 9 * 8 * 8 + 8 * 6
    int8 = quantized_of(graph)
    costs = place_costs(int8)
    assert costs == PlaceCosts((stem, stem + late, stem + late + fc), (head0, head1))
    bare = stem + late + fc
    assert costs.honest == pytest.approx(int8.exit_costs())
    expected = [(stem + head0) / bare, (stem + late + head1) / bare, 1.0]
    assert nominal_exit_costs(int8) == costs.nominal == pytest.approx(expected)


def test_a_cascading_head_is_charged_its_own_nodes_only() -> None:
    alone = attach(two_blocks(), two_blocks().taps, find_head("pooled"))
    cascading = attach(two_blocks(), two_blocks().taps, find_head("pooled"), cascade=True)
    assert flop_costs(cascading).trunk == flop_costs(alone).trunk
    assert flop_costs(cascading).heads[0] == flop_costs(alone).heads[0]
    extra = flop_costs(cascading).heads[1] - flop_costs(alone).heads[1]
    assert 0 < extra < flop_costs(alone).heads[0]


def test_any_price_of_nodes_prices_places() -> None:
    int8 = quantized_of(attach(two_blocks(), two_blocks().taps, find_head("pool")))
    costs = place_costs(int8, price=len)
    assert costs.trunk[-1] + sum(costs.heads) == len(int8.nodes)


def test_costs_that_fall_or_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match="2 trunk costs and 2 head costs; one head less is needed"):
        PlaceCosts((0.5, 1.0), (0.1, 0.1))
    with pytest.raises(ModelError, match=r"trunk costs \(0.5, 0.4\) must not fall"):
        PlaceCosts((0.5, 0.4), (0.1,))
    with pytest.raises(ModelError, match=r"nor head costs \(-0.1,\) be negative"):
        PlaceCosts((0.5, 1.0), (-0.1,))
    with pytest.raises(ModelError, match="the backbone costs nothing"):
        PlaceCosts((0.0,), ())
