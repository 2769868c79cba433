"""Any float Graph as a trainable torch module, and back."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Self

import torch
from torch import Tensor, nn

from ptee_mcu.errors import ModelError
from ptee_mcu.graph import Graph, Node, make_graph, needed
from ptee_mcu.tensor import readonly
from ptee_mcu.train.layers import Layer


class GraphModule(nn.Module):
    """Computes tensors of a graph by torch: parameters are trained in place, `to_graph` writes them back.

    Inputs and outputs have the graph's layout, (N, H, W, C) or (N, features); inside, feature maps are NCHW. Layers
    of `frozen` nodes take no gradient and stay in eval mode whatever `train()` says, so that their BatchNorm
    statistics stand still and their Dropout stays off. No gradient passes through an edge of `cut`.
    """

    def __init__(
        self,
        graph: Graph,
        outputs: Sequence[str] | None = None,
        *,
        inputs: Sequence[str] | None = None,
        frozen: Collection[str] = (),
        cut: Collection[tuple[str, str]] = (),
    ) -> None:
        """Computing `outputs`, by default all that the exits read, from `inputs`, by default the network's.

        `frozen` names nodes, `cut` pairs of a node and a tensor that it reads.

        Raises:
            ModelError: where an input, an output or a frozen node does not exist, or the inputs do not suffice.
        """
        super().__init__()
        self.graph = graph
        self.outputs = tuple(outputs) if outputs is not None else tuple(t for e in graph.exits for t in e.tensors)
        self.inputs = tuple(inputs) if inputs is not None else (graph.input,)
        if unknown := [name for name in (*self.inputs, *self.outputs) if name not in graph.shapes]:
            raise ModelError(f"{graph.name}: has no tensor {unknown[0]}")
        if unknown := sorted(set(frozen) - {node.name for node in graph.nodes}):
            raise ModelError(f"{graph.name}: has no node {unknown[0]}")
        self.nodes = needed([node for node in graph.nodes if node.output not in self.inputs], self.outputs)
        known = {*self.inputs, *(node.output for node in self.nodes)}
        if missing := {t for node in self.nodes for t in node.inputs} - known:
            raise ModelError(f"{graph.name}: {min(missing)} does not follow from {', '.join(self.inputs)}")
        self.frozen, self.cut = frozenset(frozen), frozenset(cut)
        self.layers = nn.ModuleDict({_key(node.name): Layer(node) for node in self.nodes})
        self._dead_after = _dead_after(self.nodes, {*self.inputs, *self.outputs})
        for name in self.frozen & {node.name for node in self.nodes}:
            self.layer(name).requires_grad_(requires_grad=False)
        self.train()

    def layer(self, name: str) -> Layer:
        """The layer of node `name`."""
        layer = self.layers[_key(name)]
        assert isinstance(layer, Layer)
        return layer

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's signature
        """Sets training mode, except in the layers of frozen nodes."""
        super().train(mode)
        for node in self.nodes:
            if node.name in self.frozen:
                self.layer(node.name).eval()
        return self

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def forward(self, *x: Tensor) -> dict[str, Tensor]:
        """Values of the outputs for a batch of each input, by tensor name."""
        values = {name: _to_nchw(value) for name, value in zip(self.inputs, x, strict=True)}
        for node, dead in zip(self.nodes, self._dead_after, strict=True):
            read = [values[t].detach() if (node.name, t) in self.cut else values[t] for t in node.inputs]
            values[node.output] = self.layers[_key(node.name)](*read)
            for name in dead:
                del values[name]
        return {name: _to_nhwc(values[name]) for name in self.outputs}

    def to_graph(self) -> Graph:
        """The graph with the parameters as they are now; nodes that no output needs keep theirs.

        Raises:
            ModelError: naming the node, where training left a parameter that is NaN or infinite.
        """
        trained = {node.name for node in self.nodes}
        return make_graph(
            self.graph.name,
            self.graph.input,
            self.graph.input_shape,
            [self._with_parameters(node) if node.name in trained else node for node in self.graph.nodes],
            self.graph.exits,
            taps=self.graph.taps,
            softmax=self.graph.softmax,
        )

    def _with_parameters(self, node: Node) -> Node:
        if not node.params:
            return node
        arrays = self.layer(node.name).arrays()
        return replace(node, params=MappingProxyType({role: readonly(a, a.dtype) for role, a in arrays.items()}))


def _key(name: str) -> str:
    """A node's name as torch allows it: no dots, and no attribute of ModuleDict."""
    return "/" + name.replace(".", "/")


def _dead_after(nodes: Sequence[Node], kept: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """Per node, the tensors that nothing reads after it."""
    last = {tensor: i for i, node in enumerate(nodes) for tensor in node.inputs}
    return tuple(tuple({t for t in node.inputs if last[t] == i and t not in kept}) for i, node in enumerate(nodes))


def _to_nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2) if x.dim() == 4 else x


def _to_nhwc(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1) if x.dim() == 4 else x
