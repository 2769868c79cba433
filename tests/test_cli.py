import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.cli import config, facts, ptee
from support.tools import require

from ptee_mcu.artifacts import MANIFEST


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("gcc", "cmsis-nn")
    folder = tmp_path_factory.mktemp("cli")
    done = ptee("build", str(config(folder)), "--out", "out", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "build.json").write_text(done.stdout)
    return folder


def test_build_writes_a_project_and_reports_it(built: Path) -> None:
    report = json.loads((built / "build.json").read_text())
    names = {path.name for path in (built / "out").iterdir()}
    assert {
        "digits_ee.h",
        "digits_ee.c",
        "digits_ee_weights.c",
        MANIFEST,
        "report.json",
        "plan.json",
        "plan.npz",
    } <= names
    assert json.loads((built / "out" / "report.json").read_text()) == report
    assert [row["after"] for row in report["rows"]] == ["block1", "block2", None]
    assert sum(row["share"] for row in report["rows"]) == pytest.approx(1)
    assert report["rows"][-1]["macs"] > report["backbone_macs"]
    assert report["baseline"]["float_accuracy"] > 0.9


def test_two_builds_are_byte_identical(built: Path) -> None:
    done = ptee("build", str(built / "build.toml"), "--out", "again", cwd=built)
    assert done.returncode == 0, done.stderr
    first, second = built / "out", built / "again"
    files = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(second) for p in second.rglob("*") if p.is_file())
    assert [f for f in files if (first / f).read_bytes() != (second / f).read_bytes()] == []
    assert str(built) not in (first / MANIFEST).read_text()


@pytest.mark.parametrize("force", [[], ["--force-exit", "0"], ["--force-exit", "2"], ["--force-exit", "all"]])
def test_compare_finds_no_difference_on_the_host(built: Path, force: list[str]) -> None:
    result = facts(ptee("compare", "out", "--on", "host", "--inputs", "40", "--json", *force, cwd=built))
    assert result["inputs"] == 40
    assert result["bytes_compared"] > 40 * 1000
    assert (result["mismatched_bytes"], result["mismatched_exits"], result["first_mismatch"]) == (0, 0, None)


def test_compare_finds_no_difference_in_the_emulator(built: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    words = ("compare", "out", "--on", "host", "--on", "qemu", "--inputs", "40", "--force-exit", "all", "--json")
    result = facts(ptee(*words, cwd=built))
    assert result["places"] == ["host", "qemu"]
    assert (result["mismatched_bytes"], result["mismatched_exits"]) == (0, 0)


def test_compare_names_the_op_whose_weights_differ_and_exits_with_1(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built / "out", tmp_path / "out")
    weights = tmp_path / "out" / "digits_ee_weights.c"
    text = weights.read_text()
    spoilt = re.sub(
        r"(const int8_t \w*block2_conv1\w*\[\d+\] = \{\s*)(-?\d+)", lambda m: m[1] + str((int(m[2]) + 60) % 120), text
    )
    assert spoilt != text
    weights.write_text(spoilt)
    done = ptee("compare", "out", "--inputs", "10", "--force-exit", "all", "--json", cwd=tmp_path)
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert result["mismatched_bytes"] > 0
    assert "block2.conv1" in result["first_mismatch"]


def test_sim_and_the_host_answer_alike(built: Path) -> None:
    simulated = facts(ptee("sim", "out", "--json", cwd=built))
    ran = facts(ptee("run", "out", "--on", "host", "--json", cwd=built))
    assert [row["share"] for row in simulated["rows"]] == [row["share"] for row in ran["rows"]]
    assert simulated["accuracy"] == ran["accuracy"]
    assert simulated["cost"] == json.loads((built / "build.json").read_text())["cost"]


def test_the_emulator_counts_instructions(built: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    report = facts(ptee("run", "out", "--on", "qemu", "--inputs", "30", "--json", cwd=built))
    counted = [row["instructions"] for row in report["rows"] if row["instructions"]]
    assert counted
    assert counted == sorted(counted)


def test_tables_are_for_people(built: Path) -> None:
    done = ptee("sim", "out", "--inputs", "20", cwd=built)
    assert "20 images, report split of digits" in done.stdout
    assert "every evaluated head charged" in done.stdout


BAD = {
    "a misspelled key": (
        ("epochs = 8", "epoch = 8"),
        r"unknown key 'model.training.epoch'; did you mean 'epochs'\?",
    ),
    "an unknown model": (
        ("digits_cnn", "digit_cnn"),
        r"no network is called 'digit_cnn'[\s\S]*did you mean 'digits_cnn'",
    ),
    "an unknown block": (("block2", "blok2"), r"has no block 'blok2'[\s\S]*did you mean 'block2'"),
    "an unknown board": (
        ("[build]", '[target]\nboard = "mps2"\n[build]'),
        r"no board is called 'mps2'[\s\S]*mps2_an386",
    ),
    "missing weights": (
        ("training = { epochs = 8 }", 'weights = "gone.pt"'),
        r"model.weights: no such file: .*gone\.pt",
    ),
    "an unknown source": (('"digits"', '"digitz"'), r"unknown data source 'digitz'"),
    "mean for other channels": (("[0.305]", "[0.3, 0.3]"), r"mean has 2 channels, std has 1"),
    "no data folder": (('"digits"', '"cifar10"'), r"no data folder"),
    "more exits than places": (
        ('placement = "names"\nat = ["block1", "block2"]', 'placement = "fine"\ncount = 9'),
        r"9 exits do not fit: Fine finds \d places",
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_a_users_mistake_ends_with_its_message_and_code_2(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    done = ptee("build", str(config(tmp_path, *change)), "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_failing_build_leaves_the_earlier_one_whole(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built / "out", tmp_path / "out")
    before = (tmp_path / "out" / MANIFEST).read_bytes()
    done = ptee("build", str(config(tmp_path, "block2", "blok2")), "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert (tmp_path / "out" / MANIFEST).read_bytes() == before


def test_a_folder_that_is_no_build_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    done = ptee("build", str(config(tmp_path)), "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert "holds no manifest.json of an earlier build" in done.stderr
    assert (tmp_path / "out" / "thesis.txt").read_text() == "precious"


def test_a_data_set_with_nan_is_refused(tmp_path: Path) -> None:
    x = np.full((50, 8, 8, 1), np.nan, dtype=np.float32)
    np.savez(tmp_path / "mine.npz", x=x, y=np.zeros(50, dtype=np.int64))
    done = ptee("build", str(config(tmp_path, '"digits"', '"mine.npz"')), "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert "NaN or infinite" in done.stderr


def test_a_folder_without_a_build_says_which_file_is_missing(tmp_path: Path) -> None:
    done = ptee("sim", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 2
    assert "holds no build: plan.json is missing" in done.stderr


def test_a_damaged_plan_is_refused(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built / "out", tmp_path / "out")
    (tmp_path / "out" / "plan.npz").write_bytes(b"not a zip")
    done = ptee("sim", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert re.search(r"plan\.npz is damaged", done.stderr)


def test_an_exit_that_does_not_exist_is_refused(built: Path) -> None:
    done = ptee("compare", "out", "--force-exit", "7", cwd=built)
    assert done.returncode == 2
    assert "digits_ee has exits 0 to 2" in done.stderr


def test_targets_and_doctor_list_what_is_there(tmp_path: Path) -> None:
    boards = facts(ptee("targets", "--json", cwd=tmp_path))
    assert "mps2_an386" in [board["name"] for board in boards]
    tools = facts(ptee("doctor", "--json", cwd=tmp_path))
    assert {"gcc", "qemu-system-arm", "torch"} <= {tool["name"] for tool in tools}


def test_help_names_every_command(tmp_path: Path) -> None:
    done = ptee("--help", cwd=tmp_path)
    assert all(command in done.stdout for command in ("build", "sim", "run", "compare", "targets", "doctor"))
