import numpy as np
import pytest
from passes.networks import Net, residual_network

from ptee_mcu.errors import UnsupportedOpError
from ptee_mcu.graph import Graph, Tap, forward
from ptee_mcu.ops import (
    Activation,
    Add,
    AvgPool2d,
    Clamp,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    HardSwish,
    LeakyReLU,
    MaxPool2d,
    Mul,
    PReLU,
    Reshape,
    Sigmoid,
    Slice,
)
from ptee_mcu.passes.fold import fold
from ptee_mcu.tensor import HW, Padding


def assert_same_function(net: Net, graph: Graph, folded: Graph) -> None:
    x = net.inputs(4)
    before = forward(graph, x, [graph.exits[-1].logits])[graph.exits[-1].logits]
    after = forward(folded, x, [folded.exits[-1].logits])[folded.exits[-1].logits]
    np.testing.assert_allclose(after.reshape(before.shape), before, rtol=1e-4, atol=1e-4)


def kinds(graph: Graph) -> list[str]:
    return [type(node.op).__name__ for node in graph.nodes]


def test_folding_leaves_only_ops_that_int8_has_and_the_same_function() -> None:
    net, graph = residual_network()
    folded = fold(graph)
    assert kinds(folded) == ["Conv2d", "Conv2d", "Conv2d", "Add", "AvgPool2d", "Linear"]
    assert_same_function(net, graph, folded)


def test_folding_keeps_taps_under_a_tensor_that_exists() -> None:
    _, graph = residual_network()
    folded = fold(graph)
    assert folded.taps[0].tensor == graph.taps[0].tensor
    assert folded.producer(folded.taps[0].tensor) is not None


def test_a_batch_norm_before_its_convolution_becomes_a_depthwise_convolution() -> None:
    net = Net((1, 6, 6, 4))
    pre = net.relu(net.norm("x", 4))
    graph = net.graph(net.linear(net.add(Flatten(), net.conv(pre, 4, 4)), 3, 144))
    folded = fold(graph)
    assert kinds(folded) == ["Conv2d", "Conv2d", "Linear"]
    assert folded.nodes[0].op == Conv2d(groups=4, act=Activation(min=0.0))
    assert_same_function(net, graph, folded)


def test_a_dense_layer_becomes_a_depthwise_and_two_plain_convolutions() -> None:
    net = Net((1, 6, 6, 4))
    pre = net.relu(net.norm("x", 4))
    inner = net.relu(net.norm(net.conv(pre, 8, 4), 8))
    joined = net.add(Concat(), net.conv(inner, 2, 8), "x")
    last = net.relu(net.norm(joined, 6))
    graph = net.graph(net.linear(net.add(Flatten(), last), 3, 216), Tap("layer", joined))
    folded = fold(graph)
    assert kinds(folded) == ["Conv2d", "Conv2d", "Conv2d", "Concat", "Conv2d", "Linear"]
    relu = Activation(min=0.0)
    depthwise = [node.op for node in folded.nodes if isinstance(node.op, Conv2d) and node.op.groups > 1]
    assert depthwise == [Conv2d(groups=4, act=relu), Conv2d(groups=6, act=relu)]
    assert folded.taps == graph.taps
    assert_same_function(net, graph, folded)


def test_a_batch_norm_on_one_channel_becomes_a_plain_unit_convolution() -> None:
    net = Net((1, 6, 6, 1))
    graph = net.graph(net.linear(net.add(Flatten(), net.relu(net.norm("x", 1))), 3, 36))
    folded = fold(graph)
    assert folded.nodes[0].op == Conv2d(act=Activation(min=0.0))
    assert_same_function(net, graph, folded)


def test_an_activation_on_a_concatenation_becomes_a_unit_max_pool() -> None:
    net = Net((1, 6, 6, 4))
    joined = net.relu(net.add(Concat(), net.conv("x", 4, 4), "x"))
    graph = net.graph(net.linear(net.add(Flatten(), joined), 3, 288))
    folded = fold(graph)
    assert kinds(folded) == ["Conv2d", "Concat", "MaxPool2d", "Linear"]
    assert_same_function(net, graph, folded)


def test_a_producer_that_others_read_keeps_its_unclamped_output() -> None:
    net = Net((1, 6, 6, 4))
    conv = net.conv("x", 4, 4)
    both = net.add(Add(), net.relu(conv), conv)
    graph = net.graph(net.linear(net.add(Flatten(), both), 3, 144))
    folded = fold(graph)
    assert kinds(folded) == ["Conv2d", "MaxPool2d", "Add", "Linear"]
    assert_same_function(net, graph, folded)


def test_two_activations_in_a_row_become_their_composition() -> None:
    net = Net((1, 4, 4, 2))
    x = net.add(Clamp(Activation(max=1.0)), net.relu(net.conv("x", 2, 2)))
    graph = net.graph(net.linear(net.add(Flatten(), x), 3, 32))
    folded = fold(graph)
    assert folded.nodes[0].op.act == Activation(0.0, 1.0)
    assert_same_function(net, graph, folded)


def test_a_grouped_convolution_is_split_into_slices_and_convolutions() -> None:
    net = Net((1, 6, 6, 4))
    grouped = net.conv("x", 6, 4, Conv2d(padding=Padding.same(1, 1), groups=2), bias=True)
    graph = net.graph(net.linear(net.add(Flatten(), grouped), 3, 216))
    folded = fold(graph)
    assert kinds(folded) == ["Slice", "Conv2d", "Slice", "Conv2d", "Concat", "Linear"]
    assert isinstance(folded.nodes[0].op, Slice)
    assert_same_function(net, graph, folded)


def test_nodes_that_feed_no_exit_disappear() -> None:
    net = Net((1, 6, 6, 4))
    kept = net.add(MaxPool2d(HW(2, 2), HW(2, 2)), "x")
    net.conv("x", 4, 4)
    graph = net.graph(net.linear(net.add(Dropout(), kept), 3, 36))
    assert kinds(fold(graph)) == ["MaxPool2d", "Linear"]


def test_batch_norm_behind_a_linear_layer_folds_into_it() -> None:
    net = Net((1, 12))
    graph = net.graph(net.linear(net.relu(net.norm(net.linear("x", 6, 12), 6)), 3, 6))
    folded = fold(graph)
    assert kinds(folded) == ["Linear", "Linear"]
    assert_same_function(net, graph, folded)


def test_an_add_on_a_flattened_map_is_refused_by_name() -> None:
    net = Net((1, 4, 4, 2))
    flat = net.add(Flatten(), "x")
    graph = net.graph(net.linear(net.add(Add(), flat, flat), 3, 32))
    with pytest.raises(UnsupportedOpError, match=r"add1: Add on the flattened tensor of flatten0"):
        fold(graph)


def test_batch_norm_on_a_flattened_input_is_refused_by_name() -> None:
    net = Net((1, 12))
    graph = net.graph(net.linear(net.norm("x", 12), 3, 12))
    with pytest.raises(UnsupportedOpError, match=r"batchnorm0: BatchNorm on shape \(1, 12\)"):
        fold(graph)


def test_an_activation_that_cannot_move_on_a_flat_tensor_is_refused_by_name() -> None:
    net = Net((1, 12))
    graph = net.graph(net.linear(net.relu("x"), 3, 12))
    with pytest.raises(UnsupportedOpError, match=r"clamp0: an activation on shape \(1, 12\)"):
        fold(graph)


def test_average_pool_takes_an_activation_in() -> None:
    net = Net((1, 4, 4, 2))
    pooled = net.relu(net.add(AvgPool2d(HW(2, 2), HW(2, 2)), "x"))
    graph = net.graph(net.linear(pooled, 3, 8))
    assert kinds(fold(graph)) == ["AvgPool2d", "Linear"]


@pytest.mark.parametrize("factor", [np.array(0.5), np.array([0.5]), np.array([0.5, -2, 3, 0])], ids=np.shape)
def test_a_constant_factor_folds_into_the_convolution_before_it(factor: np.ndarray) -> None:
    net = Net((1, 6, 6, 3))
    scaled = net.add(Mul(Activation(max=1.0)), net.norm(net.conv("x", 4, 3, bias=True), 4), factor=factor)
    graph = net.graph(net.linear(net.add(Flatten(), net.relu(scaled)), 3, 144))
    folded = fold(graph)
    assert kinds(folded) == ["Conv2d", "Linear"]
    assert folded.nodes[0].op == Conv2d(padding=Padding.same(1, 1), act=Activation(0.0, 1.0))
    assert_same_function(net, graph, folded)


def test_a_constant_factor_folds_into_the_linear_layer_before_it() -> None:
    net = Net((1, 6))
    logits = net.linear(net.add(Mul(), net.linear("x", 4, 6), factor=np.array([1, 2, 3, 4])), 3, 4)
    graph = net.graph(logits)
    folded = fold(graph)
    assert kinds(folded) == ["Linear", "Linear"]
    assert_same_function(net, graph, folded)


def test_a_constant_factor_that_stands_alone_becomes_a_depthwise_convolution() -> None:
    net = Net((1, 6, 6, 3))
    scaled = net.relu(net.add(Mul(), "x", factor=np.array([0.25])))
    graph = net.graph(net.linear(net.add(Flatten(), scaled), 3, 108))
    folded = fold(graph)
    assert kinds(folded) == ["Conv2d", "Linear"]
    assert folded.nodes[0].op == Conv2d(groups=3, act=Activation(min=0.0))
    assert_same_function(net, graph, folded)


def test_a_constant_factor_on_a_flat_input_is_refused_by_name() -> None:
    net = Net((1, 6))
    graph = net.graph(net.linear(net.add(Mul(), "x", factor=np.array([2.0])), 3, 6))
    with pytest.raises(UnsupportedOpError, match=r"mul0: Mul on shape \(1, 6\) does not follow a convolution"):
        fold(graph)


def test_a_product_takes_an_activation_in() -> None:
    net = Net((1, 6, 6, 3))
    gate = net.add(Sigmoid(), net.add(AvgPool2d(HW(6, 6), HW(6, 6)), "x"))
    graph = net.graph(net.linear(net.add(Flatten(), net.relu(net.add(Mul(), "x", gate))), 3, 108))
    folded = fold(graph)
    assert kinds(folded) == ["AvgPool2d", "Sigmoid", "Mul", "Linear"]
    assert folded.nodes[2].op == Mul(Activation(min=0.0))
    assert_same_function(net, graph, folded)


def test_slopes_that_are_all_one_number_become_a_leaky_relu_or_a_relu() -> None:
    net = Net((1, 6, 6, 4))
    leaky = net.add(PReLU(), net.conv("x", 4, 4), slope=np.full(4, 0.25))
    single = net.add(PReLU(), net.conv(leaky, 4, 4), slope=np.array([0.5]))
    rectified = net.add(PReLU(), net.conv(single, 4, 4), slope=np.zeros(4))
    own = net.add(PReLU(), net.conv(rectified, 4, 4), slope=np.array([0, 0.25, 0, 0]))
    graph = net.graph(net.linear(net.add(Flatten(), own), 3, 144))
    folded = fold(graph)
    assert kinds(folded) == ["Conv2d", "LeakyReLU", "Conv2d", "LeakyReLU", "Conv2d", "Conv2d", "PReLU", "Linear"]
    assert [node.op for node in folded.nodes if isinstance(node.op, LeakyReLU)] == [LeakyReLU(0.25), LeakyReLU(0.5)]
    assert not folded.nodes[1].params
    assert_same_function(net, graph, folded)


def test_a_function_of_every_element_may_stand_between_flatten_and_linear() -> None:
    net = Net((1, 6, 6, 3))
    graph = net.graph(net.linear(net.add(HardSwish(), net.add(Flatten(), "x")), 3, 108))
    folded = fold(graph)
    assert kinds(folded) == ["HardSwish", "Linear"]
    assert_same_function(net, graph, folded)


def test_a_constant_may_stand_between_flatten_and_linear() -> None:
    net = Net((1, 6, 6, 3))
    halved = net.add(Mul(), net.add(Flatten(), net.conv("x", 4, 3)), factor=np.array([0.5]))
    graph = net.graph(net.linear(halved, 3, 144))
    folded = fold(graph)
    assert kinds(folded) == ["Conv2d", "Linear"]
    assert_same_function(net, graph, folded)


def test_a_constant_per_feature_of_a_flattened_map_is_refused() -> None:
    net = Net((1, 2, 2, 3))
    scaled = net.add(Mul(), net.add(Flatten(), "x"), factor=np.arange(12))
    graph = net.graph(net.linear(scaled, 3, 12))
    with pytest.raises(UnsupportedOpError, match="mul1: Mul on the flattened tensor of flatten0"):
        fold(graph)


def test_batch_norm_and_activation_fold_into_a_transposed_convolution() -> None:
    net = Net((1, 4, 4, 3))
    op = ConvTranspose2d(HW(2, 2), Padding(0, 1, 1, 0), HW(0, 1))
    up = net.add(op, "x", weight=net.rng.normal(size=(6, 3, 2, 3)))
    graph = net.graph(net.linear(net.add(Flatten(), net.relu(net.norm(up, 6))), 4, 384))
    folded = fold(graph)
    assert kinds(folded) == ["ConvTranspose2d", "Linear"]
    assert_same_function(net, graph, folded)


def test_a_flattened_map_may_be_reshaped_again() -> None:
    net = Net((1, 4, 4, 3))
    back = net.add(Reshape((1, 2, 8, 3)), net.add(Flatten(), "x"))
    graph = net.graph(net.linear(net.conv(back, 4, 3), 4, 64))
    folded = fold(graph)
    assert kinds(folded) == ["Reshape", "Conv2d", "Linear"]
    assert_same_function(net, graph, folded)
