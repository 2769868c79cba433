"""What gives exit heads their inputs: a frozen backbone of floats by torch, or of integers by the simulator."""

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from ptee_mcu.graph import Graph, Node, needed, walk_from
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.sim import evaluate


class Trunk(Protocol):
    """The tensors `outputs` of a frozen backbone for a batch of inputs; a GraphModule is one."""

    graph: Graph
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """Values (N, ...), NHWC, of every output for inputs `x` (N, ...)."""

    def to(self, device: torch.device) -> Self:
        """The same, computing on `device`."""


class IntegerTrunk:
    """An int8 backbone in the simulator: heads learn on the real values of the codes that the device will see."""

    def __init__(self, graph: Graph, backbone: QuantGraph, outputs: Sequence[str]) -> None:
        """`graph` stands on `backbone`; `outputs` are tensors of it, or what heads make of them without parameters."""
        self.graph, self.backbone, self.outputs = graph, backbone, tuple(outputs)
        self.nodes = needed(graph.nodes, self.outputs)
        of_heads = [node for node in self.nodes if node.output not in backbone.tensors]
        read = {*self.outputs, *(tensor for node in of_heads for tensor in node.inputs)}
        self.recorded = frozenset(read & set(backbone.tensors))

    @property
    def device(self) -> torch.device:
        """The simulator runs on the processor."""
        return torch.device("cpu")

    def to(self, device: torch.device) -> Self:
        """Itself: heads may train elsewhere."""
        return self

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """Real values of every output."""
        tensors = self.backbone.tensors
        codes = self.backbone.input_tensor.quant.codes(x.cpu().numpy())
        run = evaluate(self.backbone, codes, full=True, record=self.recorded)
        given = {name: tensors[name].quant.reals(run.tensors[name]) for name in self.recorded}
        values = dict(walk_from(self.graph, given, self.outputs))
        return {name: torch.from_numpy(np.ascontiguousarray(values[name])) for name in self.outputs}
