"""Cross-layer equalization: channel ranges of neighbouring convolutions balanced, the function unchanged."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ptee_mcu.graph import Graph, Node
from ptee_mcu.ops import Conv2d
from ptee_mcu.tensor import readonly

_SWEEPS = 8


def equalize(graph: Graph) -> Graph:
    """`graph` (folded) with s = sqrt(r1 / r2) moved from each convolution into the one that alone reads it.

    Only over activations that scale with their input: none or ReLU.

    Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, eq. 11.
    """
    nodes = {node.name: node for node in graph.nodes}
    for _ in range(_SWEEPS):
        for first, second in _pairs(graph):
            nodes[first], nodes[second] = _balanced(nodes[first], nodes[second])
    return replace(graph, nodes=tuple(nodes[node.name] for node in graph.nodes))


def _pairs(graph: Graph) -> Iterator[tuple[str, str]]:
    kept = graph.kept_tensors()
    for node in graph.nodes:
        readers = graph.consumers(node.output)
        if not isinstance(node.op, Conv2d) or len(readers) != 1 or node.output in kept:
            continue
        reader = readers[0]
        scales = node.op.act.max == np.inf and node.op.act.min in (0.0, -np.inf)
        channels = graph.shapes[node.output][-1]
        if isinstance(reader.op, Conv2d) and scales and (reader.op.groups == 1 or reader.op.is_depthwise(channels)):
            yield node.name, reader.name


def _balanced(first: Node, second: Node) -> tuple[Node, Node]:
    w1, w2 = first.params["weight"], second.params["weight"]
    channels = w1.shape[0]
    assert isinstance(second.op, Conv2d)
    by_input = w2.reshape(channels, -1) if second.op.groups > 1 else np.moveaxis(w2, 3, 0).reshape(channels, -1)
    r1 = np.abs(w1).reshape(channels, -1).max(axis=1).astype(np.float64)
    r2 = np.abs(by_input).max(axis=1).astype(np.float64)
    live = (r1 > 0) & (r2 > 0)
    scale = np.where(live, np.sqrt(np.where(live, r1, 1) / np.where(live, r2, 1)), 1.0)
    scaled1 = {"weight": w1 / scale[:, None, None, None]}
    if "bias" in first.params:
        scaled1["bias"] = first.params["bias"] / scale
    if second.op.groups > 1:
        scaled2 = w2 * np.repeat(scale, w2.shape[0] // channels)[:, None, None, None]
    else:
        scaled2 = w2 * scale
    return _with(first, scaled1), _with(second, {"weight": scaled2})


def _with(node: Node, params: Mapping[str, npt.NDArray[np.floating[Any]]]) -> Node:
    fresh = {role: readonly(array, np.float32) for role, array in params.items()}
    return replace(node, params=MappingProxyType({**node.params, **fresh}))
