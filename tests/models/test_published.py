"""The figures that papers and reference code state of VGG-19 and DenseNet-121 come out of the graphs here."""

from collections.abc import Callable, Sequence
from functools import cache
from math import prod

import pytest
import torch

from ptee_mcu.exits.placement import fine, trunk_flops
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.graph import Graph, needed
from ptee_mcu.models import build, find
from ptee_mcu.ops import Conv2d

SHARE = 0.0015  # the reference counts no functional ReLU, and its VGG has two Linear layers more


@cache
def network(name: str) -> Graph:
    return capture(build(name), torch.zeros(1, 3, 32, 32), name=name, taps=find(name).blocks)


def shares(name: str, blocks: tuple[str, ...], count: Callable[[Graph, Sequence[str]], int]) -> list[float]:
    graph = network(name)
    tensors = {tap.name: tap.tensor for tap in graph.taps}
    whole = count(graph, graph.exits[-1].tensors)
    return [count(graph, (tensors[block],)) / whole for block in blocks]


def macs(graph: Graph, tensors: Sequence[str]) -> int:
    return sum(node.op.macs(graph.input_shapes(node), node.params) for node in needed(graph.nodes, tensors))


def test_vgg19_counts_the_published_flops() -> None:
    graph = network("vgg19")
    # What PTEEnet's VGG-19 has beyond this one: biases under its BatchNorms, two hidden Linear layers with ReLU.
    biases = sum(prod(graph.shapes[node.output]) for node in graph.nodes if isinstance(node.op, Conv2d))
    hidden = 2 * (512 * 512 + 512)
    assert (trunk_flops(graph, graph.exits[-1].tensors) + biases + hidden) / 1e6 == pytest.approx(400.0, abs=0.05)


@pytest.mark.parametrize(
    ("name", "blocks", "expected"),
    [
        ("vgg19", ("pool0", "pool1", "pool2"), [0.100, 0.243, 0.574]),
        ("densenet121", ("block1.0", "block1.1", "block1.2"), [0.054, 0.110, 0.172]),
    ],
)
def test_the_places_of_fine_end_at_the_published_shares_of_the_flops(
    name: str, blocks: tuple[str, ...], expected: list[float]
) -> None:
    assert shares(name, blocks, trunk_flops) == pytest.approx(expected, abs=SHARE)


@pytest.mark.parametrize(
    ("name", "blocks", "expected"),
    [
        ("vgg19", ("pool0", "pool1", "pool2", "pool3"), [0.099, 0.241, 0.573, 0.904]),
        ("densenet121", ("block1.5", "block2.11", "block3.23"), [0.384, 0.684, 0.924]),
    ],
)
def test_resolutions_end_at_the_published_shares_of_the_macs(
    name: str, blocks: tuple[str, ...], expected: list[float]
) -> None:
    assert shares(name, blocks, macs) == pytest.approx(expected, abs=SHARE)


def test_the_first_layers_of_densenet121_have_the_published_channels() -> None:
    graph = network("densenet121")
    assert [graph.shapes[tap.tensor] for tap in graph.taps[:3]] == [(1, 32, 32, c) for c in (96, 128, 160)]


def test_densenet40_narrows_nowhere() -> None:
    graph = network("densenet40")
    sizes = {tap.name: graph.shapes[tap.tensor] for tap in graph.taps}
    assert sizes["block1.11"] == (1, 32, 32, 160)
    assert sizes["block2.11"] == (1, 16, 16, 304)
    assert sizes["block3.11"] == (1, 8, 8, 448)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("vgg19", ["pool0", "pool1", "pool2"]), ("densenet121", ["block1.0", "block1.1", "block1.2"])],
)
def test_fine_places_three_exits_where_eenets_code_does(name: str, expected: list[str]) -> None:
    assert [tap.name for tap in fine(network(name), 3)] == expected
