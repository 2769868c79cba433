"""The commands that program a board: targets, arguments and refusals. No board is needed."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from project.building import bare_in, built, cli, plan_for
from support.builder import small_network
from support.tools import require

from ptee_mcu import boards
from ptee_mcu.errors import ConfigError, FirmwareError, ToolMissingError
from ptee_mcu.firmware import flash
from ptee_mcu.firmware.app_kind import App, Output
from ptee_mcu.firmware.apps import for_board
from ptee_mcu.firmware.elf import read_elf
from ptee_mcu.firmware.uart import NONE, of_board
from ptee_mcu.project import Project
from ptee_mcu.target import Debug, Target

ELF = Path("app.elf")
REAL = [name for name in boards.names() if not boards.load(name).emulated_only]
PYOCD = {
    "b_l475e_iot01a": "stm32l475xg",
    "disco_f746ng": "stm32f746ng",
    "netduino_plus_2": "stm32f405rg",
    "nrf52840_dk": "nrf52840",
    "nrf5340_dk": "nrf5340_xxaa",
    "nucleo_h743zi2": "stm32h743xx",
    "nucleo_l4r5zi": "stm32l4r5zi",
    "pico": "rp2040",
    "pico2": "rp2350",
}
TEXT = """case 0 input 0 leave free exit 1 label 3 cycles 1234 PASS
counter DWT
stack 712 of 4096
result PASS 1
"""


def ways(board: str, **more: object) -> flash.Ways:
    return flash.ways(boards.load(board), ELF, timeout_s=60, **more)  # type: ignore[arg-type]


def says(text: str, code: int = 0) -> flash.Command:
    return (sys.executable, "-c", f"print({text!r}); raise SystemExit({code})")


@pytest.mark.parametrize("board", REAL)
def test_pyocd_is_called_with_the_target_of_the_board_file(board: str) -> None:
    found = ways(board).pyocd
    if board not in PYOCD:
        assert found is None
        return
    assert found == (
        ("pyocd", "load", "--target", PYOCD[board], "app.elf"),
        ("pyocd", "run", "--target", PYOCD[board], "--eot", "--timelimit", "60"),
    )


def test_a_probe_is_chosen_by_its_number() -> None:
    found = ways("nrf52840_dk", uid="0683").pyocd
    assert found is not None
    assert all(command[4:6] == ("--uid", "0683") for command in found)


def test_what_is_not_served_is_only_loaded() -> None:
    found = ways("nrf52840_dk", run=False)
    assert found.pyocd == (("pyocd", "load", "--target", "nrf52840", "app.elf"),)
    assert found.probe_rs == ("probe-rs", "download", "--chip", "nRF52840_xxAA", "app.elf")


def test_openocd_and_probe_rs_are_alternatives() -> None:
    assert [flash.shown(command) for command in ways("nucleo_f446re").others] == [
        'openocd -f board/st_nucleo_f4.cfg -c "program app.elf verify" -c "arm semihosting enable" -c "reset run"',
        "probe-rs run --chip STM32F446RE app.elf",
    ]


def test_a_board_that_no_debugger_knows_has_no_way() -> None:
    assert flash.ways(boards.load("mps2_an386"), ELF, timeout_s=1) == flash.Ways(None, None, None)


def test_a_board_that_pyocd_does_not_know_is_refused_with_what_does() -> None:
    with pytest.raises(
        FirmwareError, match=r"nucleo_f446re: pyOCD has no name.*\n  hint: instead: openocd .*; or: probe"
    ):
        flash.require_pyocd(boards.load("nucleo_f446re"), ways("nucleo_f446re"))
    with pytest.raises(FirmwareError, match=r"hint: instead: J-Link calls the chip AMAP42KK-KBR"):
        flash.require_pyocd(boards.load("apollo4_plus_evb"), ways("apollo4_plus_evb"))


def test_a_missing_pyocd_is_told_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ToolMissingError, match=r"pyocd is not installed.*\n  hint: pip install 'ptee-mcu\[flash\]'"):
        flash.require_pyocd(boards.load("nrf52840_dk"), ways("nrf52840_dk"))


def test_a_chip_whose_rom_wants_more_is_refused() -> None:
    with pytest.raises(FirmwareError, match="pico: a bare project does not start on it: its boot ROM"):
        flash.require_bootable(boards.load("pico"))
    for board in set(REAL) - {"pico"}:
        flash.require_bootable(boards.load(board))


def test_a_command_that_fails_says_what_it_printed() -> None:
    target = boards.load("nucleo_h743zi2")
    with pytest.raises(
        FirmwareError, match=r"with code 3:\nNo available debug probes\n  hint: .*pack install stm32h743xx"
    ):
        flash.program(target, [says("No available debug probes", 3)], timeout_s=20)
    with pytest.raises(FirmwareError, match=r"did not end within 0\.5 s"):
        flash.program(target, [(sys.executable, "-c", "import time; time.sleep(60)")], timeout_s=0.5)


def test_the_answer_is_what_the_last_command_prints() -> None:
    target = boards.load("nrf52840_dk")
    found = flash.selftest_on_board(target, ELF, [says("loaded"), says(TEXT)], console=None, timeout_s=20)
    assert (found.passed, found.counter, found.cases[0].cycles) == (True, "DWT", 1234)


@pytest.mark.parametrize(
    ("board", "first"),
    [
        ("nucleo_h743zi2", "pyocd load --target stm32h743xx"),
        ("netduino_plus_2", "pyocd load --target stm32f405rg"),
    ],
)
def test_a_dry_run_prints_and_builds_nothing(board: str, first: str, tmp_path: Path) -> None:
    project = built(plan_for(small_network(), board), tmp_path / "out")
    done = cli("flash", str(project.folder), "--board", board, "--dry-run")
    assert (done.exit_code, done.error) == (0, None)
    lines = done.stdout.splitlines()
    assert lines[0].startswith(first)
    assert [line.split()[0] for line in lines] == ["pyocd", "pyocd", "openocd", "probe-rs"]
    assert not (project.folder / "bare" / "build").exists()


def test_a_dry_run_of_a_board_without_pyocd_prints_the_others_and_is_refused(tmp_path: Path) -> None:
    project = built(plan_for(small_network(), "nucleo_f446re"), tmp_path / "out")
    done = cli("flash", str(project.folder), "--dry-run")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["openocd", "probe-rs"]
    assert isinstance(done.error, FirmwareError)


def test_another_board_than_the_one_built_for_is_refused(on_m4: Project) -> None:
    done = cli("flash", str(on_m4.folder), "--board", "nrf52840_dk", "--on", "qemu")
    assert isinstance(done.error, ConfigError)
    assert "was built for mps2_an386, not for nrf52840_dk" in str(done.error)


def test_an_emulator_is_not_flashed_with_measure(on_m4: Project) -> None:
    done = cli("flash", str(on_m4.folder), "--on", "qemu", "--app", "measure")
    assert isinstance(done.error, ConfigError)
    assert "ptee-mcu measure" in str(done.error)


def test_a_board_that_does_not_exist_is_refused(on_m4: Project) -> None:
    done = cli("flash", str(on_m4.folder), "--board", "nrf52841_dk")
    assert isinstance(done.error, ConfigError)
    assert "no board is called 'nrf52841_dk'" in str(done.error)


@pytest.mark.parametrize(
    ("machine", "ran"),
    [
        ((), "mps2-an386: the board's program with its memories moved"),
        (("--machine", "netduinoplus2"), "netduinoplus2: the board's own program"),
    ],
)
def test_the_netduino_runs_on_its_core_or_with_its_own_memory_map(
    machine: tuple[str, ...], ran: str, on_netduino: Project
) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    done = cli("flash", str(on_netduino.folder), "--on", "qemu", *machine)
    assert (done.exit_code, done.error) == (0, None)
    assert f"PASS on {ran}" in done.stdout


def test_the_uart_of_a_board_needs_a_device_to_read(on_netduino: Project) -> None:
    done = cli("flash", str(on_netduino.folder), "--over", "uart")
    assert isinstance(done.error, ConfigError)
    assert "--port /dev/ttyACM0" in str(done.error)


@pytest.mark.parametrize("board", REAL)
def test_the_self_test_links_for_every_board(board: str, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc")
    target = boards.load(board)
    project = built(plan_for(small_network(), board), tmp_path / "out")
    out = tmp_path / "a.elf"
    elf = read_elf(for_board(bare_in(project), App.SELFTEST, out, output=Output.UART, uart=of_board(target)))
    code, ram = target.code_region, target.main_ram
    vectors = next(section for section in elf.sections if section.name == ".text")
    assert vectors.address == code.base
    stack = next(section for section in elf.sections if section.name == ".stack")
    assert ram.base <= stack.address < stack.address + stack.nbytes <= ram.end
    assert not {"malloc", "free", "_sbrk", "printf", "__aeabi_fadd", "__aeabi_dadd"} & {s.name for s in elf.symbols}


def test_the_vectors_are_the_stack_and_the_handlers(on_m4: Project, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc")
    elf = for_board(bare_in(on_m4), App.SELFTEST, tmp_path / "a.elf", output=Output.SEMIHOSTING, uart=NONE)
    address = {symbol.name: symbol.address for symbol in read_elf(elf).symbols}
    words = first_words(elf, 16)
    assert words[0] == address["ptee_stack_top"]
    assert words[1] == address["Reset_Handler"] | 1
    assert words[15] == address["SysTick_Handler"] | 1
    assert set(words[2:15]) == {address["Fault_Handler"] | 1}


def test_the_rp2350_finds_its_image_definition(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc")
    project = built(plan_for(small_network(), "pico2"), tmp_path / "out")
    elf = for_board(bare_in(project), App.SELFTEST, tmp_path / "a.elf", output=Output.SEMIHOSTING, uart=NONE)
    assert first_words(elf, 21)[16:] == [0xFFFFDED3, 0x10210142, 0x1FF, 0, 0xAB123579]


def first_words(elf: Path, count: int) -> list[int]:
    """Of the section .text, from the file itself."""
    raw = elf.read_bytes()
    start, entry, headers = (int.from_bytes(raw[at : at + n], "little") for at, n in ((32, 4), (46, 2), (48, 2)))
    code = read_elf(elf)
    base = next(section.address for section in code.sections if section.name == ".text")
    for i in range(headers):
        header = raw[start + i * entry : start + (i + 1) * entry]
        address, offset = (int.from_bytes(header[at : at + 4], "little") for at in (12, 16))
        if address == base and int.from_bytes(header[4:8], "little") == 1:
            return [int.from_bytes(raw[offset + 4 * k : offset + 4 * k + 4], "little") for k in range(count)]
    raise AssertionError("no .text")


def without_driver(target: Target) -> Target:
    return replace(target, name="mine", debug=Debug("stm32f405rg", None, None, None, "invented"))


def test_a_board_without_a_driver_is_told_what_to_write(tmp_path: Path) -> None:
    plan = plan_for(small_network(), "nrf52840_dk")
    project = built(replace(plan, target=without_driver(plan.target)), tmp_path / "out")
    from ptee_mcu.cli_flash import _console  # noqa: PLC0415 - what the command asks, without pyOCD

    with pytest.raises(FirmwareError, match=r"mine: there is no UART driver.*\n.*OUT/bare/board\.c"):
        _console(bare_in(project), served=False)
    assert _console(bare_in(project), served=True) == NONE
    (project.folder / "bare" / "board.c").write_text("/* mine */\n")
    assert _console(bare_in(project), served=False) == NONE
