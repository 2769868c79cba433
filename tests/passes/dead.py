"""Small networks whose channels are made dead by hand, and the check that removing them changes no byte."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from support.builder import Builder
from support.differential import inputs_for
from support.graphs import networks

from ptee_mcu.ops import QConv2d, QConvTranspose2d, QDepthwiseConv2d, QFullyConnected
from ptee_mcu.passes.dead_channels import Removed, remove_dead_channels
from ptee_mcu.passes.dead_codes import known_facts
from ptee_mcu.passes.dead_keep import kept_channels
from ptee_mcu.quant_graph import QNode, QuantGraph, verify_quant_graph
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import Int8, Int32, readonly

Weighted: TypeAlias = QConv2d | QConvTranspose2d | QDepthwiseConv2d | QFullyConnected
Edit: TypeAlias = Callable[[Int8, Int32], None]

HIGH = 2**24  # a bias beyond every sum of the layers here: the output is clamped whatever the input


def edited(node: QNode, edit: Edit) -> QNode:
    """`node` after `edit` wrote its weights (output channels first) and its biases."""
    op = node.op
    assert isinstance(op, Weighted)
    weights, bias = op.weights.copy(), op.bias.copy()
    edit(np.moveaxis(weights, -1, 0) if isinstance(op, QDepthwiseConv2d) else weights, bias)
    return replace(node, op=replace(op, weights=readonly(weights, np.int8), bias=readonly(bias, np.int32)))


def edit(b: Builder, tensor: str, how: Edit) -> str:
    """Edits the node that makes `tensor`."""
    place = next(i for i, node in enumerate(b.nodes) if node.output == tensor)
    b.nodes[place] = edited(b.nodes[place], how)
    return tensor


def zero(b: Builder, tensor: str, channels: Sequence[int]) -> str:
    """Gives `channels` of `tensor` neither weights nor bias: their code is the zero point."""

    def how(weights: Int8, bias: Int32) -> None:
        weights[list(channels)] = 0
        bias[list(channels)] = 0

    return edit(b, tensor, how)


def full(b: Builder, tensor: str, channels: Sequence[int]) -> str:
    """Makes `channels` of `tensor` 127 by their biases; the weights stay."""

    def how(_: Int8, bias: Int32) -> None:
        bias[list(channels)] = HIGH

    return edit(b, tensor, how)


def unread(b: Builder, tensor: str, out: Sequence[int], channel: int) -> str:
    """Gives outputs `out` of the convolution that makes `tensor` no weights for input `channel`."""

    def how(weights: Int8, _: Int32) -> None:
        weights[list(out), ..., channel] = 0

    return edit(b, tensor, how)


def channels(graph: QuantGraph, *names: str) -> tuple[int, ...]:
    """Channels of the outputs of the nodes `names`."""
    return tuple(graph.tensors[f"{name}:0"].shape[-1] for name in names)


def checked(graph: QuantGraph, *, count: int = 40) -> tuple[QuantGraph, Removed]:
    """The network without its dead channels.

    Asserts that every byte is the original's, that every bound holds, and that nothing is left to remove.
    """
    thin, removed = remove_dead_channels(graph)
    verify_quant_graph(thin)
    facts = known_facts(graph)
    keep = kept_channels(graph, facts)
    x = inputs_for(graph, count)
    before, after = (evaluate(g, x, full=True, record=True) for g in (graph, thin))
    for name, codes in before.tensors.items():
        flat = codes.reshape(-1, codes.shape[-1])
        assert (flat.min(axis=0) >= facts.codes[name].low).all(), name
        assert (flat.max(axis=0) <= facts.codes[name].high).all(), name
        np.testing.assert_array_equal(after.tensors[name], codes[..., keep[name]], err_msg=name)
    for answer in ("exit", "label", "logits", "confidence", "exit_logits", "confidences"):
        np.testing.assert_array_equal(getattr(after, answer), getattr(before, answer), err_msg=answer)
    assert remove_dead_channels(thin)[0] is thin
    return thin, removed


@st.composite
def partly_dead(draw: DrawFn) -> QuantGraph:
    """A random network in which outputs of random layers are zero, constant or clamped, and some inputs unread."""
    graph = draw(networks())
    answers = {tensor for leave in graph.exits for tensor in leave.tensors}
    nodes = [
        edited(node, _deadly(draw, node.op)) if isinstance(node.op, Weighted) and node.output not in answers else node
        for node in graph.nodes
    ]
    return replace(graph, nodes=tuple(nodes))


def _deadly(draw: DrawFn, op: Weighted) -> Edit:
    chosen = draw(st.sets(st.integers(0, len(op.bias) - 1), max_size=4))
    biases = [draw(st.sampled_from([0, 0, 0, 500, HIGH, -HIGH])) for _ in chosen]
    zeros = [channel for channel in chosen if draw(st.booleans())]
    inputs = draw(st.sets(st.integers(0, op.weights.shape[-1] - 1), max_size=2))

    def how(weights: Int8, bias: Int32) -> None:
        bias[list(chosen)] = biases
        weights[zeros] = 0
        if not isinstance(op, QDepthwiseConv2d):
            weights[..., list(inputs)] = 0

    return how
