"""VGG and DenseNet reach int8: quantized, simulated, and byte for byte the same in C."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.differential import Differential
from support.torch_networks import randomised
from torch import nn

from ptee_mcu.calibrate import calibrate
from ptee_mcu.exits.heads import attach, find_head
from ptee_mcu.exits.placement import by_name
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.graph import Graph, forward
from ptee_mcu.models import build, find
from ptee_mcu.models.densenet import BottleneckDenseNet, DenseNet, PlainDenseNet
from ptee_mcu.passes.fold import fold
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.quantize import quantize
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import Float

IMAGE = (1, 16, 16, 3)


def inputs(count: int, shape: tuple[int, ...]) -> Float:
    return np.random.default_rng(5).normal(size=(count, *shape[1:])).astype(np.float32)


def folded(module: nn.Module, shape: tuple[int, ...], taps: tuple[str, ...], exits: tuple[str, ...]) -> Graph:
    example = torch.zeros(1, shape[3], *shape[1:3])
    graph = capture(randomised(module), example, name="net", taps=taps)
    return fold(attach(graph, by_name(graph, exits), find_head("pooled"), seed=1) if exits else graph)


def quantized(graph: Graph) -> QuantGraph:
    return quantize(graph, calibrate(graph, inputs(16, graph.input_shape)))


@pytest.mark.parametrize("name", ["vgg11", "vgg16", "vgg19", "densenet40", "densenet121"])
def test_int8_logits_follow_those_of_the_float_network(name: str) -> None:
    spec = find(name)
    graph = folded(build(name, width=0.25), spec.input_shape, spec.blocks, ())
    q = quantized(graph)
    x = inputs(8, spec.input_shape)
    logits = graph.exits[-1].logits
    expected = forward(graph, x, [logits])[logits].reshape(8, -1)
    found = evaluate(q, q.input_tensor.quant.codes(x)).logits.reshape(8, -1).astype(np.float64)
    # Each logit's own mean over images says nothing of the image.
    assert np.corrcoef((expected - expected.mean(0)).ravel(), (found - found.mean(0)).ravel())[0, 1] > 0.85


def dense(kind: type[DenseNet]) -> nn.Module:
    return kind(IMAGE, 5, layers=(2, 2), stem=8, growth=4)


@pytest.mark.parametrize("kind", [PlainDenseNet, BottleneckDenseNet])
def test_every_op_of_a_small_densenet_with_exits_is_the_same_in_c(kind: type[DenseNet], tmp_path: Path) -> None:
    taps = ("block1.0", "block1.1", "block2.0", "block2.1")
    differential = Differential(quantized(folded(dense(kind), IMAGE, taps, ("block1.0", "block2.0"))), tmp_path)
    assert {"concat", "depthwise_conv2d"} <= {step.node.op.template for step in differential.plan.steps}
    for step in differential.plan.steps:
        differential.compare("host", step.node.name)


def test_every_op_of_a_narrow_vgg11_with_exits_is_the_same_in_c(tmp_path: Path) -> None:
    spec = find("vgg11")
    graph = folded(build("vgg11", width=0.25), spec.input_shape, spec.blocks, ("pool1", "pool2"))
    differential = Differential(quantized(graph), tmp_path)
    for step in differential.plan.steps:
        differential.compare("host", step.node.name)
