"""The int8 network that a float graph becomes, without data: its shapes and sizes, not its codes."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from ptee_mcu.calibrate import Range, Ranges
from ptee_mcu.graph import Graph, Node
from ptee_mcu.passes.fold import fold
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.quantize import quantize
from ptee_mcu.tensor import Float, readonly

_SPAN = Range(-1.0, 1.0)


def skeleton(graph: Graph) -> QuantGraph:
    """`graph` in int8 with every tensor between -1 and 1, and zeros for weights.

    What an int8 network takes of flash and RAM follows from its shapes alone; its answers are worth nothing.

    Raises:
        UnsupportedOpError: where an op has no int8 form at its place.
    """
    folded = fold(graph)
    empty = replace(folded, nodes=tuple(_without_weights(folded, node) for node in folded.nodes))
    return quantize(empty, Ranges(dict.fromkeys(folded.shapes, _SPAN), {}))


def _without_weights(graph: Graph, node: Node) -> Node:
    """`node` with zeros for what it multiplies and sums: zeros overflow no accumulator."""
    if not node.op.macs(graph.input_shapes(node), node.params):
        return node
    zeros: dict[str, Float] = {role: readonly(np.zeros_like(a), np.float32) for role, a in node.params.items()}
    return replace(node, params=MappingProxyType(zeros))
