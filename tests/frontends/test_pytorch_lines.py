"""PyTorch layers of one spatial dimension as those of two, on maps of height 1."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from support.torch_networks import captured
from torch import Tensor, nn
from torch.nn import functional as F

from ptee_mcu.graph import Graph
from ptee_mcu.ops import Conv2d
from ptee_mcu.passes.fold import fold
from ptee_mcu.tensor import HW, Padding

LINE = (1, 3, 20)


class Apply(nn.Module):
    """A function of a line, then the mean and the classifier that every network needs."""

    def __init__(self, function: Callable[[Tensor], Tensor], channels: int) -> None:
        super().__init__()
        self.function = function
        self.fc = nn.Linear(channels, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.function(x).mean(2))  # type: ignore[no-any-return]


def kinds(graph: Graph) -> list[str]:
    return [type(node.op).__name__ for node in graph.nodes]


LAYERS: dict[str, tuple[nn.Module, list[str]]] = {
    "conv1d": (nn.Conv1d(3, 5, 3), ["Conv2d"]),
    "conv1d, strided, dilated and padded": (nn.Conv1d(3, 4, 3, 2, 2, 2, bias=False), ["Conv2d"]),
    "conv1d, same": (nn.Conv1d(3, 4, 4, padding="same"), ["Conv2d"]),
    "depthwise": (nn.Conv1d(3, 6, 3, groups=3), ["Conv2d"]),
    "transposed": (nn.ConvTranspose1d(3, 4, 3, 2, 1, 1), ["ConvTranspose2d"]),
    "batch norm": (nn.BatchNorm1d(3), ["BatchNorm"]),
    "relu": (nn.ReLU(), ["Clamp"]),
    "max pool": (nn.MaxPool1d(3, 2, 1), ["MaxPool2d"]),
    "max pool, default stride": (nn.MaxPool1d(2), ["MaxPool2d"]),
    "average pool": (nn.AvgPool1d(4, 2), ["AvgPool2d"]),
    "average pool, padding not counted": (nn.AvgPool1d(3, 2, 1, count_include_pad=False), ["AvgPool2d"]),
    "adaptive pool": (nn.AdaptiveAvgPool1d(5), ["AvgPool2d"]),
    "enlarged": (nn.Upsample(scale_factor=3), ["ResizeNearest"]),
    "channel dropout": (nn.Dropout1d(0.25), []),
    "zero pad": (nn.ConstantPad1d((1, 2), 0.0), ["Pad"]),
    "zero pad before a convolution": (nn.Sequential(nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(3, 4, 3)), ["Conv2d"]),
}
FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], int, list[str]]] = {
    "residual add": (lambda x: x + F.relu(x), 3, ["Clamp", "Add"]),
    "cat on channels": (lambda x: torch.cat([F.relu(x), x], 1), 6, ["Clamp", "Concat"]),
    "channel pad": (lambda x: F.pad(x, (0, 0, 2, 1)), 6, ["Pad"]),
    "strided slice": (lambda x: x[:, :, 1::2], 3, ["Slice"]),
    "channel slice": (lambda x: x[:, 1:], 2, ["Slice"]),
    "as a map of height 1": (lambda x: F.max_pool2d(x.unsqueeze(2), (1, 2)).squeeze(2), 3, ["MaxPool2d"]),
    "as a map of width 1": (
        lambda x: F.max_pool2d(x.unsqueeze(3), (2, 1)).squeeze(3),
        3,
        ["Reshape", "MaxPool2d", "Reshape"],
    ),
}


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch's own, about its speed
@pytest.mark.parametrize(("layer", "expected"), LAYERS.values(), ids=LAYERS)
def test_a_layer_of_a_line_becomes_its_op_and_computes_the_same(layer: nn.Module, expected: list[str]) -> None:
    graph = captured(Apply(layer, layer(torch.zeros(LINE)).shape[1]), LINE)
    assert graph.input_shape == (1, 1, 20, 3)
    assert kinds(graph) == [*expected, "AvgPool2d", "Flatten", "Linear"]


@pytest.mark.parametrize(("function", "channels", "expected"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_function_of_a_line_becomes_its_op_and_computes_the_same(
    function: Callable[[Tensor], Tensor], channels: int, expected: list[str]
) -> None:
    assert kinds(captured(Apply(function, channels), LINE)) == [*expected, "AvgPool2d", "Flatten", "Linear"]


def test_a_convolution_of_a_line_moves_along_the_width() -> None:
    graph = captured(Apply(nn.Conv1d(3, 5, 4, 2, 1), 5), LINE)
    node = graph.node("function")
    assert node.op == Conv2d(HW(1, 2), Padding.same(0, 1), HW(1, 1))
    assert node.params["weight"].shape == (5, 1, 4, 3)
    assert graph.shapes["function"] == (1, 1, 10, 5)


def test_a_linear_after_a_flattened_line_has_its_columns_permuted() -> None:
    module = nn.Sequential(nn.Conv1d(3, 4, 3), nn.Flatten(), nn.Linear(72, 5))
    graph = captured(module, LINE)
    expected = module[2].weight.detach().numpy().reshape(5, 4, 18).transpose(0, 2, 1).reshape(5, -1)
    np.testing.assert_array_equal(graph.node("2").params["weight"], expected)


def test_a_network_of_lines_folds_into_what_int8_has() -> None:
    module = nn.Sequential(
        nn.Conv1d(3, 8, 5, 2, 2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 8, 3, groups=8),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip
    assert kinds(fold(captured(module, LINE))) == ["Conv2d", "MaxPool2d", "Conv2d", "AvgPool2d", "Linear"]
