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
        "calibration inputs have shape (4,), tiny takes (6, 6, 2)",
    ),
    "inputs of integers": (
        ["--model", "tiny.pt2", "--calibration", "codes.npy"],
        "codes.npy: inputs are int8; real network inputs are expected",
    ),
    "no array": (["--model", "tiny.pt2", "--calibration", "tiny.pt2"], "tiny.pt2: holds no array of inputs"),
}


@pytest.mark.parametrize(("words", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_compiled_is_refused_in_one_line(program: Path, words: list[str], message: str) -> None:
    np.save(program.with_name("wrong.npy"), np.zeros((3, 4), np.float32))
    np.save(program.with_name("codes.npy"), np.zeros((3, 6, 6, 2), np.int8))
    done = ptee("build", *words, "--out", "refused", cwd=program.parent)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not program.with_name("refused").exists()
