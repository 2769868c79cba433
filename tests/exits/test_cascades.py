from dataclasses import replace

import numpy as np
import pytest
import torch
from exits.branched import attached, images, quantized
from exits.networks import two_blocks

from ptee_mcu.errors import ModelError
from ptee_mcu.exits.costs import exit_costs
from ptee_mcu.exits.heads import HEADS, attach, backbone_nodes, branches, cascade_edges, head_nodes
from ptee_mcu.graph import Exit, forward, segments
from ptee_mcu.ops import Add
from ptee_mcu.passes.fold import fold
from ptee_mcu.sim import evaluate
from ptee_mcu.train.module import GraphModule


@pytest.mark.parametrize("head", HEADS)
def test_cascading_adds_the_mapped_logits_of_the_exit_before(head: str) -> None:
    graph = attached(head, cascade=True)
    assert [e.logits for e in graph.exits[:-1]] == ["exit0.classifier", "exit1.logits"]
    previous, total = graph.node("exit1.previous"), graph.node("exit1.logits")
    assert previous.inputs == ("exit0.classifier",)
    assert "bias" not in previous.params
    assert isinstance(total.op, Add)
    assert total.inputs == ("exit1.classifier", "exit1.previous")
    tensors = ["exit0.classifier", "exit1.classifier", "exit1.logits"]
    before, own, summed = forward(graph, images(graph, 4), tensors).values()
    assert np.allclose(summed, own + before @ previous.params["weight"].T, atol=1e-5)


def test_the_confidence_of_a_cascading_pooled_head_reads_the_sum() -> None:
    graph = attached(cascade=True)
    assert graph.node("exit0.hidden1").inputs == ("exit0.classifier",)
    assert graph.node("exit1.hidden1").inputs == ("exit1.logits",)
    assert attached("pool", cascade=True).node("exit1.confidence").inputs == ("exit1.gap",)


def test_a_head_may_cascade_by_itself() -> None:
    graph = two_blocks()
    one = attach(graph, graph.taps, replace(HEADS["pool"], cascade=True), seed=3)
    other = attach(graph, graph.taps, HEADS["pool"], seed=3, cascade=True)
    assert [node.name for node in one.nodes] == [node.name for node in other.nodes]


def test_cascading_layers_start_within_the_bound_of_one_layer_on_both_inputs() -> None:
    graph = attached("pool", cascade=True)
    bound = 1 / np.sqrt(8 + 5)
    for name in ("exit1.classifier", "exit1.previous"):
        assert 0.8 * bound < np.abs(graph.node(name).params["weight"]).max() <= bound


def test_segments_costs_and_head_nodes_of_a_cascade_are_right() -> None:
    graph = attached("pool", cascade=True)
    parts = segments(graph.nodes, [e.tensors for e in graph.exits])
    heads = [[node.name for node in part if node.name.startswith("exit")] for part in parts]
    first = [f"exit0.{role}" for role in ("gap", "classifier", "confidence")]
    second = [f"exit1.{role}" for role in ("gap", "classifier", "previous", "logits", "confidence")]
    assert heads == [first, second, []]
    assert head_nodes(graph) == {*first, *second}
    stem, late, fc = 16 * 20 * 9 * 3 * 4, 8 * 10 * 9 * 4 * 8, 8 * 5
    head0, head1 = 4 * 6, 8 * 6 + 5 * 5
    bare = stem + late + fc
    expected = [stem + head0, stem + head0 + late + head1, bare + head0 + head1]
    assert exit_costs(graph) == pytest.approx([macs / bare for macs in expected])
    assert quantized(graph).exit_costs() == pytest.approx([macs / bare for macs in expected])


@pytest.mark.parametrize("cascade", [False, True])
def test_branches_are_the_heads_with_what_they_read(cascade: bool) -> None:  # noqa: FBT001 - parametrized
    graph = attached(cascade=cascade)
    first, second = branches(graph)
    assert (first.tap, second.tap) == tuple(tap.tensor for tap in graph.taps)
    assert first.previous is None
    assert second.previous == ("exit0.classifier" if cascade else None)
    assert {node.name for branch in (first, second) for node in branch.nodes} == head_nodes(graph)
    assert all(node.name.startswith("exit1.") for node in second.nodes)
    assert cascade_edges(graph) == ({("exit1.previous", "exit0.classifier")} if cascade else frozenset())


def test_a_head_on_two_tensors_of_the_backbone_is_no_branch() -> None:
    graph = attached("pool")
    early, late, final = graph.exits
    mixed = replace(graph, exits=(Exit(early.name, late.logits, early.rule, early.tap), final))
    with pytest.raises(ModelError, match=r"the head of exit0 reads \[.*, .*\], one tensor of the backbone is expected"):
        branches(mixed)


@pytest.mark.parametrize("cut", [False, True])
def test_only_through_cut_edges_does_a_cascade_teach_no_earlier_head(cut: bool) -> None:  # noqa: FBT001 - parametrized
    graph = attached(cascade=True)
    edges = cascade_edges(graph) if cut else frozenset[tuple[str, str]]()
    frozen = [node.name for node in backbone_nodes(graph)]
    module = GraphModule(graph, ["exit1.logits", "exit1.confidence"], frozen=frozen, cut=edges)
    values = module(torch.from_numpy(images(graph, 4)))
    sum(value.sum() for value in values.values()).backward()
    taught = {name for name in ("exit0.classifier", "exit1.classifier", "exit1.previous")
              if module.layer(name)["weight"].grad is not None}  # fmt: skip
    assert taught == {"exit1.classifier", "exit1.previous"} | (set() if cut else {"exit0.classifier"})


def test_int8_keeps_what_a_cascade_says() -> None:
    graph = attached("pool", cascade=True)
    x = images(graph, 64, seed=1)
    logits = graph.exits[1].logits
    floats = forward(fold(graph), x, [logits])[logits]
    int8 = quantized(graph)
    codes = evaluate(int8, int8.input_tensor.quant.codes(x), full=True).exit_logits
    assert codes is not None
    scale, zero_point = int8.tensors[logits].quant.scale, int8.tensors[logits].quant.zero_point
    error = np.abs(scale * (codes[1].astype(np.float64) - zero_point) - floats)
    assert error.max() < 0.1 * np.ptp(floats)
