import numpy as np
from passes.networks import Net, residual_network

from ptee_mcu.graph import forward
from ptee_mcu.ops import Activation, Conv2d, Flatten
from ptee_mcu.passes.equalize import equalize
from ptee_mcu.passes.fold import fold
from ptee_mcu.tensor import Padding


def test_equalization_leaves_the_function_as_it_was() -> None:
    net, graph = residual_network()
    folded = fold(graph)
    x, logits = net.inputs(4), folded.exits[-1].logits
    before, after = (forward(g, x, [logits])[logits] for g in (folded, equalize(folded)))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


def unbalanced(act: Activation) -> tuple[Net, Conv2d]:
    net = Net((1, 6, 6, 4))
    return net, Conv2d(padding=Padding.same(1, 1), act=act)


def channel_spread(weight: np.ndarray) -> float:  # type: ignore[type-arg] # any float array
    peaks = np.abs(weight).reshape(weight.shape[0], -1).max(axis=1)
    return float(peaks.max() / peaks.min())


def test_equalization_evens_out_channel_ranges_through_a_depthwise_layer() -> None:
    net, relu_conv = unbalanced(Activation(min=0.0))
    first = net.conv("x", 8, 4, relu_conv, bias=True)
    net.nodes[0].params["weight"].flags.writeable = True
    net.nodes[0].params["weight"][0] *= 100
    depthwise = net.conv(first, 8, 8, Conv2d(padding=Padding.same(1, 1), groups=8))
    graph = net.graph(net.linear(net.add(Flatten(), depthwise), 3, 288))
    even = equalize(fold(graph))
    assert channel_spread(even.nodes[0].params["weight"]) < channel_spread(graph.nodes[0].params["weight"]) / 2
    x, logits = net.inputs(2), even.exits[-1].logits
    np.testing.assert_allclose(
        forward(even, x, [logits])[logits], forward(fold(graph), x, [logits])[logits], rtol=1e-3, atol=1e-3
    )


def test_an_activation_with_an_upper_limit_stops_equalization() -> None:
    net, relu6_conv = unbalanced(Activation(0.0, 6.0))
    graph = net.graph(net.linear(net.add(Flatten(), net.conv(net.conv("x", 4, 4, relu6_conv), 4, 4)), 3, 144))
    folded = fold(graph)
    assert all(a.params is b.params for a, b in zip(folded.nodes, equalize(folded).nodes, strict=True))
