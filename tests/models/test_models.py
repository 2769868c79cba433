import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from support.torch_networks import captured

from ptee_mcu.errors import ConfigError
from ptee_mcu.graph import Graph
from ptee_mcu.models import MODELS, ModelSpec, build, find, torch_shape
from ptee_mcu.models.cifar_resnet import CifarResNet
from ptee_mcu.models.densenet import PlainLayer
from ptee_mcu.passes.fold import fold

MACS = {  # of the MLPerf Tiny reference models as .tflite; the others by hand
    "ds_cnn": 2_656_768,
    "mobilenet_v1_025": 7_489_664,
    "autoencoder": 264_192,
    "resnet8": 12_501_632,
    "resnet20": 40_551_040,
    "resnet56": 125_485_696,
    "vgg11": 152_769_536,
    "vgg16": 313_201_664,
    "vgg19": 398_136_320,
    "densenet40": 264_812_928,
    "densenet121": 888_350_720,
    "lenet5": 416_520,
    "digits_cnn": 537_408,
}


def macs(graph: Graph) -> int:
    return sum(node.op.macs(graph.input_shapes(node), node.params) for node in graph.nodes)


@cache
def graph_of(name: str) -> Graph:
    spec = find(name)
    return captured(build(name), torch_shape(spec.input_shape), *spec.blocks)


@pytest.mark.parametrize("spec", MODELS.values(), ids=lambda spec: spec.name)
def test_module_numpy_and_torch_agree_on_every_network_and_its_int8_form_exists(spec: ModelSpec) -> None:
    graph = graph_of(spec.name)
    assert graph.input_shape == spec.input_shape
    assert graph.shapes[graph.exits[-1].logits] == (1, spec.classes)
    assert [tap.name for tap in graph.taps] == list(spec.blocks)
    places = [[node.output for node in graph.nodes].index(tap.tensor) for tap in graph.taps]
    assert places == sorted(places)
    if spec.name in MACS:
        assert macs(graph) == MACS[spec.name]
    assert {type(node.op).__name__ for node in fold(graph).nodes} <= {
        "Add", "AvgPool2d", "Concat", "Conv2d", "Linear", "MaxPool2d", "Pad", "Slice"
    }  # fmt: skip


@pytest.mark.parametrize("spec", MODELS.values(), ids=lambda spec: spec.name)
def test_the_page_on_networks_states_every_network_as_it_is(spec: ModelSpec) -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| `{spec.name}` |"))
    _, _, shape, parameters, work, blocks, _ = (cell.strip() for cell in row.split("|"))
    assert shape in {", ".join(map(str, spec.input_shape[1:])), f"{spec.input_shape[1]} features"}
    assert parameters == f"{sum(tensor.numel() for tensor in build(spec.name).parameters()):,}"
    assert work == f"{macs(graph_of(spec.name)):,}"
    assert f"`{spec.blocks[0]}`" in blocks
    assert f"`{spec.blocks[-1]}`" in blocks


@pytest.mark.parametrize("depth", [14, 20, 32, 44, 56, 110])
def test_a_cifar_resnet_has_as_many_layers_as_its_name_says(depth: int) -> None:
    network = build(f"resnet{depth}")
    weighted = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(weighted) == depth
    assert len(find(f"resnet{depth}").blocks) == (depth - 2) // 2


def test_a_cifar_resnet_with_convolutions_as_shortcuts_is_captured() -> None:
    network = build("resnet14")
    assert isinstance(network, CifarResNet)
    network.use_shortcuts("conv")
    graph = captured(network, (1, 3, 32, 32))
    assert graph.node("layer2.0.shortcut.0").params["weight"].shape == (32, 1, 1, 16)


@pytest.mark.parametrize("depth", [11, 16, 19])
def test_a_vgg_has_two_weighted_layers_less_than_its_name_says(depth: int) -> None:
    network = build(f"vgg{depth}")
    weighted = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(weighted) == depth - 2  # the paper's two hidden Linear layers


@pytest.mark.parametrize("depth", [40, 121])
def test_a_densenet_has_as_many_layers_as_its_name_says(depth: int) -> None:
    network = build(f"densenet{depth}")
    weighted = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(weighted) == depth


def test_a_dense_layer_puts_its_new_channels_in_front_of_the_old_ones() -> None:
    layer = PlainLayer(8, 4).eval()
    x = torch.randn(1, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(layer(x)[:, 4:], x)


@pytest.mark.parametrize("shape", [(1, 28, 28, 1), (1, 64, 31, 3)])
def test_images_that_five_poolings_leave_nothing_of_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ConfigError, match=rf"VGG halves its images five times: {shape[1]}x{shape[2]} pixels are too few, 32x32 the"
    ):
        build("vgg11", input_shape=shape)


def test_uneven_same_padding_needs_no_op_of_its_own() -> None:
    graph = captured(build("mobilenet_v1_025"), (1, 3, 96, 96))
    padding = graph.node("stem.0").op.padding  # type: ignore[attr-defined]
    assert (padding.top, padding.left, padding.bottom, padding.right) == (0, 0, 1, 1)


def test_the_digits_network_is_small_and_holds_most_work_in_its_later_blocks() -> None:
    graph = captured(build("digits_cnn"), (1, 1, 8, 8), "block1", "block2", "block3")
    weights = sum(array.size for node in fold(graph).nodes for array in node.params.values())
    assert weights < 30_000
    made = [node.output for node in graph.nodes]
    shares = []
    for tap in graph.taps:
        trunk = graph.nodes[: made.index(tap.tensor) + 1]
        shares.append(sum(node.op.macs(graph.input_shapes(node), node.params) for node in trunk) / macs(graph))
    assert [round(share, 2) for share in shares] == [0.15, 0.57, 1.0]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("lenet5", (1, 32, 32, 3)),
        ("ds_cnn", (1, 61, 13, 1)),
        ("vgg11", (1, 64, 64, 3)),
        ("densenet40", (1, 28, 28, 1)),
    ],
)
def test_a_network_can_be_built_for_another_input_and_other_classes(name: str, shape: tuple[int, ...]) -> None:
    graph = captured(build(name, classes=7, input_shape=shape), torch_shape(shape))
    assert graph.input_shape == shape
    assert graph.shapes[graph.exits[-1].logits] == (1, 7)


def test_an_unknown_network_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"no network is called 'resnet21'(.|\n)*did you mean 'resnet\d+'\?"):
        build("resnet21")


def test_an_unknown_network_like_no_other_is_refused_with_all_names() -> None:
    with pytest.raises(ConfigError, match=r"known networks: digits_cnn, lenet5"):
        build("transformer")


@pytest.mark.parametrize("shape", [(1, 640), (2, 32, 32, 3)])
def test_an_input_of_another_kind_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"resnet20 reads inputs of a shape like \(1, 32, 32, 3\), not \("):
        build("resnet20", input_shape=shape)


def test_listing_the_networks_imports_no_torch() -> None:
    code = "import sys, ptee_mcu.models; assert ptee_mcu.models.MODELS; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_machine_without_torch_is_told_what_to_install() -> None:
    code = """
import sys
sys.modules["torch"] = None
from ptee_mcu.errors import ToolMissingError
from ptee_mcu.models import build
try:
    build("resnet20")
except ToolMissingError as error:
    assert str(error) == "resnet20: building a network needs torch\\n  hint: pip install 'ptee-mcu[train]'", error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)
