"""Backbones that a config names as a file or as a function of the user's."""

from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import torch
from torch import nn

from ptee_mcu.config import Config
from ptee_mcu.data import load
from ptee_mcu.errors import ConfigError, ModelError, PteeError
from ptee_mcu.frontends.load import c_name, load_model
from ptee_mcu.frontends.pytorch_user import load_pt2
from ptee_mcu.graph import Graph, forward
from ptee_mcu.stages.capturing import captured

NETWORK = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self, width=4):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU())
            self.body = nn.Sequential(nn.Conv2d(width, width, 3, stride=2), nn.ReLU())
            self.fc = nn.Linear(width, 10)

        def forward(self, x):
            return self.fc(self.body(self.stem(x)).mean((2, 3)))

    def answering():
        return nn.Sequential(Net(), nn.Softmax(1))

    def broken():
        raise ValueError("no such width")

    def number():
        return 3
"""


def config(factory: str, **model: object) -> Config:
    section = {"factory": factory, **model}
    return Config.model_validate({"model": section, "data": {"source": "digits"}, "build": {"name": "mine"}})


def graph_of(folder: Path, factory: str, **model: object) -> Graph:
    return captured(config(factory, **model), load("digits"), beside=folder, data=None)[0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With modules that no other test has imported."""
    (tmp_path / f"net_{tmp_path.name}.py").write_text(dedent(NETWORK).replace("-", "_"))
    (tmp_path / f"torn_net_{tmp_path.name}.py").write_text("def make(:")
    (tmp_path / f"leaving_net_{tmp_path.name}.py").write_text("import sys; sys.exit(4)")
    monkeypatch.syspath_prepend(str(tmp_path.parent))
    return tmp_path


def module(folder: Path) -> str:
    return f"net_{folder.name}"


def test_a_factory_beside_the_config_makes_the_backbone_with_its_arguments(folder: Path) -> None:
    graph = graph_of(folder, f"{module(folder)}:Net", arguments={"width": 6})
    assert graph.input_shape == (1, 8, 8, 1)
    assert graph.nodes[0].params["weight"].shape == (6, 3, 3, 1)


def test_a_softmax_that_is_left_out_is_said_of_a_factorys_network(folder: Path) -> None:
    said = "the softmax at the end is left out; the host may apply it to the logits"
    for name, notes in (("Net", ()), ("answering", (said,))):
        assert captured(config(f"{module(folder)}:{name}"), load("digits"), beside=folder, data=None)[1] == notes


def test_without_named_blocks_exits_may_attach_wherever_the_graph_is_cut(folder: Path) -> None:
    graph = graph_of(folder, f"{module(folder)}:Net")
    assert [graph.shapes[tap.tensor] for tap in graph.taps][:2] == [(1, 8, 8, 4), (1, 3, 3, 4)]


def test_named_blocks_are_the_places_for_exits(folder: Path) -> None:
    assert [tap.name for tap in graph_of(folder, f"{module(folder)}:Net", blocks=["body"]).taps] == ["body"]


REFUSED = {
    "no such module": ("nowhere_at_all:Net", r"model.factory 'nowhere_at_all:Net': No module named"),
    "no such function": ("{}:Nett", r"has no attribute 'Nett'"),
    "it fails": ("{}:broken", r"calling it failed: ValueError: no such width"),
    "its module does not parse": ("torn_{}:Net", r"importing it failed: SyntaxError: .*torn_net_.*line 1"),
    "its module leaves": ("leaving_{}:Net", r"importing it failed: SystemExit: 4"),
    "no module comes out": ("{}:number", r"gives int, a torch.nn.Module is expected"),
}


@pytest.mark.parametrize(("factory", "message"), REFUSED.values(), ids=REFUSED)
def test_a_factory_that_makes_no_network_is_refused(folder: Path, factory: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        graph_of(folder, factory.format(module(folder)))


SECTIONS: dict[str, tuple[dict[str, object], str]] = {
    "two sources": ({"name": "resnet8", "file": "a.onnx"}, r"name and file given"),
    "none": ({}, r"one of name .* is needed, none given"),
    "no factory": ({"factory": "just_a_module"}, r"is not of the form package.module:function"),
    "weights of a file": ({"file": "a.onnx", "weights": "w.pt"}, r"weights does not go with file"),
    "an argument that is a table": (
        {"factory": "a:b", "arguments": {"width": {"a": 3}}},
        r"a number, a text, true, false or a list of these is expected",
    ),
    "arguments of a name": ({"name": "resnet8", "arguments": {"a": 1}}, r"arguments does not go with name"),
}


@pytest.mark.parametrize(("section", "message"), SECTIONS.values(), ids=SECTIONS)
def test_a_model_section_names_one_source_and_what_goes_with_it(section: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config.model_validate({"model": section, "data": {"source": "digits"}, "build": {"name": "mine"}})


def test_data_may_be_left_out_of_a_model_file_alone() -> None:
    assert Config.model_validate({"model": {"file": "a.tflite"}, "build": {"name": "a"}}).data is None
    with pytest.raises(ValueError, match=r"section \[data\] is missing: resnet8 is trained"):
        Config.model_validate({"model": {"name": "resnet8"}, "build": {"name": "a"}})
    with pytest.raises(ValueError, match=r"section \[data\] is missing: exits are trained"):
        Config.model_validate({"model": {"file": "a.tflite"}, "exits": {}, "build": {"name": "a"}})


def test_inputs_are_for_builds_without_data() -> None:
    sections = {"model": {"name": "resnet8"}, "data": {"source": "digits"}, "build": {"name": "a"}}
    with pytest.raises(ValueError, match=r"quantize\.inputs is for builds without \[data\]"):
        Config.model_validate({**sections, "quantize": {"inputs": "x.npy"}})


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3)).eval()


def saved(network: nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    torch.export.save(torch.export.export(network, (torch.zeros(shape),)), path)
    return path


def test_a_saved_program_answers_as_the_module_it_came_from(tmp_path: Path) -> None:
    network = small()
    graph = load_model(saved(network, (1, 2, 6, 6), tmp_path / "My net.pt2")).graph
    assert graph is not None
    assert graph.name == "my_net"
    x = torch.randn(1, 2, 6, 6)
    logits = graph.exits[-1].logits
    ours = forward(graph, x.permute(0, 2, 3, 1).numpy(), [logits])[logits]
    np.testing.assert_allclose(ours, network(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_program_of_another_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"takes inputs of shape \(2, 2, 6, 6\); one of fixed shape with batch 1"):
        load_pt2(saved(small(), (2, 2, 6, 6), tmp_path / "a.pt2"), "a")


def test_a_damaged_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt2"
    path.write_bytes(b"PK\x03\x04 but torn")
    with pytest.raises(ModelError, match=r"a\.pt2: torch\.export\.load cannot read it"):
        load_model(path)


def test_a_file_of_no_known_kind_is_refused_with_those_that_are(tmp_path: Path) -> None:
    path = tmp_path / "net.weights"
    path.write_text("")
    with pytest.raises(ModelError, match=r"a file of kind '\.weights', which holds no network\n.*\.tflite, \.onnx"):
        load_model(path)
    with pytest.raises(PteeError, match=r"gone\.onnx: no such model file"):
        load_model(tmp_path / "gone.onnx")


@pytest.mark.parametrize(("text", "name"), [("ResNet-8 (int8)", "resnet_8_int8"), ("8bit", "net_8bit"), ("", "net")])
def test_a_files_name_becomes_the_name_of_a_c_library(text: str, name: str) -> None:
    assert c_name(text) == name
