"""A network of squeeze-and-excitation blocks and smooth activations: from PyTorch through training to the device."""

import numpy as np
import pytest
import torch
from support.differential import WHERE, Differential
from support.torch_networks import captured, inputs, to_graph_layout
from torch import Tensor, nn
from torch.nn import functional as F

from ptee_mcu.calibrate import calibrate
from ptee_mcu.graph import Graph, forward
from ptee_mcu.passes.fold import fold
from ptee_mcu.quantize import quantize
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import Float
from ptee_mcu.train.module import GraphModule

SHAPE = (1, 3, 12, 12)


class SqueezeExcite(nn.Module):
    """MobileNetV3's: a gate per channel from the mean of the map."""

    def __init__(self, channels: int, gate: nn.Module) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce, self.expand = nn.Conv2d(channels, channels // 4, 1), nn.Conv2d(channels // 4, channels, 1)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.expand(F.relu(self.reduce(self.pool(x)))))  # type: ignore[no-any-return]


class Block(nn.Module):
    """An inverted residual with a gate."""

    def __init__(self, channels: int, activation: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        wide = 2 * channels
        self.layers = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            activation,
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            activation,
            SqueezeExcite(wide, gate),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.5 * self.layers(x)  # type: ignore[no-any-return]


class Net(nn.Module):
    """Two blocks with other activations and gates, and every other function of one element between them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.first = Block(8, nn.Hardswish(), nn.Hardsigmoid())
        self.between = nn.Sequential(nn.Conv2d(8, 8, 1), nn.PReLU(8), nn.Conv2d(8, 8, 1), nn.LeakyReLU(0.2))
        self.second = Block(8, nn.SiLU(), nn.Sigmoid())
        self.head = nn.Sequential(nn.Linear(8, 16), nn.Hardswish(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.between(self.first(self.stem(x))))
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def images() -> Float:
    return to_graph_layout(inputs(SHAPE, 64))


@pytest.fixture(scope="module")
def trained(images: Float) -> Graph:
    """After a few steps towards the brightest quarter of the image."""
    graph = captured(Net(), SHAPE)
    module = GraphModule(graph)
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    corners = images.reshape(64, 2, 6, 2, 6, 3).mean(axis=(2, 4, 5)).reshape(64, 4)
    x, labels = torch.from_numpy(images), torch.from_numpy(corners.argmax(axis=1))
    losses = []
    for _ in range(60):
        loss = F.cross_entropy(module(x)[graph.exits[-1].logits], labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    back = module.to_graph()
    np.testing.assert_array_equal(back.node("first.mul").params["factor"], [0.5])  # a constant is not trained
    return back


@pytest.fixture(scope="module")
def differential(trained: Graph, images: Float, tmp_path_factory: pytest.TempPathFactory) -> Differential:
    folded = fold(trained)
    quantized = quantize(folded, calibrate(folded, images))
    codes = quantized.input_tensor.quant.codes(images)
    return Differential(quantized, tmp_path_factory.mktemp("squeeze_excite"), codes[:8])


def test_constants_and_batch_norms_vanish_and_the_function_stays(trained: Graph, images: Float) -> None:
    folded = fold(trained)
    assert {type(node.op).__name__ for node in folded.nodes} == {
        "Conv2d", "HardSwish", "AvgPool2d", "HardSigmoid", "Mul", "Add", "PReLU", "LeakyReLU", "SiLU", "Sigmoid",
        "Linear", "Tanh",
    }  # fmt: skip
    logits = trained.exits[-1].logits
    before, after = (forward(graph, images, [logits])[logits] for graph in (trained, folded))
    np.testing.assert_allclose(after.reshape(before.shape), before, atol=1e-4 * float(np.abs(before).max()))


def test_the_int8_network_answers_as_the_float_one_does(
    trained: Graph, differential: Differential, images: Float
) -> None:
    graph = differential.plan.graph
    logits = trained.exits[-1].logits
    real = forward(trained, images, [logits])[logits]
    found = evaluate(graph, graph.input_tensor.quant.codes(images))
    reals = graph.tensors[graph.exits[-1].logits].quant.reals(found.logits)
    assert np.corrcoef(reals.ravel(), real.ravel())[0, 1] > 0.98
    assert np.mean(found.label == real.argmax(axis=1)) > 0.9


@pytest.mark.parametrize("where", WHERE)
def test_simulator_equals_c_in_every_tensor(differential: Differential, where: str) -> None:
    for step in differential.plan.steps:
        differential.compare(where, step.node.name)
