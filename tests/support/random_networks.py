"""The networks that ship, with random weights, as int8 graphs: what they cost does not depend on what they learned."""

import numpy as np
import torch
from support.torch_networks import randomised

from ptee_mcu.calibrate import calibrate
from ptee_mcu.exits.heads import attach, find_head
from ptee_mcu.exits.placement import by_name
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.models import build, find, torch_shape
from ptee_mcu.passes.fold import fold
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.quantize import quantize


def random_network(name: str, *exits: str) -> QuantGraph:
    """The int8 network called `name`, with pooled heads after the blocks `exits`."""
    spec = find(name)
    torch.manual_seed(0)
    example = torch.zeros(torch_shape(spec.input_shape))
    graph = capture(randomised(build(name)), example, name="net", taps=spec.blocks)
    if exits:
        graph = attach(graph, by_name(graph, exits), find_head("pooled"), seed=1)
    graph = fold(graph)
    images = np.random.default_rng(5).normal(size=(4, *spec.input_shape[1:])).astype(np.float32)
    return quantize(graph, calibrate(graph, images))
