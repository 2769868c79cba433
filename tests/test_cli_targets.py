import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ptee_mcu import boards
from ptee_mcu.target import Target, is_unsourced
from ptee_mcu.units import show_bytes, show_hertz

ROOT = Path(__file__).parent.parent


def targets(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from ptee_mcu.cli import main; main()", "targets", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def out(*words: str) -> str:
    done = targets(*words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def row(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.split()[:1] == [name])


def shown(number: str, source: str) -> str:
    return f"{number} ?" if is_unsourced(source) else number


def test_the_list_has_a_row_per_board() -> None:
    text = out()
    assert [line.split()[0] for line in text.splitlines() if line.strip()][2:] == list(boards.names())
    assert "cortex-m4 120 2,048 KiB 640 KiB 41.8 mps2-an386" in " ".join(row(text, "nucleo_l4r5zi").split())
    assert "unknown" in row(text, "pico")
    assert "9.9 ?" in row(text, "nrf52840_dk")  # its current has no source


def test_the_list_as_json_has_every_field() -> None:
    rows: list[dict[str, Any]] = json.loads(out("--json"))
    assert [row["name"] for row in rows] == list(boards.names())
    pico = rows[boards.names().index("pico")]
    assert (pico["milliwatts"], pico["clock_hz"], pico["isa"]) == (None, 133_000_000, "scalar")
    assert "FLASH: line, wait cycles" not in pico["unsourced"]
    assert "XIP: line, wait cycles" in pico["unsourced"]


@pytest.mark.parametrize("board", [boards.load(name) for name in ("disco_f746ng", "nrf52840_dk", "pico")], ids=str)
def test_show_prints_every_number_and_its_source_and_marks_those_without(board: Target) -> None:
    text = out("show", board.name)
    for region in board.regions:
        line = row(text, region.name)
        for number in (f"{region.base:#010x}", show_bytes(region.nbytes)):
            assert shown(number, region.source) in line
        for number in (show_bytes(region.line_bytes), f"{region.wait_cycles:g}"):
            assert f" {shown(number, region.timing_source)} " in line
        assert all(holds in line for holds in region.holds)
        assert ("yes" if region.dma else "no") in line.split()
        assert line.split()[-2:] == [region.data_cache or "none", region.instruction_cache or "none"]
    for cache in board.caches:
        for number in (show_bytes(cache.nbytes), show_bytes(cache.line_bytes), str(cache.ways)):
            assert f" {shown(number, cache.source)} " in row(text, cache.name)
    assert f"clock     {shown(show_hertz(board.clock_hz), board.clock_source)}\n" in text
    for what, source in board.sources:
        assert f"  {shown(what, source)}: {source}\n" in text
    assert all(note in text for note in board.notes)
    assert "? unsourced: chosen for the reason given" in text


def test_show_says_what_runs_and_debugs_a_board() -> None:
    text = out("show", "nucleo_l4r5zi")
    assert "emulator  mps2-an386\n" in text
    assert "pyOCD: stm32l4r5zi, OpenOCD: board/st_nucleo_l4.cfg, probe-rs: STM32L4R5ZI\n" in text
    assert "console   LPUART1 PG7/PG8 115200\n" in text
    assert "energy    41.76 mW (23.2 mA at 1.8 V)\n" in text


def test_show_names_what_is_not_known() -> None:
    text = out("show", "mps2_an386")
    assert "Arm MPS2+ AN386 (mps2_an386): an emulator alone has it" in text
    assert "energy    unknown\n" in text
    assert "debuggers none known\n" in text
    assert "console   unknown\n" in text
    assert "?" not in text


@pytest.mark.parametrize("words", [("show", "pico2", "--json"), ("--json", "show", "pico2")], ids=" ".join)
def test_show_as_json_is_that_board_of_the_list(words: tuple[str, ...]) -> None:
    rows: list[dict[str, Any]] = json.loads(out("--json"))
    assert json.loads(out(*words)) == rows[boards.names().index("pico2")]


def test_the_example_of_the_docs_is_a_board(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "adding-a-target.md").read_text(encoding="utf-8")
    example = page.split("```toml\n")[1].split("```")[0]
    path = tmp_path / "mine.toml"
    path.write_text(example, encoding="utf-8")
    text = out("show", str(path))
    assert "FLASH" in text
    assert "?" in text


def test_a_board_that_is_not_there_ends_with_the_nearest_name_and_code_2() -> None:
    done = targets("show", "nrf5340")
    assert done.returncode == 2
    assert "no board is called 'nrf5340'; did you mean 'nrf5340_dk'?" in done.stderr
    assert "Traceback" not in done.stderr
