"""Torch networks with random parameters, captured and compared."""

import numpy as np
import torch
from torch import Tensor, nn

from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.graph import Graph, forward
from ptee_mcu.tensor import Float
from ptee_mcu.train.module import GraphModule

TOLERANCE = 1e-4  # of the largest output; float32 sums in another order


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """`module` in eval mode with random parameters and random BatchNorm statistics."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.dim() == 0:
                continue
            if tensor.dim() > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
            elif name.endswith(("bias", "mean")):
                tensor.normal_(0, 0.3, generator=generator)
            else:
                tensor.uniform_(0.6, 1.4, generator=generator)
    return module.eval()


def inputs(shape: tuple[int, ...], count: int = 2, seed: int = 1) -> Tensor:
    """Random inputs of torch shape (count, ...)."""
    return torch.randn(count, *shape[1:], generator=torch.Generator().manual_seed(seed))


def to_graph_layout(x: Tensor) -> Float:
    """NCHW to NHWC, (N, C, L) to maps of height 1; (N, features) as it is."""
    maps = x[:, :, None] if x.dim() == 3 else x
    array: Float = np.ascontiguousarray((maps.permute(0, 2, 3, 1) if maps.dim() == 4 else maps).numpy())
    return array


def assert_close(actual: Float, expected: Float) -> None:
    """Equal to within TOLERANCE of the largest expected value."""
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE * float(np.abs(expected).max()))


def captured(module: nn.Module, shape: tuple[int, ...], *taps: str) -> Graph:
    """The graph of `module`, whose numpy and torch forwards both equal the module's own."""
    randomised(module)
    graph = capture(module, torch.zeros(shape), name="net", taps=taps)
    x = inputs(shape)
    logits = graph.exits[-1].logits
    with torch.no_grad():
        expected = to_graph_layout(module(x))
        by_torch = GraphModule(graph).eval()(torch.from_numpy(to_graph_layout(x)))[logits].numpy()
    by_numpy = forward(graph, to_graph_layout(x), [logits])[logits]
    if not graph.softmax:
        assert_close(by_numpy.reshape(expected.shape), expected)
    assert_close(by_torch, by_numpy)
    return graph
