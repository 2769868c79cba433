import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.programs import calling, program, traced
from support.targets import tiny_board
from typer.testing import CliRunner

from ptee_mcu import boards, cli
from ptee_mcu.cycles.cores import core_of
from ptee_mcu.cycles.price import price
from ptee_mcu.cycles.profile import profile
from ptee_mcu.errors import ConfigError, FirmwareError, PteeError
from ptee_mcu.target import Energy

BODY = calling()
SUM = """
    ldr r0, =table
    movs r1, #16
    movs r3, #0
begin:
    ldr r2, [r0], #4
    add r3, r2
    subs r1, #1
    bne begin
finish:
    bx lr
"""
TABLE = """
    .section .weights, "a", %progbits
    .balign 64
    .global table
table: .space 64, 1
"""


def run(*words: str) -> str:
    done = CliRunner().invoke(cli.app, ["profile", *words])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def printed(elf: Path, *words: str, target: str = "nucleo_l4r5zi") -> dict[str, object]:
    found: dict[str, object] = json.loads(run(str(elf), "--target", target, "--json", *words))
    return found


def test_functions_come_by_cycles_with_totals_time_and_trust(tmp_path: Path) -> None:
    board = replace(tiny_board(), energy=Energy(10.0, 3.0, None, "invented"))
    found = profile(price(traced(program(tmp_path, BODY), board), core_of("cortex-m4"), board))
    assert [(row.name, row.cycles) for row in found.functions] == [("work", 19), ("helper", 12)]
    assert found.total.cycles == 31
    assert list(found.passes) == [31]
    assert found.milliseconds == pytest.approx(31 / 1e6 * 1e3)
    assert found.microjoules == pytest.approx(30 * 31e-3)  # 30 mW
    assert "-6 to +3 %" in found.trust
    assert found.as_json()["error"] == (-6, 3)
    unknown = replace(found, error=None, microjoules=None)
    assert "not known" in unknown.trust


def test_the_command_prints_the_table_and_what_to_make_of_it(tmp_path: Path) -> None:
    words = (str(program(tmp_path, BODY)), "--target", "nucleo_l4r5zi", "--between", "begin", "finish")
    text = run(*words)
    assert "nucleo_l4r5zi: cortex-m4 at 120 MHz" in text
    assert [line.split()[0] for line in text.splitlines() if line.strip().startswith(("work", "helper", "total"))] == [
        "work", "helper", "total",
    ]  # fmt: skip
    assert "priced cycles lie -6 to +3 % from measured ones" in text
    assert "ms" in text
    assert "1 functions more: --top 0 shows all" in run(*words, "--top", "1")
    assert "2 passes" in run(
        str(tmp_path / "work.elf"), "--target", "pico", "--between", "helper", "helper", "--times", "3"
    )
    assert "energy unknown" in run(str(tmp_path / "work.elf"), "--target", "pico", "--between", "begin", "finish")


def test_json_holds_the_same_numbers_every_time(tmp_path: Path) -> None:
    elf = program(tmp_path, BODY)
    found = printed(elf, "--between", "begin", "finish")
    assert found == printed(elf, "--between", "begin", "finish")
    assert found["target"] == "nucleo_l4r5zi"
    assert found["clock_hz"] == 120_000_000
    total = found["total"]
    assert isinstance(total, dict)
    assert total["compute"] == 31
    # Lines of 8 B: begin to finish and helper, each missed once behind five wait states.
    assert total["code"] % boards.load("nucleo_l4r5zi").region("FLASH").wait_cycles == 0
    assert total["cycles"] == total["compute"] + total["code"] + total["data"]


def test_a_section_is_priced_in_the_memory_it_is_mapped_to(tmp_path: Path) -> None:
    elf = program(tmp_path, SUM, rest=TABLE)
    marks = ("--between", "begin", "finish")
    inside = printed(elf, *marks, "--map", ".weights=SRAM2")["total"]
    assert isinstance(inside, dict)
    assert inside["read"] == {"SRAM2": 64}
    assert inside["data"] == 0
    flash = printed(elf, *marks)["total"]
    assert isinstance(flash, dict)
    assert flash["read"] == {"FLASH": 64}
    assert flash["data"] == 8 * boards.load("nucleo_l4r5zi").region("FLASH").wait_cycles


def test_the_trace_can_be_kept(tmp_path: Path) -> None:
    out = tmp_path / "trace.json"
    run(str(program(tmp_path, BODY)), "--target", "pico", "--between", "begin", "finish", "--trace-out", str(out))
    kept = json.loads(out.read_text())
    assert kept["kinds"] == [2]
    assert sum(row[2] for row in kept["ran"]) == 9  # three rounds of bl, helper, subs and bne


def test_a_program_gets_its_command_line(tmp_path: Path) -> None:
    assert "main" in run(str(program(tmp_path, BODY)), "--target", "pico", "--", "some", "words")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--between", "begni", "finish"), r"has no symbol 'begni'\n  hint: did you mean begin\?"),
        (("--map", ".text"), r"--map '.text' names no section and memory\n  hint: write such as .rodata=QSPI"),
        (("--map", ".text=QSPI"), "section .text: nucleo_l4r5zi has no memory 'QSPI'"),
        (("--machine", "mps9"), "no emulated machine is called 'mps9'"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(PteeError, match=said):
        run(str(program(tmp_path, BODY)), "--target", "nucleo_l4r5zi", *words)


def test_a_board_without_an_emulator_needs_a_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    elf = program(tmp_path, BODY)
    monkeypatch.setattr(boards, "load", lambda _: replace(tiny_board(), machine=None))
    with pytest.raises(ConfigError, match=r"tiny_board has no emulator\n  hint: name one with --machine"):
        run(str(elf), "--target", "tiny")
    assert "tiny_board" in run(str(elf), "--target", "tiny", "--machine", "mps2-an386")


def test_a_file_that_is_no_program_for_arm_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no program" * 20)
    with pytest.raises(FirmwareError, match=r"notes\.txt is no ELF file"):
        run(str(tmp_path / "notes.txt"), "--target", "pico")
