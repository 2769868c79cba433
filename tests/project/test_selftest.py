"""The self-test in the emulator: it passes where all is right, and says what is not."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from project.building import balanced, bare_in, built, cli, plan_for
from support.builder import Builder
from support.placed import MODES, placed
from support.tools import require

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware.app_kind import App, Output
from ptee_mcu.firmware.apps import for_board
from ptee_mcu.firmware.elf import read_elf
from ptee_mcu.firmware.flash import selftest_on_qemu
from ptee_mcu.firmware.machines import machine
from ptee_mcu.firmware.selftest import parse
from ptee_mcu.firmware.uart import NONE
from ptee_mcu.project import Project

# board, machine, whether the machine runs to the last bit what the board would be given
PLACES = [
    ("mps2_an385", "mps2-an385", True),
    ("mps2_an386", "mps2-an386", True),
    ("mps2_an500", "mps2-an500", True),
    ("mps2_an505", "mps2-an505", True),
    ("mps3_an547", "mps3-an547", True),
    ("netduino_plus_2", "netduinoplus2", True),
    ("netduino_plus_2", "mps2-an386", False),
    ("nucleo_h743zi2", "mps2-an500", False),
    ("nrf5340_dk", "mps2-an505", False),
    ("pico", "mps2-an385", False),
    ("pico", "microbit", False),
    ("pico2", "mps2-an505", False),
    ("alif_e7", "mps3-an547", False),
]


@pytest.fixture(autouse=True)
def _tools() -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm", "cmsis-nn")


def on_qemu(project: Project, name: str, output: Output = Output.SEMIHOSTING, timeout_s: float = 30):  # noqa: ANN201
    return selftest_on_qemu(bare_in(project), machine(name), output=output, timeout_s=timeout_s)


def copied(project: Project, folder: Path) -> Project:
    shutil.copytree(project.folder, folder)
    return replace(project, folder=folder)


def changed(path: Path, pattern: str, to: str) -> None:
    text, count = re.subn(pattern, to, path.read_text(encoding="utf-8"), count=1)
    assert count == 1
    path.write_text(text, encoding="utf-8")


def at_start(project: Project, body: str) -> None:
    """Puts `body` into board_init."""
    path = project.folder / "bare" / "startup.c"
    text = path.read_text(encoding="utf-8")
    assert "void board_init(void)\n{\n}" in text
    path.write_text(text.replace("void board_init(void)\n{\n}", f"void board_init(void)\n{{\n{body}\n}}"))


@pytest.mark.parametrize(("board", "emulator", "same"), PLACES, ids=[f"{b}-{m}" for b, m, _ in PLACES])
def test_every_exit_gives_the_simulators_bytes(board: str, emulator: str, *, same: bool, tmp_path: Path) -> None:
    found, made = on_qemu(built(plan_for(balanced(), board), tmp_path / "out"), emulator)
    assert (found.passed, found.faults, made.same) == (True, (), same)
    assert [(case.leave, case.exit) for case in found.cases] == [(0, 0), (1, 1), (None, 0), (None, 1)]
    assert 0 < found.stack_used < found.stack_bytes
    # QEMU's DWT stands still, and microbit's core has none that counts.
    assert found.counter == "SysTick"
    assert all(case.cycles > 0 for case in found.cases)


def test_pixels_go_through_the_table_on_the_chip(tmp_path: Path) -> None:
    project = built(plan_for(balanced(preprocess=True), "mps2_an386"), tmp_path / "out")
    assert "small_input_u8(&network, golden->input)" in (project.folder / "bare" / "selftest.c").read_text()
    assert on_qemu(project, "mps2-an386")[0].passed


@pytest.mark.parametrize("mode", ["boot to TCM", "staged", "mixed"])
def test_constants_in_other_memories_are_where_the_network_reads_them(mode: str, tmp_path: Path) -> None:
    found, made = on_qemu(built(placed(balanced(), MODES[mode]), tmp_path / "out"), "mps2-an386")
    assert found.passed
    assert not made.same


def test_a_network_without_early_exits_has_a_self_test(tmp_path: Path) -> None:
    b = Builder((1, 12))
    b.exit("final", b.linear("input", 6), final=True)
    found, _ = on_qemu(built(plan_for(b.graph("plain"), "mps2_an386"), tmp_path / "out"), "mps2-an386")
    assert found.passed
    assert [(case.leave, case.exit) for case in found.cases] == [(0, 0), (None, 0)]


@pytest.mark.parametrize("place", ["mps2-an386", "netduinoplus2"])
def test_the_uart_says_what_semihosting_says(place: str, on_m4: Project, on_netduino: Project) -> None:
    project = on_m4 if place == "mps2-an386" else on_netduino
    said = [on_qemu(project, place, output)[0] for output in Output]
    first, second = ([replace(case, cycles=0) for case in each.cases] for each in said)
    assert first == second
    assert said[1].passed


def test_a_wrong_golden_byte_fails_with_its_case(on_m4: Project, tmp_path: Path) -> None:
    project = copied(on_m4, tmp_path / "out")
    changed(project.folder / "bare" / "golden.c", r"(\.logits = \{)-?\d+", r"\g<1>-77")
    found, _ = on_qemu(project, "mps2-an386")
    assert not found.passed
    assert len(found.faults) == 1
    assert re.fullmatch(r"case 0, input 0, made to leave at exit 0: logit 0 is -?\d+, expected -77", found.faults[0])
    done = cli("flash", str(project.folder), "--on", "qemu")
    assert done.exit_code == 1
    assert f"FAIL on mps2-an386: the board's own program\n  {found.faults[0]}" in done.stdout


def test_a_damaged_weight_fails(on_m4: Project, tmp_path: Path) -> None:
    project = copied(on_m4, tmp_path / "out")
    changed(project.folder / "small_weights.c", r"(stem_conv_weights\[\w*\] = \{\s*)-?\d+", r"\g<1>99")
    found, _ = on_qemu(project, "mps2-an386")
    assert not found.passed
    assert found.faults


def test_a_wrong_exit_is_named(on_m4: Project, tmp_path: Path) -> None:
    project = copied(on_m4, tmp_path / "out")
    changed(project.folder / "bare" / "golden.c", r"\.exit = 1", ".exit = 7")
    assert "exit is 1, expected 7" in on_qemu(project, "mps2-an386")[0].faults[0]


def test_a_stack_that_is_used_up_fails(on_m4: Project, tmp_path: Path) -> None:
    project = copied(on_m4, tmp_path / "out")
    used = on_qemu(project, "mps2-an386")[0].stack_used
    changed(project.folder / "small.ld", r"ptee_stack_bytes = \d+", f"ptee_stack_bytes = {used // 8 * 8}")
    found, _ = on_qemu(project, "mps2-an386")
    assert not found.passed
    assert found.faults[-1] == f"the stack of {used // 8 * 8} B was used up"


def test_a_fault_is_reported_as_one(on_m4: Project, tmp_path: Path) -> None:
    project = copied(on_m4, tmp_path / "out")
    at_start(project, '__asm__ volatile("udf #0");')
    with pytest.raises(FirmwareError, match=r"ended in a processor fault in board_init"):
        on_qemu(project, "mps2-an386")


@pytest.mark.parametrize("output", Output)
def test_one_that_never_ends_is_a_timeout(output: Output, on_m4: Project, tmp_path: Path) -> None:
    project = copied(on_m4, tmp_path / "out")
    at_start(project, "for (;;) { }")
    with pytest.raises(FirmwareError, match="no end of text within 1 s; it said nothing"):
        on_qemu(project, "mps2-an386", output, timeout_s=1)


def test_a_text_without_a_result_is_no_answer() -> None:
    with pytest.raises(FirmwareError, match=r"did not come to its end; it printed last:\nselftest x\ncounter DWT"):
        parse("selftest x\ncounter DWT\n", Path())
    with pytest.raises(FirmwareError, match="it printed nothing"):
        parse("", Path())


def test_an_emulator_that_gives_up_is_told(on_m4: Project, tmp_path: Path) -> None:
    project = copied(on_m4, tmp_path / "out")
    at_start(project, '__asm__ volatile("movs r0, #0\\n mov sp, r0\\n udf #0");')
    with pytest.raises(
        FirmwareError, match=r"the other end closed it; it said nothing; QEMU said: qemu: fatal: Lockup"
    ):
        on_qemu(project, "mps2-an386")


def test_a_failed_init_is_told() -> None:
    found = parse("counter DWT\ninit FAIL the arena is too small\nstack 8 of 80\nresult FAIL 1\n", Path())
    assert (found.passed, found.faults) == (False, ("init: the arena is too small",))


def test_a_machine_without_a_driver_is_refused(on_m4: Project) -> None:
    with pytest.raises(FirmwareError, match="microbit: there is no driver for its UART"):
        on_qemu(on_m4, "microbit", Output.UART)


def test_what_is_written_for_the_board_is_left_out_in_the_emulator(on_netduino: Project, tmp_path: Path) -> None:
    project = copied(on_netduino, tmp_path / "out")
    text = '#include "board.h"\nvoid board_init(void) { *(volatile uint32_t *)0xA0000000u = 1u; }\n'
    (project.folder / "bare" / "board.c").write_text(text)
    assert on_qemu(project, "netduinoplus2")[0].passed
    elf = for_board(bare_in(project), App.SELFTEST, tmp_path / "a.elf", output=Output.SEMIHOSTING, uart=NONE)
    assert next(s.nbytes for s in read_elf(elf).symbols if s.name == "board_init") > 4


def test_a_build_without_a_bare_project_is_given_one(tmp_path: Path) -> None:
    project = built(plan_for(balanced(), "mps2_an386"), tmp_path / "out", bare=False)
    done = cli("flash", str(project.folder), "--on", "qemu", "--json")
    assert done.exit_code == 0, done
    facts = json.loads(done.stdout)
    assert (facts["passed"], facts["emulated"], len(facts["cases"])) == (True, True, 4)
    assert not (project.folder / "bare").exists()


def test_a_missing_file_is_named(on_m4: Project, tmp_path: Path) -> None:
    project = copied(on_m4, tmp_path / "out")
    (project.folder / "bare" / "cycles.c").unlink()
    with pytest.raises(FirmwareError, match=r"cycles\.c is missing in .*: no bare project of 'small'"):
        on_qemu(project, "mps2-an386")
