import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from safetensors import safe_open
from support.torch_networks import randomised
from torch import Tensor, nn

from ptee_mcu.data import Dataset, divide, load, make_dataset
from ptee_mcu.errors import ModelError
from ptee_mcu.exits.heads import HEADS, attach
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.graph import Graph
from ptee_mcu.models import MODELS, build, load_weights, torch_shape
from ptee_mcu.models.cifar_resnet import CifarResNet
from ptee_mcu.passes.fold import fold
from ptee_mcu.train.export import save_weights, state_dict_of
from ptee_mcu.train.recipe import BackboneRecipe
from ptee_mcu.train.record import TrainingRecord, images_digest, recipe_settings, trained_here, training_record

RECORD = TrainingRecord(
    "digits_cnn", {"width": 0.5}, "digits", 3, "ab", 2, {"epochs": 4, "lr": 0.1, "augment": None}, 7, 0.5, "0.1.0"
)
NETWORKS = [*((name, "pad") for name in MODELS), ("resnet14", "conv"), ("resnet20", "conv")]


def network(name: str, shortcuts: str = "pad", *, seed: int | None = None) -> nn.Module:
    """Narrow; with a seed all parameters and statistics random."""
    module = build(name, width=0.25)
    if shortcuts == "conv":
        assert isinstance(module, CifarResNet)
        module.use_shortcuts("conv")
    return module if seed is None else randomised(module, seed)


def graph_of(module: nn.Module, name: str) -> Graph:
    spec = MODELS[name]
    return capture(module, torch.zeros(torch_shape(spec.input_shape)), name="net", taps=spec.blocks)


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert list(a) == list(b)
    assert [key for key in a if not torch.equal(a[key], b[key])] == []


@pytest.mark.parametrize(("name", "shortcuts"), NETWORKS)
def test_every_parameter_of_every_network_comes_back_bit_by_bit(name: str, shortcuts: str) -> None:
    trained = network(name, shortcuts, seed=3)
    assert_same(state_dict_of(graph_of(trained, name), network(name, shortcuts)), trained.state_dict())


LINES = nn.Sequential(
    nn.Conv1d(3, 4, 5), nn.BatchNorm1d(4), nn.ConvTranspose1d(4, 6, 3, 2), nn.Flatten(), nn.Linear(150, 2)
)


class Scaled(nn.Module):
    """Slopes that are trained, and a constant that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.one, self.own, self.fc = nn.Conv2d(3, 4, 3), nn.PReLU(), nn.PReLU(4), nn.Linear(144, 2)

    def forward(self, x: Tensor) -> Tensor:
        flat = self.own(0.5 * self.one(self.conv(x))).flatten(1)
        return self.fc(nn.functional.silu(flat / 2))  # type: ignore[no-any-return]


DECODER = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ConvTranspose2d(4, 5, (3, 2), 2), nn.Flatten(), nn.Linear(930, 2))


@pytest.mark.parametrize(
    ("module", "shape"),
    [(LINES, (1, 3, 16)), (DECODER, (1, 3, 32, 7)), (Scaled(), (1, 3, 8, 8))],
    ids=["lines", "decoder", "slopes"],
)
def test_parameters_of_lines_transposed_convolutions_and_slopes_come_back(
    module: nn.Module, shape: tuple[int, ...]
) -> None:
    randomised(module, 3)
    graph = capture(module, torch.zeros(shape), name="net")
    assert_same(state_dict_of(graph, module), module.state_dict())


@pytest.mark.parametrize(("name", "shortcuts"), [("digits_cnn", "pad"), ("lenet5", "pad"), ("resnet14", "conv")])
def test_a_file_of_trained_weights_makes_the_same_graph(name: str, shortcuts: str, tmp_path: Path) -> None:
    graph = graph_of(network(name, shortcuts, seed=5), name)
    save_weights(graph, network(name, shortcuts), tmp_path / "new" / "w.safetensors", RECORD)
    fresh = network(name)
    load_weights(fresh, tmp_path / "new" / "w.safetensors")
    again = graph_of(fresh, name)
    for a, b in zip(graph.nodes, again.nodes, strict=True):
        assert a.name == b.name
        assert all(np.array_equal(a.params[role], b.params[role]) for role in {*a.params, *b.params})
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["w.safetensors"]


def test_the_network_that_gives_the_names_stays_as_it_was() -> None:
    other = network("digits_cnn", seed=1)
    before = {key: tensor.clone() for key, tensor in other.state_dict().items()}
    state_dict_of(graph_of(network("digits_cnn", seed=2), "digits_cnn"), other)
    assert_same(before, dict(other.state_dict()))


def test_a_folded_graph_is_refused_by_parameter() -> None:
    module = network("digits_cnn", seed=1)
    with pytest.raises(ModelError, match=r"net: the network has no conv\.bias\n  hint: .*nothing folded"):
        state_dict_of(fold(graph_of(module, "digits_cnn")), module)


def test_a_graph_with_exits_is_refused_by_parameter() -> None:
    module = network("digits_cnn", seed=1)
    graph = graph_of(module, "digits_cnn")
    with pytest.raises(ModelError, match=r"net: the network has no .*\n  hint: .*no exits attached"):
        state_dict_of(attach(graph, graph.taps[:1], HEADS["pooled"]), module)


def test_a_network_of_another_width_is_refused_by_shape() -> None:
    graph = graph_of(network("digits_cnn", seed=1), "digits_cnn")
    with pytest.raises(ModelError, match=r"net: conv\.weight has shape \(4, 1, 3, 3\), the network's \(8, 1, 3, 3\)"):
        state_dict_of(graph, build("digits_cnn"))


def test_a_parameter_that_the_graph_lacks_is_named() -> None:
    module = network("digits_cnn", seed=1)
    graph = graph_of(module, "digits_cnn")
    module.add_module("unused", nn.Linear(2, 2))
    with pytest.raises(ModelError, match=r"net: nothing for unused\.weight of the network \(2 such\)"):
        state_dict_of(graph, module)


class Twice(nn.Module):
    """One layer at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(torch.relu(self.fc(x)))
        return y


def test_a_layer_with_two_uses_comes_back_only_where_both_have_its_value() -> None:
    module = Twice()
    graph = capture(module, torch.zeros(1, 3), name="net")
    assert_same(state_dict_of(graph, Twice()), module.state_dict())
    last = graph.nodes[-1]
    params = MappingProxyType({**last.params, "bias": last.params["bias"] + 1})
    apart = replace(graph, nodes=(*graph.nodes[:-1], replace(last, params=params)))
    with pytest.raises(ModelError, match=r"net: fc\.bias was used twice and trained to two values"):
        state_dict_of(apart, module)


class Product(nn.Module):
    """A layer that stores its weight the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(9.0).reshape(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


def test_a_layout_that_would_be_lost_is_noticed() -> None:
    graph = capture(Product(), torch.zeros(1, 3), name="net")
    with pytest.raises(ModelError, match=r"net: weight does not come back as weight of \w+\n  hint: use the layers of"):
        state_dict_of(graph, Product())


def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    module = network("digits_cnn", seed=1)
    (tmp_path / "w.safetensors").mkdir()
    with pytest.raises(ModelError, match=r"w\.safetensors: the weights cannot be written: "):
        save_weights(graph_of(module, "digits_cnn"), module, tmp_path / "w.safetensors", RECORD)
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    module = network("digits_cnn", seed=1)
    path = tmp_path_factory.mktemp("saved") / "w.safetensors"
    save_weights(graph_of(module, "digits_cnn"), module, path, RECORD)
    return path


def test_the_record_is_read_back_without_torch(saved: Path) -> None:
    assert training_record(saved) == RECORD
    code = """
import sys
from pathlib import Path
sys.modules["torch"] = None
from ptee_mcu.train.record import training_record
print(training_record(Path(sys.argv[1])).accuracy)
"""
    done = subprocess.run([sys.executable, "-c", code, str(saved)], check=True, capture_output=True, text=True)
    assert done.stdout == "0.5\n"


def test_the_same_weights_make_the_same_bytes_in_every_process(saved: Path, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
import torch
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.models import build, load_weights
from ptee_mcu.train.export import save_weights
from ptee_mcu.train.record import training_record
module = build("digits_cnn", width=0.25)
load_weights(module, Path(sys.argv[1]))
graph = capture(module, torch.zeros(1, 1, 8, 8), name="net")
for number in range(3):
    save_weights(graph, module, Path(sys.argv[2]) / f"{number}.safetensors", training_record(Path(sys.argv[1])))
"""
    subprocess.run([sys.executable, "-c", code, str(saved), str(tmp_path)], check=True, env=dict(os.environ))
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {saved.read_bytes()}


def test_files_from_elsewhere_have_no_record(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "w.pt")
    assert training_record(tmp_path / "w.pt") is None
    from safetensors.torch import save_file  # noqa: PLC0415 - used here alone

    save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors")
    assert training_record(tmp_path / "w.safetensors") is None
    save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors", metadata={"format": "pt"})
    assert training_record(tmp_path / "w.safetensors") is None


def test_a_damaged_record_is_refused_by_place(tmp_path: Path) -> None:
    from safetensors.torch import save_file  # noqa: PLC0415 - used here alone

    path = tmp_path / "w.safetensors"
    for text, where in (
        (json.dumps({**asdict(RECORD), "images": "many"}), "images"),
        (json.dumps({"model": "digits_cnn"}), "options"),
        ("{", "ptee_training"),
    ):
        save_file({"a": torch.ones(1)}, path, metadata={"ptee_training": text})
        with pytest.raises(ModelError, match=rf"w\.safetensors: its training record is damaged at {where}: "):
            training_record(path)


def test_a_file_that_is_missing_or_torn_is_refused(saved: Path, tmp_path: Path) -> None:
    for content in (None, saved.read_bytes()[:100]):
        path = tmp_path / "w.safetensors"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ModelError, match=r"weights file .*w\.safetensors cannot be read: "):
            training_record(path)


def test_the_file_names_its_framework_for_other_readers(saved: Path) -> None:
    with safe_open(saved, framework="numpy") as file:
        assert set(file.metadata()) == {"format", "ptee_training"}
        assert file.metadata()["format"] == "pt"


def record_for(dataset: Dataset) -> TrainingRecord:
    return replace(RECORD, images_sha256=images_digest(divide(dataset, pretrained=False).train), dataset=dataset.name)


def test_weights_are_known_to_be_trained_here_on_the_same_images_only() -> None:
    digits = load("digits")
    record = record_for(digits)
    assert trained_here(record, digits)
    assert not trained_here(record, replace(digits, name="others"))
    assert not trained_here(record, replace(digits, train_x=255 - digits.train_x))
    assert not trained_here(record, replace(digits, train_x=digits.train_x[1:], train_y=digits.train_y[1:]))


def test_weights_trained_on_all_training_images_are_not_taken_for_trained_here() -> None:
    digits = load("digits")
    train, test = (digits.train_x, digits.train_y), (digits.test_x, digits.test_y)
    official = make_dataset("set", train, test, digits.classes, official_test=True)
    everything = divide(official, pretrained=True).train
    assert len(everything) > len(divide(official, pretrained=False).train)
    assert trained_here(record_for(official), official)
    assert not trained_here(replace(record_for(official), images_sha256=images_digest(everything)), official)


def test_the_recorded_recipe_names_the_usual_augmentation() -> None:
    assert recipe_settings(BackboneRecipe(), (32, 32, 3))["augment"] == "crop and flip"
    settings = recipe_settings(BackboneRecipe(epochs=3), (8, 8, 1))
    assert (settings["epochs"], settings["augment"], settings["optimizer"]) == (3, "none", "adam")
