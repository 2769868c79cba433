"""`build --model`: a model file compiled as it is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.cli import facts, ptee
from support.tools import require
from torch import nn


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "tiny.pt2"
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 3)).eval()
    torch.export.save(torch.export.export(network, (torch.zeros(1, 2, 6, 6),)), path)
    return path


@pytest.fixture(scope="module")
def inputs(program: Path) -> Path:
    path = program.with_name("inputs.npy")
    np.save(path, np.random.default_rng(0).normal(size=(20, 6, 6, 2)).astype(np.float32))
    return path


def test_a_float_file_with_calibration_inputs_becomes_a_project_that_equals_its_c(program: Path, inputs: Path) -> None:
    require("gcc")
    words = ("build", "--model", program.name, "--calibration", inputs.name, "--out", "tiny", "--json")
    report = facts(ptee(*words, cwd=program.parent))
    assert (report["name"], report["images"], report["accuracy"]) == ("tiny", 20, None)
    compared = facts(ptee("compare", "tiny", "--on", "host", "--json", cwd=program.parent))
    assert (compared["mismatched_bytes"], compared["inputs"]) == (0, 20)
    assert compared["bytes_compared"] > 0


REFUSED = {
    "floats without inputs": (["--model", "tiny.pt2"], "tiny.pt2: holds floats, and quantizing them needs inputs"),
    "neither": ([], "neither a config nor --model is given: build needs one"),
    "both": (["a.toml", "--model", "tiny.pt2"], "both a config and --model is given: build needs one"),
    "no file": (["--model", "gone.tflite"], "model.file: no such file: "),
    "exits asked of a file": (
        ["--model", "tiny.pt2", "--max-disagreement", "1%"],
        "operating points are asked for, and the config has no section [exits]",
    ),
    "inputs of another shape": (
        ["--model", "tiny.pt2", "--calibration", "wrong.npy"],
        "tiny.pt2 takes (N, 6, 6, 2)",
    ),
    "inputs of integers": (
        ["--model", "tiny.pt2", "--calibration", "codes.npy"],
        "codes.npy: inputs are int8; real network inputs are expected",
    ),
    "one number": (["--model", "tiny.pt2", "--calibration", "number.npy"], "number.npy: has shape ()"),
    "no input": (["--model", "tiny.pt2", "--calibration", "none.npy"], "none.npy: holds no input"),
    "inputs that are not finite": (
        ["--model", "tiny.pt2", "--calibration", "nan.npy"],
        "nan.npy: 2 of 144 values are NaN, infinite or beyond float32",
    ),
    "no calibration file": (
        ["--model", "tiny.pt2", "--calibration", "gone.npy"],
        "quantize.inputs (--calibration): no such file: ",
    ),
    "no array": (["--model", "tiny.pt2", "--calibration", "tiny.pt2"], "tiny.pt2: holds no array of inputs"),
}


@pytest.mark.parametrize(("words", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_compiled_is_refused_in_one_line(program: Path, words: list[str], message: str) -> None:
    np.save(program.with_name("wrong.npy"), np.zeros((3, 4), np.float32))
    np.save(program.with_name("number.npy"), np.float32(3))
    np.save(program.with_name("none.npy"), np.zeros((0, 6, 6, 2), np.float32))
    values = np.zeros((2, 6, 6, 2))
    values[1, 2, 3] = np.nan, 1e300
    np.save(program.with_name("nan.npy"), values)
    np.save(program.with_name("codes.npy"), np.zeros((3, 6, 6, 2), np.int8))
    done = ptee("build", *words, "--out", "refused", cwd=program.parent)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    assert not program.with_name("refused").exists()


def test_a_network_that_multiplies_nothing_is_compiled(tmp_path: Path) -> None:
    require("gcc")
    network = nn.Sequential(nn.Flatten(), nn.Sigmoid()).eval()
    torch.export.save(torch.export.export(network, (torch.zeros(1, 4),)), tmp_path / "table.pt2")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(5, 4)))
    report = facts(ptee("build", "--model", "table.pt2", "--calibration", "x.npy", "--json", cwd=tmp_path))
    assert (report["backbone_macs"], report["cost"], report["worst_cost"]) == (0, 1.0, 1.0)
    assert facts(ptee("compare", "table", "--json", cwd=tmp_path))["mismatched_bytes"] == 0


def test_a_network_of_other_classes_than_the_data_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "seven.py").write_text(
        "from torch import nn\n\n\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 7))\n"
    )
    (tmp_path / "a.toml").write_text(
        '[model]\nfactory = "seven:make"\n[data]\nsource = "digits"\n[build]\nname = "a"\n'
    )
    done = ptee("build", "a.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "digits: has 10 classes, the network answers with 7 logits" in done.stderr


def test_what_of_a_file_is_not_in_the_network_is_said_once(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(8, 3), nn.Softmax(1)).eval()
    torch.export.save(torch.export.export(network, (torch.zeros(1, 2, 2, 2),)), tmp_path / "net.pt2")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(5, 2, 2, 2)))
    done = ptee("build", "--model", "net.pt2", "--calibration", "x.npy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("softmax") == 1
