"""The networks that ship as int8 graphs with random weights: what they cost does not depend on what they learned."""

from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import torch
from torch import nn

from ptee_mcu.calibrate import calibrate
from ptee_mcu.exits.heads import attach, find_head
from ptee_mcu.exits.placement import by_name
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.models import build, find, torch_shape
from ptee_mcu.passes.fold import fold
from ptee_mcu.quant_graph import OperatingPoint, QuantGraph
from ptee_mcu.quantize import quantize
from ptee_mcu.tensor import Int8


@dataclass(frozen=True, slots=True)
class Exits:
    """Early exits: blocks they stand behind, what they are made of, and the share of inputs that leaves at each.

    `leaving`: one more than `blocks`, the final exit's; in all 1.
    """

    blocks: tuple[str, ...]
    head: str
    leaving: tuple[float, ...]

    @property
    def point(self) -> OperatingPoint:
        """An operating point with that reach; the thresholds only say that every head is evaluated."""
        left = accumulate(self.leaving[:-1])
        reach = (1.0, *(1.0 - share for share in left))
        return OperatingPoint("published", (0,) * len(self.blocks), reach)


# docs/benchmarks/ptee.md, resnet20, seed 0, asked 1 %: its blocks, and its column of what leaves at each exit.
RESNET20_EXITS = Exits(
    ("layer1.0", "layer1.1", "layer2.0", "layer3.0"), "pooled2", leaving=(0.07, 0.16, 0.17, 0.15, 0.45)
)


def random_network(name: str, exits: Exits | None = None) -> QuantGraph:
    """The int8 network called `name`, the same in every run; no two of its constants agree by chance."""
    spec = find(name)
    blocks = exits.blocks if exits else ()
    example = torch.zeros(torch_shape(spec.input_shape))
    graph = capture(_randomised(build(name)), example, name=name, taps=blocks)
    if exits:
        graph = attach(graph, by_name(graph, blocks), find_head(exits.head))
    graph = fold(graph)
    images = np.random.default_rng(0).normal(size=(8, *spec.input_shape[1:])).astype(np.float32)
    made = quantize(graph, calibrate(graph, images, observer="minmax"))
    return replace(made, points=(exits.point,), default=0) if exits else made


def random_codes(graph: QuantGraph, seed: int = 0) -> Int8:
    """One random input (1, ...)."""
    return np.random.default_rng(seed).integers(-128, 128, graph.input_tensor.shape).astype(np.int8)


def _randomised(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            if tensor.dim() > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
            elif name.endswith(("bias", "mean")):
                tensor.normal_(0, 0.3, generator=generator)
            elif tensor.dim() == 1:
                tensor.uniform_(0.6, 1.4, generator=generator)
    return network.eval()
