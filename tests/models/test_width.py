import subprocess
import sys
from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.torch_networks import captured

from ptee_mcu.errors import ConfigError
from ptee_mcu.graph import Graph
from ptee_mcu.models import MODELS, ModelSpec, build, torch_shape
from ptee_mcu.models.layers import scaled


def parameters(network: torch.nn.Module) -> int:
    return sum(tensor.numel() for tensor in network.parameters())


def inner_channels(graph: Graph) -> set[int]:
    """Of every tensor between the input and the logits."""
    ends = {graph.input, graph.exits[-1].logits}
    return {prod(shape[3:]) for name, shape in graph.shapes.items() if name not in ends and len(shape) == 4}


@pytest.mark.parametrize("spec", MODELS.values(), ids=lambda spec: spec.name)
def test_a_narrow_network_reads_and_answers_as_the_wide_one_and_is_smaller(spec: ModelSpec) -> None:
    network = build(spec.name, width=0.5)
    assert parameters(network) < 0.5 * parameters(build(spec.name))
    graph = captured(network, torch_shape(spec.input_shape), *spec.blocks)
    assert graph.input_shape == spec.input_shape
    assert graph.shapes[graph.exits[-1].logits] == (1, spec.classes)
    assert [tap.name for tap in graph.taps] == list(spec.blocks)
    assert all(channels % 4 == 0 for channels in inner_channels(graph))


@pytest.mark.parametrize("spec", MODELS.values(), ids=lambda spec: spec.name)
def test_a_width_of_one_is_the_published_network(spec: ModelSpec) -> None:
    shapes = [
        {key: tensor.shape for key, tensor in network.state_dict().items()}
        for network in (build(spec.name), build(spec.name, width=1.0))
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("channels", "width", "expected"),
    [(6, 1.0, 6), (64, 0.25, 16), (64, 0.3, 20), (12, 0.5, 8), (8, 0.1, 4), (16, 2.0, 32), (12, 1.2, 16)],
)
def test_channels_are_rounded_to_multiples_of_four(channels: int, width: float, expected: int) -> None:
    assert scaled(channels, width) == expected


@given(st.integers(1, 2048), st.floats(0.01, 8).filter(lambda width: width != 1))
def test_scaled_channels_are_the_nearest_multiple_of_four_and_never_none(channels: int, width: float) -> None:
    result = scaled(channels, width)
    assert result % 4 == 0
    assert result >= 4
    assert result == 4 or abs(result - channels * width) <= 2


def test_an_unknown_option_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"resnet20 has no option 'depth'\n  hint: known options: width"):
        build("resnet20", depth=32)


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan"), float("inf")])
def test_a_width_that_is_no_number_above_zero_is_refused(width: float) -> None:
    with pytest.raises(ConfigError, match=rf"vgg11: width is {width}, it must be a number above 0"):
        build("vgg11", width=width)


def test_options_are_known_and_checked_without_torch() -> None:
    code = """
import sys
sys.modules["torch"] = None
from ptee_mcu.errors import ConfigError
from ptee_mcu.models import MODELS, build
assert all(spec.options == {"width": 1.0} for spec in MODELS.values())
try:
    build("resnet20", wdith=0.5)
except ConfigError as error:
    assert str(error) == "resnet20 has no option 'wdith'\\n  hint: known options: width", error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)
