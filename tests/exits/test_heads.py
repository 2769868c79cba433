from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exits.branched import attached, images, quantized, with_lively_norms
from exits.networks import two_blocks
from support.differential import Differential

from ptee_mcu.errors import ConfigError, ModelError
from ptee_mcu.exits.costs import exit_costs
from ptee_mcu.exits.heads import HEADS, HeadSpec, attach, backbone_nodes, find_head, head_nodes
from ptee_mcu.graph import Confidence, Tap, forward
from ptee_mcu.ops import Conv2d
from ptee_mcu.passes.fold import fold

POOLED = ["pool", "conv1", "bn1", "relu1", "gap", "classifier", "hidden1", "hidden2", "confidence"]
CONV = {
    i: [f"{role}{j}" for j in range(1, i + 1) for role in ("conv", "bn", "relu")] + ["gap", "classifier", "confidence"]
    for i in (1, 2, 3)
}
SEPARABLE = [f"{role}{i}{half}" for i in (1, 2, 3) for half in "ab" for role in ("conv", "bn", "relu")]
NODES = {
    "pooled": POOLED,
    "pooled2": [*POOLED[:4], "conv2", "bn2", "relu2", *POOLED[5:]],
    "separable": ["pool", *SEPARABLE, *POOLED[4:]],
    "plain": ["classifier", "confidence"],
    "pool": ["gap", "classifier", "confidence"],
    "bnpool": ["bn", "gap", "classifier", "confidence"],
    "bnpool_relu": ["bn", "relu", "gap", "classifier", "confidence"],
    "conv1": CONV[1],
    "conv2": CONV[2],
    "conv3": CONV[3],
}


@pytest.mark.parametrize("head", NODES)
def test_a_head_consists_of_its_nodes_in_order(head: str) -> None:
    graph = attached(head)
    own = [node.name for node in graph.nodes if node.name.startswith("exit0.")]
    assert own == [f"exit0.{role}" for role in NODES[head]]
    assert set(HEADS) == set(NODES)


def test_exits_come_in_order_ahead_of_the_final_one() -> None:
    graph = two_blocks()
    graph = attach(graph, graph.taps[::-1], HEADS["pool"])
    assert [(e.name, e.tap) for e in graph.exits] == [("exit0", "early"), ("exit1", "late"), ("final", None)]
    assert graph.exits[0].rule == Confidence("exit0.confidence")
    assert graph.shapes["exit0.classifier"] == graph.shapes[graph.exits[-1].logits]
    assert graph.shapes["exit0.confidence"] == (1, 1)


def test_the_backbone_is_untouched() -> None:
    before, after = two_blocks(), attached()
    kept = [node for node in after.nodes if not node.name.startswith("exit")]
    assert [node.name for node in kept] == [node.name for node in before.nodes]
    assert [node.name for node in backbone_nodes(after)] == [node.name for node in before.nodes]
    assert head_nodes(after) == {node.name for node in after.nodes} - {node.name for node in before.nodes}
    x = np.random.default_rng(0).normal(size=(2, *before.input_shape[1:])).astype(np.float32)
    final = before.exits[-1].logits
    assert np.array_equal(forward(before, x, [final])[final], forward(after, x, [final])[final])


def test_the_pooled_head_pools_to_about_eight_and_strides() -> None:
    graph = attached()  # taps of 16x20 and 8x10
    assert graph.shapes["exit0.pool"] == (1, 8, 6, 4)  # kernel 2x3
    assert graph.shapes["exit0.conv1"] == (1, 4, 3, 32)
    assert "exit1.pool" not in graph.shapes  # 8x10 is about 8x8
    assert graph.shapes["exit1.conv1"] == (1, 4, 5, 32)
    assert graph.node("exit1.classifier").params["weight"].shape == (5, 32)
    assert graph.node("exit1.hidden1").params["weight"].shape == (32, 5)


def test_the_head_of_two_convolutions_gives_all_its_pixels_to_the_classifier() -> None:
    graph = attached("pooled2")
    assert graph.shapes["exit0.conv2"] == (1, 2, 2, 64)
    assert graph.node("exit0.classifier").params["weight"].shape == (5, 2 * 2 * 64)


def test_a_separable_head_convolves_channels_one_by_one_and_mixes_them() -> None:
    graph = attached("separable")
    first, second = graph.node("exit0.conv1a"), graph.node("exit0.conv1b")
    assert first.params["weight"].shape == (4, 3, 3, 1)
    assert second.params["weight"].shape == (64, 1, 1, 4)
    assert graph.shapes["exit0.conv3b"] == (1, 2, 2, 64)


def test_a_conv_head_keeps_resolution_and_channels() -> None:
    graph = attached("conv2")
    assert graph.shapes["exit0.conv2"] == graph.shapes[graph.taps[0].tensor]
    assert "bias" not in graph.node("exit0.conv2").params
    assert graph.node("exit0.confidence").params["weight"].shape == (1, 4)


def test_convolutions_start_kaiming_normal_by_fan_out() -> None:
    graph = two_blocks()
    wide = HeadSpec("wide", strides=(1,), channels=400)
    weight = attach(graph, graph.taps, wide).node("exit0.conv1").params["weight"]
    assert weight.std() == pytest.approx(np.sqrt(2 / (400 * 9)), rel=0.02)
    assert abs(weight.mean()) < 1e-3


def test_the_seed_decides_the_weights() -> None:
    one, same, other = (attached(seed=s).node("exit1.conv1").params["weight"] for s in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("cascade", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_every_head_folds(head: str, cascade: bool) -> None:  # noqa: FBT001 - parametrized
    graph = with_lively_norms(attached(head, cascade=cascade))
    folded = fold(graph)
    x = images(graph, 2)
    tensors = [t for e in graph.exits for t in e.tensors]
    before, after = forward(graph, x, tensors), forward(folded, x, tensors)
    for name in tensors:
        assert np.allclose(before[name], after[name], rtol=1e-3, atol=1e-4)


def test_every_head_on_the_way_is_charged() -> None:
    graph = attached("conv1")
    stem, late, fc = 16 * 20 * 9 * 3 * 4, 8 * 10 * 9 * 4 * 8, 8 * 5
    head0, head1 = 16 * 20 * 9 * 4 * 4 + 4 * 6, 8 * 10 * 9 * 8 * 8 + 8 * 6
    bare = stem + late + fc
    expected = [stem + head0, stem + head0 + late + head1, bare + head0 + head1]
    assert exit_costs(graph) == pytest.approx([macs / bare for macs in expected])


def test_a_backbone_without_macs_has_no_costs() -> None:
    graph = two_blocks()
    flat = replace(graph, nodes=tuple(n for n in graph.nodes if not n.params), exits=(graph.exits[-1],))
    with pytest.raises(ModelError, match="no multiply-accumulates to save"):
        exit_costs(flat)


def test_a_plain_head_reads_every_pixel() -> None:
    graph = attached("plain")
    tap = graph.taps[0].tensor
    assert graph.node("exit0.classifier").inputs == (tap,)
    assert graph.node("exit0.classifier").params["weight"].shape == (5, 16 * 20 * 4)
    x = images(graph, 3)
    values = forward(graph, x, [tap, "exit0.classifier"])
    params = graph.node("exit0.classifier").params
    expected = values[tap].reshape(3, -1) @ params["weight"].T + params["bias"]
    assert np.allclose(values["exit0.classifier"], expected, atol=1e-5)


def test_a_norm_on_a_tap_becomes_a_depthwise_convolution_whose_macs_are_charged() -> None:
    folded = fold(with_lively_norms(attached("bnpool_relu")))
    op = folded.node("exit0.bn").op
    assert isinstance(op, Conv2d)
    assert (op.groups, op.act.min) == (4, 0.0)
    assert folded.node("exit0.bn").inputs == (folded.taps[0].tensor,)
    stem, head = 16 * 20 * 9 * 3 * 4, 16 * 20 * 4 + 4 * 6
    late, fc = 8 * 10 * 9 * 4 * 8, 8 * 5
    assert exit_costs(folded)[0] == pytest.approx((stem + head) / (stem + late + fc))


IN_C = [
    ("plain", False),
    ("bnpool", False),
    ("bnpool_relu", True),
    ("pooled", True),
    ("pooled2", True),
    ("separable", False),
]


@pytest.mark.parametrize(("head", "cascade"), IN_C)
def test_a_head_in_c_equals_the_simulator(head: str, cascade: bool, tmp_path: Path) -> None:  # noqa: FBT001
    differential = Differential(quantized(with_lively_norms(attached(head, cascade=cascade))), tmp_path)
    for step in differential.plan.steps:
        differential.check("host", step.node.name)


def test_an_unknown_head_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigError,
        match="no exit head is called 'conv4'\n  hint: known heads: pooled, pooled2, separable, plain, pool, bnpool,",
    ):
        find_head("conv4")


def test_exits_attach_once() -> None:
    graph = attached()
    with pytest.raises(ModelError, match="has 2 early exits already"):
        attach(graph, graph.taps, HEADS["pool"])


def test_exits_need_places_of_their_own() -> None:
    graph = two_blocks()
    with pytest.raises(ModelError, match="no place for an exit was given"):
        attach(graph, (), HEADS["pool"])
    with pytest.raises(ModelError, match="two exits on one tensor"):
        attach(graph, [graph.taps[0], Tap("again", graph.taps[0].tensor)], HEADS["pool"])


def test_an_exit_on_a_flat_tensor_is_refused() -> None:
    graph = two_blocks()
    with pytest.raises(ModelError, match=r"block end gives .* of shape \(1, 5\); an exit needs a feature map"):
        attach(graph, [Tap("end", graph.exits[-1].logits)], HEADS["pool"])
