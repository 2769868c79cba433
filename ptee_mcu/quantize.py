"""Int8 network from a folded float graph and the ranges of its tensors: contract `ptee.int8.v1`."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ptee_mcu.calibrate import Range, Ranges
from ptee_mcu.graph import Graph, Node
from ptee_mcu.ops import Conv2d, Linear, QConv2d, QDepthwiseConv2d, QFullyConnected, QOp
from ptee_mcu.ops.base import Params
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.quant_graph import NEVER, OperatingPoint, QConfidence, QExit, QNode, QuantGraph, verify_quant_graph
from ptee_mcu.tensor import INT8_MAX, INT8_MIN, QTensor, Quant, readonly

_LEAST_SPAN = 1e-6  # a tensor that is always zero still needs a scale


def quantize(
    graph: Graph,
    ranges: Ranges,
    *,
    preprocess: Normalisation | None = None,
    bias_correction: bool = False,
    backbone: QuantGraph | None = None,
) -> QuantGraph:
    """The int8 network; every exit's threshold is 128 (never) until one is chosen.

    Args:
        graph: folded float graph.
        ranges: of every tensor that its exits need.
        preprocess: how pixels become inputs; becomes the 256-entry table per channel.
        bias_correction: cancel the mean output shift that weight rounding causes (Nagel et al. 2019, section 4.2);
            transposed convolutions, whose outputs see different taps, stay as they are.
        backbone: the int8 network that `graph` stands on, where it does: its codes stay, and so does its pixel table.

    Raises:
        QuantizationError: where a weight, a bias or an accumulator does not fit.
    """
    quants = _quants(graph, ranges, backbone)
    table = None if preprocess is None else preprocess.table(quants[graph.input])
    nodes = []
    for node in graph.nodes:
        op = _quantize_op(node, node.params, quants)
        if bias_correction and isinstance(node.op, Conv2d | Linear):
            op = _quantize_op(node, _corrected(node, op, quants, ranges.channel_means), quants)
        nodes.append(QNode(node.name, op, node.inputs, node.output))
    exits = tuple(QExit(e.name, e.logits, QConfidence(e.rule.tensor) if e.rule else None, e.tap) for e in graph.exits)
    quant_graph = QuantGraph(
        name=graph.name,
        input=graph.input,
        tensors=MappingProxyType({name: QTensor(graph.shapes[name], quant) for name, quant in quants.items()}),
        nodes=tuple(nodes),
        exits=exits,
        points=(OperatingPoint("never", (NEVER,) * (len(exits) - 1)),),
        preprocess=table if backbone is None or backbone.preprocess is None else backbone.preprocess,
        softmax=graph.softmax,
    )
    verify_quant_graph(quant_graph)
    return quant_graph


def _quantize_op(node: Node, params: Params, quants: Mapping[str, Quant]) -> QOp:
    return node.op.quantize(node.name, [quants[t] for t in node.inputs], quants[node.output], params)


def _quant(span: Range) -> Quant:
    """Asymmetric code over the span; real zero has an exact code."""
    low, high = min(span.low, 0.0), max(span.high, 0.0)
    scale = max(high - low, _LEAST_SPAN) / (INT8_MAX - INT8_MIN)
    zero_point = int(np.clip(np.floor(INT8_MIN - low / scale + 0.5), INT8_MIN, INT8_MAX))
    return Quant(scale, zero_point)


def _quants(graph: Graph, ranges: Ranges, backbone: QuantGraph | None) -> dict[str, Quant]:
    """Codes of the graph's tensors: the backbone's own, or by range; one where an op copies codes between tensors."""
    names = [graph.input, *(node.output for node in graph.nodes)]
    leader = _leaders(graph)
    given = {} if backbone is None else {name: tensor.quant for name, tensor in backbone.tensors.items()}
    fixed = {leader[name]: given[name] for name in reversed(names) if name in given}
    # What an op merely copies or averages lies within its inputs' range and must not widen it: a head on a tap would
    # change the backbone's codes.
    copied = {node.output for node in graph.nodes if node.op.same_quant}
    joined: dict[str, Range] = {}
    for name in names:
        root = leader[name]
        if name not in copied:
            joined[root] = ranges.of[name].joined(joined[root]) if root in joined else ranges.of[name]
    shared = {root: _quant(span) for root, span in joined.items()} | fixed
    return {name: given.get(name, shared[leader[name]]) for name in names}


def _leaders(graph: Graph) -> dict[str, str]:
    """Per tensor the one that stands for all that must share its code."""
    names = [graph.input, *(node.output for node in graph.nodes)]
    leader = {name: name for name in names}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for node in graph.nodes:
        if node.op.same_quant:
            for tensor in node.inputs:
                leader[find(tensor)] = find(node.output)
    return {name: find(name) for name in names}


def _corrected(
    node: Node, op: QOp, quants: Mapping[str, Quant], means: Mapping[str, npt.NDArray[np.float64]]
) -> Params:
    """`node`'s parameters with the bias moved against the mean error of the rounded weights."""
    assert isinstance(op, QConv2d | QDepthwiseConv2d | QFullyConnected)
    weight = node.params["weight"].astype(np.float64)
    scales = op.requant.real() * quants[node.output].scale / quants[node.inputs[0]].scale
    codes = op.weights.transpose(3, 1, 2, 0) if isinstance(op, QDepthwiseConv2d) else op.weights
    error = codes * scales.reshape(-1, *[1] * (weight.ndim - 1)) - weight
    mean = means[node.inputs[0]]
    if isinstance(op, QDepthwiseConv2d):
        shift = error.sum(axis=(1, 2, 3)) * np.repeat(mean, weight.shape[0] // len(mean))
    else:
        rows = error.reshape(error.shape[0], -1)
        shift = rows @ np.tile(mean, rows.shape[1] // len(mean))
    bias = node.params["bias"] if "bias" in node.params else np.zeros(weight.shape[0])
    return MappingProxyType({**node.params, "bias": readonly(bias - shift, np.float32)})
