"""A build that searches for its exits and fits them anew, and one that is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.cli import ROOT, facts, ptee
from support.tools import require

CONFIG = """
[model]
name = "digits_cnn"
training = { epochs = 8 }
[data]
source = "digits"
mean = [0.305]
std = [0.376]
[exits]
placement = "search"
head = "pooled"
refit = true
cascade = true
training = { epochs = 6 }
max_disagreement = ["3%", "10%"]
mean_cost = 0.7
[quantize]
images = 60
[build]
name = "digits_search"
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("gcc", "cmsis-nn")
    folder = tmp_path_factory.mktemp("search")
    (folder / "build.toml").write_text(CONFIG)
    done = ptee("build", "build.toml", "--out", "out", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "build.json").write_text(done.stdout)
    return folder


def test_a_search_keeps_some_exits_and_every_ask_becomes_a_point(built: Path) -> None:
    report = json.loads((built / "build.json").read_text())
    assert 1 <= len(report["rows"]) - 1 <= 3
    names = [point["name"] for point in report["points"]]
    assert names == ["max_disagreement_3pct", "max_disagreement_10pct", "mean_cost_0p7"]
    assert [point["default"] for point in report["points"]] == [True, False, False]
    first, second, third = report["points"]
    assert second["cost"] <= first["cost"]
    assert third["cost"] < 0.75
    assert report["reliability"]
    firing = [row for row in report["rows"] if row["share"] > 0]
    assert all(row["nominal"] <= row["macs"] / report["backbone_macs"] + 1e-12 for row in firing)


@pytest.mark.parametrize("point", ["0", "max_disagreement_10pct", "mean_cost_0p7"])
def test_every_point_of_the_build_answers_as_simulated(built: Path, point: str) -> None:
    words = ("compare", "out", "--on", "host", "--inputs", "60", "--operating-point", point, "--json")
    result = facts(ptee(*words, cwd=built))
    assert (result["mismatched_bytes"], result["mismatched_exits"]) == (0, 0)


def test_nothing_but_the_build_is_left_behind(built: Path) -> None:
    assert sorted(path.name for path in built.iterdir()) == ["build.json", "build.toml", "out"]


def test_asks_of_the_command_line_replace_those_of_the_config(built: Path) -> None:
    words = ("build", "build.toml", "--out", "asked", "--max-drop", "8pp", "--delta", "0.2", "--json")
    report = facts(ptee(*words, "--work", "kept", cwd=built))
    assert [(p["quantity"], p["asked"], p["delta"]) for p in report["points"]] == [("drop", 0.08, 0.2)]
    assert list((built / "kept").glob("heads-*.checkpoint"))


def test_a_build_killed_while_it_trains_goes_on_and_writes_the_same_bytes(built: Path, tmp_path: Path) -> None:
    (tmp_path / "build.toml").write_text(CONFIG)
    command = [sys.executable, "-c", "from ptee_mcu.cli import main; main()", "build", "build.toml", "--out", "out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    work = tmp_path / ".out.work"
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as running:
        while running.poll() is None and not list(work.glob("heads-*.checkpoint")):
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
    assert work.is_dir()
    assert not (tmp_path / "out").exists()
    done = ptee("build", "build.toml", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for path in (built / "out").rglob("*"):
        if path.is_file():
            assert (tmp_path / "out" / path.relative_to(built / "out")).read_bytes() == path.read_bytes(), path.name


def test_without_certificate_small_data_gets_thresholds_and_the_report_says_what_they_are_worth(built: Path) -> None:
    text = CONFIG.replace(
        'max_disagreement = ["3%", "10%"]\nmean_cost = 0.7', 'max_disagreement = "1%"\ncertify = false'
    )
    text = text.replace('placement = "search"', 'placement = "names"\nat = ["block1", "block2"]').replace(
        "refit = true", ""
    )
    (built / "loose.toml").write_text(text)
    report = facts(ptee("build", "loose.toml", "--out", "loose", "--json", cwd=built))
    [point] = report["points"]
    assert not point["certified"]
    assert "uncertified" in point["note"]
    (built / "loose.toml").unlink()


def test_a_device_that_is_not_there_is_named(built: Path) -> None:
    done = ptee("build", "build.toml", "--out", "no", "--device", "cuda:7", cwd=built)
    assert done.returncode == 2
    assert "device 'cuda:7' cannot be used" in done.stderr
    assert not (built / "no").exists()


def test_a_mean_of_cycles_is_kept_in_the_emulator(built: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    report = facts(ptee("build", "build.toml", "--out", "cycles", "--mean-cycles", "1.3e6", "--json", cwd=built))
    [point] = report["points"]
    assert (point["quantity"], point["asked"], point["delta"]) == ("mean_cycles", 1.3e6, 0.05)
    assert report["mean_instructions"] < 1.3e6 < report["rows"][-1]["instructions"]
