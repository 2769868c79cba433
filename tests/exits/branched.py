"""The small network with exits attached, and what tests do with it."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
from exits.networks import two_blocks

from ptee_mcu.calibrate import calibrate
from ptee_mcu.exits.heads import attach, find_head
from ptee_mcu.graph import Graph, Node
from ptee_mcu.ops import BatchNorm
from ptee_mcu.passes.fold import fold
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.quantize import quantize
from ptee_mcu.tensor import Float, readonly


def attached(head: str = "pooled", seed: int = 0, *, cascade: bool = False) -> Graph:
    graph = two_blocks()
    return attach(graph, graph.taps, find_head(head), seed=seed, cascade=cascade)


def images(graph: Graph, count: int, seed: int = 0) -> Float:
    return np.random.default_rng(seed).normal(size=(count, *graph.input_shape[1:])).astype(np.float32)


def with_lively_norms(graph: Graph) -> Graph:
    """`graph` with BatchNorms that do something."""
    rng = np.random.default_rng(7)

    def lively(node: Node) -> Node:
        if not isinstance(node.op, BatchNorm):
            return node
        drawn = {role: readonly(rng.uniform(0.5, 1.5, a.shape), np.float32) for role, a in node.params.items()}
        return replace(node, params=MappingProxyType(drawn))

    return replace(graph, nodes=tuple(map(lively, graph.nodes)))


def quantized(graph: Graph) -> QuantGraph:
    folded = fold(graph)
    return quantize(folded, calibrate(folded, images(graph, 40), observer="minmax"))
