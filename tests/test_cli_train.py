import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ptee_mcu.cli import app
from ptee_mcu.config import load_config
from ptee_mcu.data import divide, load
from ptee_mcu.errors import PteeError
from ptee_mcu.report.console import Console
from ptee_mcu.stages.capturing import captured
from ptee_mcu.stages.training import trained_backbone
from ptee_mcu.train.record import trained_here, training_record
from ptee_mcu.train.workspace import Workspace

CONFIG = """
[model]
name = "digits_cnn"
width = 0.5
training = { epochs = 6, lr = 0.01 }
[data]
source = "digits"
mean = [0.305]
std = [0.376]
[build]
name = "small"
seed = 3
"""
OFTEN = "from ptee_mcu.train import checkpoint; checkpoint._EVERY_SECONDS = 0.0;"  # a checkpoint after every batch


def config(folder: Path, find: str = "", put: str = "") -> str:
    assert find in CONFIG
    path = folder / "train.toml"
    path.write_text(CONFIG.replace(find, put, 1) if find else CONFIG)
    return str(path)


def train(*words: str) -> tuple[int, str, str, BaseException | None]:
    done = CliRunner(env={"PTEE_DATA": None, "TERM": "dumb"}).invoke(app, ["train", *words])
    if done.exception is not None and not isinstance(done.exception, PteeError | SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr, done.exception


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    code = f"{OFTEN} from ptee_mcu.cli import main; main()"
    environment = {k: v for k, v in os.environ.items() if k != "PTEE_DATA"} | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, "train", config(folder), *words]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=-1, stderr=-1, text=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The file of one uninterrupted training, what it printed and what it told."""
    folder = tmp_path_factory.mktemp("train")
    with started(folder, "--out", "w.safetensors") as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return folder / "w.safetensors", out, err


def test_the_file_says_what_it_was_trained_on(trained: tuple[Path, str, str]) -> None:
    record, digits = training_record(trained[0]), load("digits")
    assert record is not None
    assert (record.model, dict(record.options), record.dataset, record.seed) == (
        "digits_cnn", {"width": 0.5}, "digits", 3,
    )  # fmt: skip
    assert record.images == len(digits.train_x)
    assert record.held_out == round(0.6 * len(digits.test_x))
    assert record.accuracy > 0.8
    assert (record.recipe["epochs"], record.recipe["lr"], record.recipe["schedule"]) == (6, 0.01, "cosine")
    assert trained_here(record, digits)


def test_the_result_goes_to_stdout_and_every_epoch_with_its_loss_to_stderr(trained: tuple[Path, str, str]) -> None:
    path, out, err = trained
    record = training_record(path)
    assert record is not None
    accuracy = f"{100 * record.accuracy:.2f}"
    assert out == f"w.safetensors: digits_cnn on 1,078 images of digits, accuracy {accuracy}%\n"
    assert [f"epoch {number} of 6, loss " in err for number in range(1, 8)] == [True] * 6 + [False]
    assert [path.name for path in path.parent.iterdir() if path.suffix != ".toml"] == ["w.safetensors"]


def test_killed_and_started_again_it_goes_on_and_writes_the_same_bytes(
    trained: tuple[Path, str, str], tmp_path: Path
) -> None:
    with started(tmp_path) as process:
        assert process.stderr is not None
        seen = next((line for line in process.stderr if "epoch 3 of 6" in line), None)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    assert seen is not None
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "small.safetensors").exists()
    with started(tmp_path) as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "going on from small.safetensors.checkpoint" in err
    assert "epoch 2 of 6" not in err
    assert (tmp_path / "small.safetensors").read_bytes() == trained[0].read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".toml"] == ["small.safetensors"]


def test_a_build_without_weights_trains_the_same_backbone(trained: tuple[Path, str, str], tmp_path: Path) -> None:
    settings, digits = load_config(Path(config(tmp_path))), load("digits")
    untrained = captured(settings, digits, beside=tmp_path, data=None)[0]
    splits = divide(digits, pretrained=False)
    work = Workspace(tmp_path / "work")
    built = trained_backbone(settings, untrained, splits, Console(quiet=True), work)
    named = load_config(Path(config(tmp_path, "[data]", f'weights = "{trained[0]}"\n[data]')))
    loaded = captured(named, digits, beside=tmp_path, data=None)[0]
    for a, b, before in zip(built.nodes, loaded.nodes, untrained.nodes, strict=True):
        assert all(np.array_equal(a.params[role], b.params[role]) for role in a.params)
        assert not any(np.array_equal(a.params[role], before.params[role]) for role in a.params)


def test_json_holds_the_path_and_the_record_and_nothing_else_is_said(tmp_path: Path) -> None:
    out = str(tmp_path / "w.safetensors")
    code, text, err, _ = train(config(tmp_path), "--out", out, "--seed", "8", "--epochs", "1", "--json")
    assert (code, err) == (0, "")
    facts = json.loads(text)
    assert (facts["weights"], facts["seed"], facts["recipe"]["epochs"], facts["images"]) == (out, 8, 1, 1078)
    assert facts["accuracy"] == getattr(training_record(tmp_path / "w.safetensors"), "accuracy", None)


def refused(*words: str) -> str:
    error = train(*words)[3]
    assert isinstance(error, PteeError)
    return str(error)


def test_a_finished_file_is_replaced_only_when_forced(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"precious")
    words = (config(tmp_path), "--out", str(path), "--epochs", "1", "--json")
    assert "w.safetensors exists already\n  hint: choose another file with --out, or replace it with --force" in (
        refused(*words)
    )
    assert path.read_bytes() == b"precious"
    assert train(*words, "--force")[0] == 0
    assert training_record(path) is not None


def test_a_config_with_weights_is_refused(tmp_path: Path) -> None:
    path = config(tmp_path, "[data]", 'weights = "others.pt"\n[data]')
    assert "model.weights names others.pt, but training starts from random weights\n  hint: take that line" in (
        refused(path)
    )


def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path) -> None:
    message = refused(config(tmp_path), "--out", str(tmp_path / "w.pt"))
    assert message.endswith("weights are written as .safetensors\n  hint: --out w.safetensors")


def test_a_place_that_cannot_be_written_is_refused_ahead_of_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refused(config(tmp_path), "--out", str(tmp_path / "file" / "w.safetensors"))
    assert f"{tmp_path}/file cannot be written\n  hint: choose another file with --out" in message


def test_a_checkpoint_of_another_training_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    (tmp_path / "w.safetensors.checkpoint").write_bytes(b"torn")
    message = refused(config(tmp_path), "--out", str(path), "--json")
    assert "w.safetensors.checkpoint: is damaged or no checkpoint" in message
    assert (tmp_path / "w.safetensors.checkpoint").read_bytes() == b"torn"
    assert not path.exists()


@pytest.mark.parametrize(
    ("find", "put", "said"),
    [
        ('"digits_cnn"', '"digit_cnn"', r"no network is called 'digit_cnn'"),
        ('"digits_cnn"', '"autoencoder"', r"autoencoder has no recipe"),
        ('"digits_cnn"', '"vgg11"', r"8x8 pixels are too few"),
        ('source = "digits"', 'source = "digit"', r"unknown data source 'digit'"),
        ("[0.305]", "[0.3, 0.3]", r"mean has 2 channels, std has 1"),
        ("lr = 0.01", "lr = 1e30", r"training diverged in epoch 1 of 6"),
        ("epochs = 6", "epochs = 0", r"model\.training\.epochs: the value should be greater"),
    ],
    ids=["model", "no recipe", "too small", "data", "mean", "diverged", "epochs"],
)
def test_a_wrong_config_is_refused_and_nothing_is_written(find: str, put: str, said: str, tmp_path: Path) -> None:
    message = refused(config(tmp_path, find, put), "--out", str(tmp_path / "w.safetensors"), "--json")
    assert said.replace("\\", "") in message
    assert not (tmp_path / "w.safetensors").exists()


def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "device 'gpu' cannot be used" in refused(config(tmp_path), "--device", "gpu", "--json")


def test_a_network_that_learned_nothing_is_warned_about(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (200, 8, 8, 1), np.uint8), np.arange(200) % 10
    np.savez(tmp_path / "noise.npz", x=x, y=y)
    path = config(tmp_path, 'source = "digits"', f'source = "{tmp_path / "noise.npz"}"')
    out = str(tmp_path / "w.safetensors")
    code, _, err, _ = train(path, "--out", out, "--epochs", "1", "--json")
    assert code == 0
    assert "warning: the backbone is right on " in " ".join(err.split())
