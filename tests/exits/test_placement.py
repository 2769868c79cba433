from dataclasses import replace
from functools import cache

import pytest
import torch
from passes.networks import residual_network

from ptee_mcu.errors import ConfigError, ModelError
from ptee_mcu.exits.placement import RULES, by_name, fine, in_order, place, trunk_flops
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.graph import Graph, Tap
from ptee_mcu.models import build, find


@cache
def network(name: str) -> Graph:
    spec = find(name)
    example = torch.zeros(1, 3, 32, 32)
    return capture(build(name), example, name=name, taps=spec.blocks)


def names(taps: tuple[Tap, ...]) -> list[str]:
    return [tap.name for tap in taps]


# The rules' shares of the network's FLOPs, as EENet's reference code computes them.
SHARES = {
    ("fine", 3): (0.05, 0.0975, 0.1426),
    ("fine", 10): (*(None,) * 9, 0.4013),
    ("pareto", 3): (0.2, 0.36, 0.488),
    ("golden", 3): (0.236, 0.382, 0.618),
    ("linear", 3): (0.25, 0.5, 0.75),
}


@pytest.mark.parametrize("case", SHARES, ids=str)
def test_a_rule_sets_the_shares_of_eenets_code(case: tuple[str, int]) -> None:
    rule, count = case
    for i, share in enumerate(SHARES[case]):
        assert share is None or RULES[rule](i, count) == pytest.approx(share, abs=0.0005)


# Recounted from EENet's reference code: where Fine puts exits, and the shares of the trunk that end there.
FINE = {
    "resnet20": (["layer1.0", "layer1.1", "layer1.2"], [0.128, 0.245, 0.361]),
    "resnet32": ([f"layer1.{i}" for i in range(5)], [0.076, 0.145, 0.213, 0.282, 0.351]),
    "resnet110": (
        [*(f"layer1.{i}" for i in (2, 5, 7, 9, 11, 13, 15, 17)), "layer2.1", "layer2.3"],
        [0.058, *(None,) * 8, 0.411],
    ),
    "vgg19": (["pool0", "pool1", "pool2"], [0.100, 0.243, 0.574]),
    "densenet121": (["block1.0", "block1.1", "block1.2"], [0.054, 0.110, 0.172]),
}


@pytest.mark.parametrize("name", FINE)
def test_fine_places_exits_where_eenets_code_does(name: str) -> None:
    expected, shares = FINE[name]
    graph = network(name)
    taps = place(graph, "fine", len(expected))
    assert names(taps) == expected
    assert fine(graph, len(expected)) == taps
    whole = trunk_flops(graph, graph.exits[-1].tensors)
    for tap, share in zip(taps, shares, strict=True):
        # The reference counts no functional ReLU or pool; here each is counted.
        assert share is None or trunk_flops(graph, (tap.tensor,)) / whole == pytest.approx(share, abs=0.004)


# By hand from the shares of ResNet-20's nine blocks: .128 .245 .361 .450 .567 .684 .771 .887 1.0 of 41 MFLOP, less the
# final layers.
RESNET20 = {
    "pareto": ["layer1.1", "layer1.2", "layer2.1"],
    "linear": ["layer1.2", "layer2.1", "layer3.0"],
    "golden": ["layer1.1", "layer2.0", "layer2.2"],
}


@pytest.mark.parametrize("rule", RESNET20)
def test_the_other_rules_place_by_their_shares(rule: str) -> None:
    assert names(place(network("resnet20"), rule, 3)) == RESNET20[rule]


def test_an_exit_whose_share_its_predecessors_block_has_reached_slips_to_the_next_block() -> None:
    # The first block of ResNet-20 holds 12.8 % already, past Fine's 5 and 9.75 %.
    assert names(place(network("resnet20"), "fine", 2)) == ["layer1.0", "layer1.1"]


def test_an_unknown_rule_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no rule for placing exits is called 'silver'\n  hint: known rules: pareto"):
        place(network("resnet20"), "silver", 1)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_refuses_more_exits_than_blocks(rule: str) -> None:
    with pytest.raises(ConfigError, match=f"10 exits do not fit: {rule.capitalize()} finds . places among 9 blocks"):
        place(network("resnet20"), rule, 10)


def test_flops_are_counted_by_hand() -> None:
    _, graph = residual_network()
    stem = 64 * 9 * 3 * 8 + 2 * 512 + 512
    block = 2 * (64 * 9 * 8 * 8 + 2 * 512) + 2 * 512
    assert trunk_flops(graph, ("clamp2.out",)) == stem
    assert trunk_flops(graph, (graph.taps[0].tensor,)) == stem + block
    assert trunk_flops(graph, graph.exits[-1].tensors) == stem + block + 512 + 8 * 5


def test_more_exits_than_places_are_refused_with_how_many_there_are() -> None:
    with pytest.raises(ConfigError, match="12 exits do not fit: Fine finds 9 places among 9 blocks"):
        fine(network("resnet20"), 12)


def test_a_network_without_blocks_has_no_place() -> None:
    _, graph = residual_network()
    with pytest.raises(ConfigError, match="Fine finds 0 places among 0 blocks\n  hint: the network has no blocks"):
        fine(replace(graph, taps=()), 1)


def test_no_exit_at_all_cannot_be_placed() -> None:
    with pytest.raises(ConfigError, match="0 exits were asked for"):
        fine(residual_network()[1], 0)


def test_exits_by_name_stand_in_order_of_execution() -> None:
    assert names(by_name(network("resnet20"), ["layer3.0", "layer1.2"])) == ["layer1.2", "layer3.0"]


def test_an_unknown_block_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no block 'layer2\.9' to attach an exit to\n  hint: did you mean 'layer2"):
        by_name(network("resnet20"), ["layer2.9"])


def test_a_block_named_twice_or_no_block_is_refused() -> None:
    _, graph = residual_network()
    with pytest.raises(ConfigError, match="block 'block' is named 2 times"):
        by_name(graph, ["block", "block"])
    with pytest.raises(ConfigError, match="no block is named for an exit"):
        by_name(graph, [])


def test_a_tap_on_a_tensor_that_no_node_makes_is_refused() -> None:
    _, graph = residual_network()
    with pytest.raises(ModelError, match="tap odd names elsewhere, which no node makes"):
        in_order(graph, [Tap("odd", "elsewhere")])
