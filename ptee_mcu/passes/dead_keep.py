"""Which channels of every tensor some exit depends on, and what must stay beside them."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from ptee_mcu.ops import (
    QAdd,
    QAvgPool2d,
    QConcat,
    QConv2d,
    QConvTranspose2d,
    QDepthwiseConv2d,
    QFullyConnected,
    QLookup,
    QMaxPool2d,
    QMean,
    QMul,
    QPad,
    QPReLU,
    QReshape,
    QResizeNearest,
    QSlice,
)
from ptee_mcu.passes.dead_codes import Bools, Facts
from ptee_mcu.quant_graph import QNode, QuantGraph

Keep: TypeAlias = Mapping[str, Bools]  # per tensor and channel


def kept_channels(graph: QuantGraph, facts: Facts) -> Keep:
    """The smallest set of channels that computes every exit, and dead ones beside them where a count would be odd.

    Starts from the exits' tensors and the input, which stay whole, and adds what kept channels need until nothing is
    missing, so channels that only feed one another go. No tensor is left without any.
    """
    keep = {name: np.zeros(tensor.shape[-1], np.bool_) for name, tensor in graph.tensors.items()}
    for name in {graph.input, *(tensor for leave in graph.exits for tensor in leave.tensors)}:
        keep[name][:] = True
    _complete(graph, facts, keep)
    while (short := next((mask for mask in keep.values() if _is_short(mask)), None)) is not None:
        short[short.argmin()] = True
        _complete(graph, facts, keep)
    return keep


def _is_short(mask: Bools) -> bool:
    """Whether none or an odd number of channels is kept, though there are more.

    With an odd number arm_nn_mat_mult_nt_t_s8 and arm_depthwise_conv_3x3_s8 of CMSIS-NN 4.0.0 are slower than with one
    more: docs/dead-channels.md.
    """
    kept = int(mask.sum())
    return kept < min(max(kept + kept % 2, 2), len(mask))


def _complete(graph: QuantGraph, facts: Facts, keep: Keep) -> None:
    """Adds to `keep` whatever its channels need."""
    before = -1
    while before != (now := sum(int(mask.sum()) for mask in keep.values())):
        before = now
        for node in reversed(graph.nodes):
            if isinstance(node.op, QConv2d | QConvTranspose2d | QFullyConnected):
                reads = _reads(node, facts)
                keep[node.inputs[0]][:] |= reads[keep[node.output]].any(axis=0)
                continue
            for tied in _tied(node, [keep[tensor] for tensor in node.inputs], keep[node.output]):
                together = np.logical_or.reduce(tied)
                for mask in tied:
                    mask[:] = together


def _reads(node: QNode, facts: Facts) -> Bools:
    """(out, in): the outputs that a channel matters to.

    It does not where it adds a constant, which the bias can add, and where the output has one code for every input.
    """
    shares = facts.shares[node.name]
    varies: Bools = (shares.low != shares.high) & ~facts.codes[node.output].constant[:, None]
    return varies


def _tied(node: QNode, inputs: Sequence[Bools], output: Bools) -> list[tuple[Bools, ...]]:
    """Groups of views of one length each: channel i of one stays iff channel i of the others does."""
    tied: list[tuple[Bools, ...]]
    match node.op:
        case QMaxPool2d() | QAvgPool2d() | QAdd() | QMul() | QLookup() | QPReLU() | QMean() | QResizeNearest():
            tied = [(*inputs, output)]
        case QDepthwiseConv2d():
            tied = [(inputs[0], *output.reshape(len(inputs[0]), -1).T)]
        case QReshape() if len(output) % len(inputs[0]) == 0:  # channel i of the output holds channel i % C
            tied = [(inputs[0], *output.reshape(-1, len(inputs[0])))]
        case QConcat():
            starts = np.cumsum([0, *map(len, inputs)])
            tied = [(mask, output[start : start + len(mask)]) for mask, start in zip(inputs, starts, strict=False)]
        case QPad(channels_before=before):
            tied = [(inputs[0], output[before : before + len(inputs[0])])]
        case QSlice(channel_start=start):
            tied = [(inputs[0][start : start + len(output)], output)]
        case _:
            for mask in (*inputs, output):  # an op that is not known here loses nothing
                mask[:] = True
            tied = []
    return tied
