"""Placement, budgets and pictures on the command line, from one short build to the next."""

import json
from pathlib import Path

import pytest
from support.cli import config, ptee
from support.tools import require

QUICK = {
    "training = { epochs = 8 }": "training = { epochs = 2 }",
    "training = { epochs = 10 }": "training = { epochs = 1 }",
}


def written(folder: Path, target: str = "", more: str = "") -> Path:
    path = config(folder)
    text = path.read_text()
    for find, put in QUICK.items():
        assert find in text
        text = text.replace(find, put)
    path.write_text(f"{text}[target]\n{target}\n{more}\n")
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("gcc", "arm-none-eabi-gcc", "qemu-system-arm", "cmsis-nn")
    folder = tmp_path_factory.mktemp("placing")
    path = written(folder, 'board = "mps2_an386"')
    words = ("--target", "nrf52840_dk", "--explain", "--out", "out", "--json")
    done = ptee("build", str(path), *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "build.json").write_text(done.stdout)
    return folder


def test_a_board_on_the_command_line_takes_the_place_of_the_configs(built: Path) -> None:
    report = json.loads((built / "build.json").read_text())
    assert report["timing"]["board"] == "nrf52840_dk"
    assert json.loads((built / "out" / "manifest.json").read_text())["target"] == "nrf52840_dk"


def test_explain_gives_a_line_per_constant(built: Path) -> None:
    head, *lines = json.loads((built / "build.json").read_text())["placement"]
    constants = json.loads((built / "out" / "manifest.json").read_text())["constants"]
    assert head.startswith("placement = auto, least mean: ")
    assert sorted({line.strip().rpartition(": ")[0].partition(": ")[0] for line in lines}) == sorted(constants)
    assert all("cycles per inference" in line for line in lines)


def test_the_closed_form_is_within_five_percent_of_the_trace(built: Path) -> None:
    timing = json.loads((built / "build.json").read_text())["timing"]
    assert timing["traced"][-1] > 0
    assert timing["full"][-1] == pytest.approx(timing["traced"][-1], rel=0.05)


def test_the_manifest_has_the_worst_cycles_of_every_exit(built: Path) -> None:
    exits = json.loads((built / "out" / "manifest.json").read_text())["exits"]
    cycles = [leave["worst_cycles"] for leave in exits]
    assert cycles == sorted(cycles)
    assert cycles[0] > 0


def test_a_build_holds_a_picture_of_its_memory_and_a_linker_script(built: Path) -> None:
    assert (built / "out" / "memory.svg").read_text().startswith("<svg")
    assert "MEMORY" in (built / "out" / "digits_ee.ld").read_text()


def test_constants_loaded_at_boot_give_the_simulators_bytes_in_the_emulator(built: Path) -> None:
    places = json.loads((built / "out" / "manifest.json").read_text())["constants"].values()
    assert "boot" in {place["how"] for place in places}
    done = ptee("compare", "out", "--on", "qemu", "--inputs", "8", "--force-exit", "all", "--json", cwd=built)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mismatched_bytes"] == 0


def test_a_build_over_its_budget_fails_with_what_would_help_and_leaves_the_old_build(built: Path) -> None:
    before = {path.name: path.read_bytes() for path in (built / "out").iterdir() if path.is_file()}
    path = written(built, 'board = "nrf52840_dk"', '[budget]\nram = "8 KiB"\nmean_ms = 0.01')
    done = ptee("build", str(path), "--out", "out", cwd=built)
    assert done.returncode == 2
    assert "digits_ee is over its budget on nrf52840_dk" in done.stderr
    assert "ram: " in done.stderr
    assert "8,192 B allowed" in done.stderr
    assert "mean_ms: " in done.stderr
    assert "hint: " in done.stderr
    assert {path.name: path.read_bytes() for path in (built / "out").iterdir() if path.is_file()} == before


BAD = {
    "a size without its unit": ('board = "pico"\nstack = 4096', "", "its unit is missing"),
    "an unknown placement": ('board = "pico"\nplacement = "sram"', "", "target.placement"),
    "an unknown board": ('board = "picoo"', "", "did you mean"),
    "a budget without its unit": ("", '[budget]\nflash = "512"', "its unit is missing"),
    "an unknown budget": ("", "[budget]\nram_kb = 5", "unknown key 'budget.ram_kb'"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_what_cannot_be_meant_is_refused_at_once(tmp_path: Path, case: tuple[str, str, str]) -> None:
    target, more, message = case
    done = ptee("build", str(written(tmp_path, target, more)), "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
