import numpy as np
import pytest
import torch
from passes.networks import Net, residual_network
from support.torch_networks import assert_close, captured, inputs, randomised, to_graph_layout
from torch import Tensor
from torch.nn import functional as F

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.graph import Graph, forward
from ptee_mcu.models import build
from ptee_mcu.ops import (
    OPS,
    Activation,
    Add,
    AvgPool2d,
    Clamp,
    Concat,
    Conv2d,
    Flatten,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    MaxPool2d,
    Mul,
    Pad,
    PReLU,
    Sigmoid,
    SiLU,
    Slice,
    Span,
    Tanh,
)
from ptee_mcu.passes.fold import fold
from ptee_mcu.tensor import HW, Padding
from ptee_mcu.train.layers import COMPUTE
from ptee_mcu.train.module import GraphModule


def assert_agrees(graph: Graph, shape: tuple[int, ...]) -> None:
    """Every tensor of the graph by numpy and by torch."""
    x = np.random.default_rng(2).normal(size=(3, *shape[1:])).astype(np.float32)
    names = [node.output for node in graph.nodes]
    expected = forward(graph, x, names)
    with torch.no_grad():
        actual = GraphModule(graph, names).eval()(torch.from_numpy(x))
    for name in names:
        assert_close(actual[name].numpy(), expected[name])


def test_every_op_has_a_torch_form() -> None:
    assert set(COMPUTE) == set(OPS.values())


def test_every_tensor_of_a_residual_network_agrees_before_and_after_folding() -> None:
    _, graph = residual_network()
    assert_agrees(graph, (1, 8, 8, 3))
    assert_agrees(fold(graph), (1, 8, 8, 3))


def test_what_only_a_graph_can_say_agrees() -> None:
    net = Net((1, 7, 6, 4))
    uneven = Conv2d(HW(2, 1), Padding(0, 1, 2, 0), HW(1, 2), act=Activation(-0.5, 0.5))
    conv = net.conv("x", 4, 4, uneven, bias=True)
    pooled = net.add(MaxPool2d(HW(2, 2), HW(1, 1), Padding(1, 0, 0, 1), Activation(min=0.0)), conv)
    mean = net.add(AvgPool2d(HW(3, 2), HW(2, 1), Padding(0, 0, 1, 1), Activation(max=1.0)), pooled)
    wide = net.add(MaxPool2d(HW(3, 3), HW(1, 1), Padding.same(2, 2)), mean)
    thick = net.add(AvgPool2d(HW(3, 3), HW(1, 1), Padding.same(2, 2)), mean)
    padded = net.add(Pad(Padding(1, 0, 0, 2), 1, 2), thick)
    part = net.add(Slice(Span(0, 3, 2), Span(1, 5, 3), Span(2, 4)), padded)
    joined = net.add(Concat(), part, net.add(Clamp(Activation(-1.0, 0.1)), part))
    total = net.add(Add(Activation(0.0, 6.0)), joined, joined)
    features = int(np.prod(net.graph(net.add(Flatten(), total)).shapes[total]))
    net.linear(wide, 3, int(np.prod(net.graph(net.add(Flatten(), wide)).shapes[wide])))
    logits = net.linear(total, 3, features)  # reads the feature map as its bytes lie
    assert_agrees(net.graph(logits), (1, 7, 6, 4))


def test_products_and_functions_of_one_element_agree() -> None:
    net = Net((1, 6, 5, 4))
    gate = net.add(Sigmoid(), net.add(AvgPool2d(HW(6, 5), HW(6, 5)), "x"))
    gated = net.add(Mul(Activation(-0.5, 1.0)), "x", gate)
    by_features = net.add(Mul(), gated, net.add(Tanh(), net.linear("x", 4, 120)))
    scaled = net.add(Mul(), by_features, factor=np.array([2, -1, 0.5, 0]))
    halved = net.add(Mul(), scaled, factor=np.array(0.5))
    sloped = net.add(PReLU(), net.add(PReLU(), halved, slope=np.array([0.1, 0.2, -0.3, 2])), slope=np.array([0.5]))
    smooth = net.add(SiLU(), net.add(HardSwish(), net.add(LeakyReLU(0.3), sloped)))
    pixel = net.add(AvgPool2d(HW(6, 5), HW(6, 5)), net.add(HardSigmoid(), net.add(Mul(), smooth, smooth)))
    features = net.add(Mul(), net.add(Flatten(), pixel), gate)  # (1, 4) by (1, 1, 1, 4)
    assert_agrees(net.graph(net.linear(features, 3, 4)), (1, 6, 5, 4))


def test_a_graph_without_changes_comes_back_as_it_was() -> None:
    _, graph = residual_network()
    back = GraphModule(graph).to_graph()
    assert [node.name for node in back.nodes] == [node.name for node in graph.nodes]
    assert back.taps == graph.taps
    assert back.exits == graph.exits
    for node, original in zip(back.nodes, graph.nodes, strict=True):
        assert node.op == original.op
        assert node.params.keys() == original.params.keys()
        for role, array in node.params.items():
            np.testing.assert_array_equal(array, original.params[role], strict=True)
            assert not array.flags.writeable


def step(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def test_training_follows_the_original_module_step_by_step() -> None:
    torch.manual_seed(0)
    module = randomised(build("resnet14"))
    graph = capture(module, torch.zeros(1, 3, 32, 32), name="net")
    trained = GraphModule(graph)
    module.train()
    logits = graph.exits[-1].logits
    optimizers = [torch.optim.SGD(m.parameters(), 0.01) for m in (module, trained)]
    labels = torch.arange(8) % 10
    for i in range(3):
        x = inputs((1, 3, 32, 32), 8, seed=i)
        step(F.cross_entropy(module(x), labels), optimizers[0])
        by_graph = trained(torch.from_numpy(to_graph_layout(x)))[logits]
        step(F.cross_entropy(by_graph, labels), optimizers[1])
    module.eval()
    x = inputs((1, 3, 32, 32), 4, seed=9)
    expected = module(x).detach().numpy()
    back = trained.to_graph()
    assert_close(forward(back, to_graph_layout(x), [logits])[logits], expected)
    variance = module.get_buffer("layer3.1.bn2.running_var").numpy()
    np.testing.assert_allclose(back.node("layer3.1.bn2").params["var"], variance, rtol=1e-3)


def test_the_graph_that_was_given_is_not_changed_by_training() -> None:
    _, graph = residual_network()
    before = {node.name: {role: array.copy() for role, array in node.params.items()} for node in graph.nodes}
    module = GraphModule(graph)
    logits = graph.exits[-1].logits
    x = torch.randn(4, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    step(module(x)[logits].square().sum(), torch.optim.SGD(module.parameters(), 0.1))
    for node in graph.nodes:
        for role, array in node.params.items():
            np.testing.assert_array_equal(array, before[node.name][role])
    changed = module.to_graph()
    assert any((changed.nodes[0].params["weight"] != graph.nodes[0].params["weight"]).ravel())


def test_frozen_nodes_keep_every_bit_in_training() -> None:
    _, graph = residual_network()
    frozen = [node.name for node in graph.nodes if not node.name.startswith("linear")]
    module = GraphModule(graph, frozen=frozen).train()
    logits, tap = graph.exits[-1].logits, graph.taps[0].tensor
    x = torch.randn(16, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], 0.1)
    for _ in range(3):
        step(module(x)[logits].square().sum(), optimizer)
    back = module.to_graph()
    for node, original in zip(back.nodes, graph.nodes, strict=True):
        for role, array in node.params.items():
            assert np.array_equal(array, original.params[role]) == (node.name in frozen), (node.name, role)
    pixels = x.numpy()
    np.testing.assert_array_equal(forward(back, pixels, [tap])[tap], forward(graph, pixels, [tap])[tap])


def test_dropout_works_in_training_and_rests_when_frozen_or_evaluated() -> None:
    _, graph = residual_network()
    dropout = next(node for node in graph.nodes if type(node.op).__name__ == "Dropout")
    torch.manual_seed(0)  # of the dropout too
    x = torch.randn(4, 8, 8, 3)

    def zeros(module: GraphModule) -> int:
        return int((module(x)[dropout.output] == 0).sum())

    quiet = zeros(GraphModule(graph, [dropout.output]).eval())
    assert zeros(GraphModule(graph, [dropout.output]).train()) > quiet
    assert zeros(GraphModule(graph, [dropout.output], frozen=[dropout.name]).train()) == quiet


def test_only_what_the_outputs_need_is_computed_and_trained() -> None:
    _, graph = residual_network()
    module = GraphModule(graph, [graph.taps[0].tensor])
    assert [node.name for node in module.nodes] == [node.name for node in graph.nodes[: len(module.nodes)]]
    assert not any(node.name.startswith("linear") for node in module.nodes)
    back = module.to_graph()
    assert back.nodes[-1].params is graph.nodes[-1].params


def test_outputs_have_the_layout_of_the_graph() -> None:
    _, graph = residual_network()
    logits = graph.exits[-1].logits
    outputs = GraphModule(graph, [graph.taps[0].tensor, logits, graph.input]).eval()(torch.zeros(2, 8, 8, 3))
    assert [tuple(value.shape) for value in outputs.values()] == [(2, 8, 8, 8), (2, 5), (2, 8, 8, 3)]


def test_a_layer_is_reached_by_the_name_of_its_node() -> None:
    graph = captured(build("digits_cnn"), (1, 1, 8, 8))
    module = GraphModule(graph)
    assert module.layer("block1.conv1")["weight"].shape == (8, 8, 3, 3)
    assert "layers./block1/conv1.weight" in dict(module.named_parameters())
    assert "layers./block1/bn1.mean" in dict(module.named_buffers())


def test_an_unknown_output_is_refused() -> None:
    _, graph = residual_network()
    with pytest.raises(ModelError, match="net: has no tensor head"):
        GraphModule(graph, ["head"])


def test_an_unknown_frozen_node_is_refused() -> None:
    _, graph = residual_network()
    with pytest.raises(ModelError, match="net: has no node stem"):
        GraphModule(graph, frozen=["stem"])


def test_a_diverged_training_run_is_refused_by_layer() -> None:
    _, graph = residual_network()
    module = GraphModule(graph)
    with torch.no_grad():
        module.layer("conv2d0")["weight"].fill_(torch.nan)
    with pytest.raises(
        ModelError, match=r"conv2d0: 216 of 216 values of weight are NaN or infinite(.|\n)*training run"
    ):
        module.to_graph()
