import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from support.torch_networks import captured, inputs, randomised, to_graph_layout
from torch import Tensor, nn
from torch.nn import functional as F

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.graph import Graph, forward
from ptee_mcu.ops import Activation, AvgPool2d, BatchNorm, Clamp, Conv2d, Dropout, Linear, Pad, Slice, Span
from ptee_mcu.tensor import HW, Padding

MAP = (1, 3, 8, 6)
CHANNELS = torch.tensor([1.0, -2.0, 3.0]).reshape(3, 1, 1)
WHOLE = torch.tensor(4)


class Apply(nn.Module):
    """A function, then the pool and the classifier that every network needs."""

    def __init__(self, function: Callable[[Tensor], Tensor], channels: int) -> None:
        super().__init__()
        self.function = function
        self.fc = nn.Linear(channels, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.function(x).mean((2, 3)))  # type: ignore[no-any-return]


class Flat(nn.Module):
    """A function of a flattened feature map."""

    def __init__(self, function: Callable[[Tensor], Tensor], features: int = 144) -> None:
        super().__init__()
        self.function = function
        self.fc = nn.Linear(features, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.function(x))  # type: ignore[no-any-return]


def kinds(graph: Graph) -> list[str]:
    return [type(node.op).__name__ for node in graph.nodes]


LAYERS: dict[str, tuple[nn.Module, list[str]]] = {
    "conv2d": (nn.Conv2d(3, 5, 3), ["Conv2d"]),
    "conv2d, uneven everything": (nn.Conv2d(3, 4, (3, 2), (2, 1), (2, 1), (1, 2), bias=False), ["Conv2d"]),
    "conv2d, same": (nn.Conv2d(3, 4, (4, 3), padding="same"), ["Conv2d"]),
    "conv2d, valid": (nn.Conv2d(3, 4, 3, padding="valid"), ["Conv2d"]),
    "depthwise": (nn.Conv2d(3, 6, 3, padding=1, groups=3), ["Conv2d"]),
    "grouped": (nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 6, 3, groups=2)), ["Conv2d", "Conv2d"]),
    "transposed": (nn.ConvTranspose2d(3, 5, 3, 2, 1, 1), ["ConvTranspose2d"]),
    "transposed, uneven everything": (
        nn.ConvTranspose2d(3, 4, (2, 5), (3, 2), (0, 2), (2, 0), bias=False),
        ["ConvTranspose2d"],
    ),
    "transposed, stride 1": (nn.ConvTranspose2d(3, 2, 3, padding=1), ["ConvTranspose2d"]),
    "enlarged": (nn.Upsample(scale_factor=2), ["ResizeNearest"]),
    "enlarged to a size": (nn.UpsamplingNearest2d(size=(24, 12)), ["ResizeNearest"]),
    "enlarged by nothing": (nn.Upsample(size=(8, 6)), []),
    "batch norm": (nn.BatchNorm2d(3, eps=1e-3), ["BatchNorm"]),
    "batch norm without affine": (nn.BatchNorm2d(3, affine=False), ["BatchNorm"]),
    "relu": (nn.ReLU(), ["Clamp"]),
    "relu in place": (nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True)), ["Conv2d", "Clamp"]),
    "relu6": (nn.ReLU6(), ["Clamp"]),
    "hardtanh": (nn.Hardtanh(-0.5, 0.25), ["Clamp"]),
    "sigmoid": (nn.Sigmoid(), ["Sigmoid"]),
    "hard sigmoid": (nn.Hardsigmoid(), ["HardSigmoid"]),
    "hard swish": (nn.Hardswish(), ["HardSwish"]),
    "hard swish in place": (nn.Sequential(nn.Conv2d(3, 4, 1), nn.Hardswish(inplace=True)), ["Conv2d", "HardSwish"]),
    "silu": (nn.SiLU(), ["SiLU"]),
    "tanh": (nn.Tanh(), ["Tanh"]),
    "leaky relu": (nn.LeakyReLU(0.2), ["LeakyReLU"]),
    "prelu of one slope": (nn.PReLU(), ["PReLU"]),
    "prelu": (nn.PReLU(3), ["PReLU"]),
    "max pool": (nn.MaxPool2d(3, 2, 1), ["MaxPool2d"]),
    "max pool, default stride": (nn.MaxPool2d((2, 3)), ["MaxPool2d"]),
    "max pool, ceil mode that changes nothing": (nn.MaxPool2d(2, ceil_mode=True), ["MaxPool2d"]),
    "average pool": (nn.AvgPool2d(2, (1, 2)), ["AvgPool2d"]),
    "average pool, padding not counted": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), ["AvgPool2d"]),
    "adaptive pool": (nn.AdaptiveAvgPool2d((4, 2)), ["AvgPool2d"]),
    "adaptive pool to 1x1": (nn.AdaptiveAvgPool2d(1), ["AvgPool2d"]),
    "adaptive pool to its own size": (nn.AdaptiveAvgPool2d((8, 6)), []),
    "dropout": (nn.Dropout(0.25), ["Dropout"]),
    "dropout in place": (nn.Dropout(0.25, inplace=True), ["Dropout"]),
    "channel dropout": (nn.Dropout2d(0.25), []),
    "identity": (nn.Identity(), []),
    "zero pad": (nn.ZeroPad2d((1, 2, 0, 1)), ["Pad"]),
    "zero pad before a convolution": (nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 4, 3, 2)), ["Conv2d"]),
}


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch's own, about its speed
@pytest.mark.parametrize(("layer", "expected"), LAYERS.values(), ids=LAYERS)
def test_a_layer_becomes_its_op_and_computes_the_same(layer: nn.Module, expected: list[str]) -> None:
    channels = layer(torch.zeros(MAP)).shape[1]
    graph = captured(Apply(layer, channels), MAP)
    pool = [] if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size == 1 else ["AvgPool2d"]
    assert kinds(graph) == [*expected, *pool, "Flatten", "Linear"]


FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], int, list[str]]] = {
    "residual add": (lambda x: x + F.relu(x), 3, ["Clamp", "Add"]),
    "residual add in place": (lambda x: F.relu(x).add_(x), 3, ["Clamp", "Add"]),
    "product of maps": (lambda x: x * F.relu(x), 3, ["Clamp", "Mul"]),
    "a map and itself": (lambda x: x * x, 3, ["Mul"]),
    "gate": (lambda x: x * F.adaptive_avg_pool2d(x, 1), 3, ["AvgPool2d", "Mul"]),
    "gate first": (lambda x: F.adaptive_avg_pool2d(x, 1) * x, 3, ["AvgPool2d", "Mul"]),
    "repeated gate": (lambda x: x * F.adaptive_avg_pool2d(x, 1).expand_as(x), 3, ["AvgPool2d", "Mul"]),
    "scaled": (lambda x: 0.5 * x, 3, ["Mul"]),
    "scaled in place": (lambda x: F.relu(x).mul_(2), 3, ["Clamp", "Mul"]),
    "divided": (lambda x: x / 3, 3, ["Mul"]),
    "divided by a whole number that it keeps": (lambda x: x / WHOLE, 3, ["Mul"]),
    "scaled per channel": (lambda x: x * CHANNELS, 3, ["Mul"]),
    "cat on channels": (lambda x: torch.cat([F.relu(x), x], 1), 6, ["Clamp", "Concat"]),
    "cat on channels, counted from behind": (lambda x: torch.cat([x, x, x], -3), 9, ["Concat"]),
    "clamp": (lambda x: x.clamp(-0.5, 0.5), 3, ["Clamp"]),
    "clamp from below": (lambda x: x.clamp(min=-0.5), 3, ["Clamp"]),
    "clamp from above": (lambda x: x.clamp_max(0.5), 3, ["Clamp"]),
    "other height and width": (
        lambda x: x.reshape(1, 3, 12, 4) if len(x) == 1 else x.reshape(-1, 3, 12, 4),
        3,
        ["Reshape"],
    ),
    "flattened and back": (lambda x: x.flatten(1).unflatten(1, (3, 8, 6)), 3, ["Flatten", "Reshape"]),
    "enlarged exactly": (lambda x: F.interpolate(x, scale_factor=(1, 3), mode="nearest-exact"), 3, ["ResizeNearest"]),
    "channel pad": (lambda x: F.pad(x, (0, 0, 0, 0, 2, 1)), 6, ["Pad"]),
    "pad by nothing": (lambda x: F.pad(x, (0, 0, 0, 0)), 3, []),
    "strided slice": (lambda x: x[:, :, ::2, 1::2], 3, ["Slice"]),
    "slice of a slice": (lambda x: x[:, :, 1::2][:, :, 1:, ::3][:, 1:], 2, ["Slice"]),
    "channel slice": (lambda x: x[:, 1:], 2, ["Slice"]),
    "whole slice": (lambda x: x[:, :, :], 3, []),
    "option A shortcut": (lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1)), 5, ["Slice", "Pad"]),
    "mean, keeping dimensions": (lambda x: x.mean((-1, -2), keepdim=True), 3, ["AvgPool2d"]),
    "mean of rows": (lambda x: x.mean(2, keepdim=True), 3, ["AvgPool2d", "AvgPool2d"]),
    "copies and casts": (lambda x: x.clone().detach().contiguous().to(torch.float32), 3, []),
}


@pytest.mark.parametrize(("function", "channels", "expected"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_function_becomes_its_op_and_computes_the_same(
    function: Callable[[Tensor], Tensor], channels: int, expected: list[str]
) -> None:
    graph = captured(Apply(function, channels), MAP)
    pool = [] if expected[-1:] == ["AvgPool2d"] else ["AvgPool2d"]
    assert kinds(graph) == [*expected, *pool, "Flatten", "Linear"]


FLATTENS: dict[str, Callable[[Tensor], Tensor]] = {
    "flatten": lambda x: x.flatten(1),
    "view": lambda x: x.view(x.size(0), -1),
    "reshape": lambda x: x.reshape(1 * x.shape[0], 144),
    "through other functions": lambda x: torch.tanh(F.leaky_relu(F.silu(x.flatten(1)) * 0.5)),
    "through relu and dropout": lambda x: F.dropout(F.relu(x.flatten(1)), 0.5, training=False),
}


@pytest.mark.parametrize("flatten", FLATTENS.values(), ids=FLATTENS)
def test_a_linear_after_a_flatten_has_its_columns_permuted(flatten: Callable[[Tensor], Tensor]) -> None:
    module = Flat(flatten)
    graph = captured(module, MAP)
    expected = module.fc.weight.detach().numpy().reshape(4, 3, 8, 6).transpose(0, 2, 3, 1).reshape(4, -1)
    np.testing.assert_array_equal(graph.node("fc").params["weight"], expected)


SQUEEZES: dict[str, Callable[[Tensor], Tensor]] = {
    "one by one": lambda x: F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1),
    "both": lambda x: F.adaptive_avg_pool2d(x, 1).squeeze((2, 3)),
    "with a relu between": lambda x: F.relu(F.adaptive_avg_pool2d(x, 1).squeeze(3)).flatten(1),
    "view": lambda x: F.avg_pool2d(x, (8, 6)).view(-1, 3),
    "already pooled": lambda x: F.avg_pool2d(x, (8, 6)).mean((2, 3)),
}


@pytest.mark.parametrize("squeeze", SQUEEZES.values(), ids=SQUEEZES)
def test_a_pooled_map_is_flattened_without_permuting(squeeze: Callable[[Tensor], Tensor]) -> None:
    module = Flat(squeeze, 3)
    graph = captured(module, MAP)
    assert kinds(graph).count("Flatten") == 1
    np.testing.assert_array_equal(graph.node("fc").params["weight"], module.fc.weight.detach().numpy())


PRODUCTS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "linear": F.linear,
    "addmm": lambda x, w, b: torch.addmm(b, x, w.t()),
    "addmm of a transposed": lambda x, w, b: torch.addmm(b, x, w.transpose(0, 1)),
    "mm": lambda x, w, _: torch.mm(x, w.permute(1, 0)),
    "matmul": lambda x, w, _: x @ w.T,
}


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_a_written_out_product_becomes_a_linear(product: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.zeros(4, 7)), nn.Parameter(torch.zeros(4))

        def forward(self, x: Tensor) -> Tensor:
            return product(x, self.weight, self.bias)

    graph = captured(Product(), (1, 7))
    assert kinds(graph) == ["Linear"]


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.Softmax(-1), nn.LogSoftmax(1)], ids=str)
def test_a_final_softmax_becomes_an_attribute(last: nn.Module) -> None:
    module = nn.Sequential(nn.Linear(7, 4), last)
    graph = captured(module, (1, 7))
    assert graph.softmax
    assert kinds(graph) == ["Linear"]
    x = inputs((1, 7))
    expected = module[0](x).detach().numpy()
    np.testing.assert_allclose(forward(graph, x.numpy(), ["0"])["0"], expected, rtol=1e-5, atol=1e-6)


def test_attributes_and_weights_are_in_graph_layout() -> None:
    conv = nn.Conv2d(3, 5, (3, 2), (2, 1), (1, 0), (1, 2))
    graph = captured(Apply(conv, 5), MAP)
    node = graph.nodes[0]
    assert node.op == Conv2d(HW(2, 1), Padding(1, 0, 1, 0), HW(1, 2), 1)
    np.testing.assert_array_equal(node.params["weight"], conv.weight.detach().numpy().transpose(0, 2, 3, 1))
    assert not node.params["weight"].flags.writeable


def test_attributes_of_the_small_ops_are_kept() -> None:
    layers = nn.Sequential(
        nn.ZeroPad2d((1, 0, 2, 0)), nn.BatchNorm2d(3, 1e-3), nn.ReLU6(), nn.Dropout(0.2), nn.AvgPool2d(3, 2)
    ).eval()
    graph = captured(Apply(lambda x: layers(x)[:, 1:, ::2], 2), MAP)
    ops = [node.op for node in graph.nodes]
    assert ops[:6] == [
        Pad(Padding(2, 1, 0, 0)),
        BatchNorm(1e-3),
        Clamp(Activation(0.0, 6.0)),
        Dropout(0.2),
        AvgPool2d(HW(3, 3), HW(2, 2)),
        Slice(Span(0, 4, 2), Span(0, 3), Span(1, 3)),
    ]


def test_batch_norm_of_features_stays_a_batch_norm() -> None:
    graph = captured(nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)), (1, 7))
    assert kinds(graph) == ["Linear", "BatchNorm", "Clamp", "Linear"]


class TwoBlocks(nn.Module):
    """Names that a reader must find again."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.blocks = nn.ModuleList([Residual(), Residual()])
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.fc(x.mean((2, 3)))  # type: ignore[no-any-return]


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.drop = nn.Dropout()
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.relu(self.relu(self.conv(x)) + x))  # type: ignore[no-any-return]


def test_nodes_are_named_by_their_module() -> None:
    graph = captured(TwoBlocks(), MAP)
    assert [node.name for node in graph.nodes] == [
        "stem.0", "stem.1", "stem.2",
        "blocks.0.conv", "blocks.0.relu", "blocks.0.add", "blocks.0.relu_1", "blocks.0.drop",
        "blocks.1.conv", "blocks.1.relu", "blocks.1.add", "blocks.1.relu_1", "blocks.1.drop",
        "mean", "flatten", "fc",
    ]  # fmt: skip
    assert graph.node("blocks.0.add").module == "blocks.0"
    assert graph.node("blocks.0.conv").module == "blocks.0.conv"


def test_a_tap_is_what_its_module_returns() -> None:
    graph = captured(TwoBlocks(), MAP, "stem", "blocks.0", "blocks.1")
    assert [(tap.name, tap.tensor) for tap in graph.taps] == [
        ("stem", "stem.2"), ("blocks.0", "blocks.0.drop"), ("blocks.1", "blocks.1.drop")
    ]  # fmt: skip


def test_a_tap_holds_the_values_that_its_module_returns() -> None:
    module = randomised(TwoBlocks())
    assert isinstance(module, TwoBlocks)
    graph = capture(module, torch.zeros(MAP), name="net", taps=["blocks.0"])
    x = inputs(MAP)
    expected = to_graph_layout(module.blocks[0](module.stem(x)).detach())
    tensor = graph.taps[0].tensor
    np.testing.assert_allclose(forward(graph, to_graph_layout(x), [tensor])[tensor], expected, atol=1e-4)


def test_a_tap_on_nothing_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ModelError, match=r"tap 'block.0' names no submodule(.|\n)*did you mean 'blocks.0'\?"):
        capture(TwoBlocks(), torch.zeros(MAP), name="net", taps=["block.0"])


def test_a_tap_on_nothing_alike_is_refused_with_all_names() -> None:
    with pytest.raises(ModelError, match=r"submodules: blocks\.0, blocks\.0\.conv, "):
        capture(TwoBlocks(), torch.zeros(MAP), name="net", taps=["head"])


def test_a_tap_on_a_module_called_twice_is_refused() -> None:
    with pytest.raises(ModelError, match=r"tap 'blocks.0.relu': the submodule is called more than once"):
        capture(TwoBlocks(), torch.zeros(MAP), name="net", taps=["blocks.0.relu"])


def test_a_tap_on_a_module_that_returns_two_tensors_is_refused() -> None:
    class Fork(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return F.relu(x), F.relu6(x)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fork, self.fc = Fork(), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            a, b = self.fork(x)
            return self.fc((a + b).mean((2, 3)))  # type: ignore[no-any-return]

    with pytest.raises(ModelError, match=r"tap 'fork': the submodule returns 2 tensors"):
        capture(Net(), torch.zeros(MAP), name="net", taps=["fork"])


def test_capture_leaves_the_module_as_it_was() -> None:
    module = TwoBlocks()
    module.blocks[0].eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    capture(module, torch.zeros(MAP), name="net")
    assert module.training
    assert not module.blocks[0].training
    assert module.blocks[1].training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_capture_warns_of_nothing() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        capture(TwoBlocks(), torch.zeros(MAP), name="net")
    assert not seen


def test_what_the_logits_do_not_need_is_left_out() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.other = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            self.other(x)
            return self.fc(x)  # type: ignore[no-any-return]

    graph = captured(Unused(), (1, 3))
    assert [type(node.op) for node in graph.nodes] == [Linear]
