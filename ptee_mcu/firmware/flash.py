"""Programming a board, or an emulated machine, with an application of a bare project, and reading what it says."""

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ptee_mcu.errors import FirmwareError, ToolMissingError
from ptee_mcu.firmware import port, uart
from ptee_mcu.firmware.app_kind import App, Output
from ptee_mcu.firmware.apps import Bare, Emulated, for_machine
from ptee_mcu.firmware.machines import Machine
from ptee_mcu.firmware.selftest import END, SelfTest, parse
from ptee_mcu.target import Target

Command = tuple[str, ...]
# Chips whose boot ROM wants more of a flash than vectors at its start. Source: RP2040 data sheet, 2.8.1.
_BOOTS_OTHERWISE = {
    "RP2040": "its boot ROM runs a second stage with a checksum from the first 256 B of flash, which pico-sdk links",
}
_INSTALL = "pip install 'ptee-mcu[flash]'"
_LAST_LINES = 12


@dataclass(frozen=True, slots=True)
class Ways:
    """Commands that program a board with a file and run it; None where the tool has no name for the board."""

    pyocd: tuple[Command, ...] | None
    openocd: Command | None
    probe_rs: Command | None

    @property
    def others(self) -> tuple[Command, ...]:
        """Those without pyOCD."""
        return tuple(command for command in (self.openocd, self.probe_rs) if command is not None)


def ways(target: Target, elf: Path, *, timeout_s: float, uid: str | None = None, run: bool = True) -> Ways:
    """How to program `target` with `elf`; `run`: and serve its semihosting. `uid`: of the probe."""
    debug = target.debug
    if debug is None:
        return Ways(None, None, None)
    probe = ("--uid", uid) if uid else ()
    pyocd: tuple[Command, ...] | None = None
    if debug.pyocd:
        pyocd = (("pyocd", "load", "--target", debug.pyocd, *probe, str(elf)),)
        if run:
            limit = ("--timelimit", f"{timeout_s:g}")
            pyocd += (("pyocd", "run", "--target", debug.pyocd, *probe, "--eot", *limit),)
    openocd: Command | None = None
    if debug.openocd:
        last = ("-c", "arm semihosting enable", "-c", "reset run") if run else ("-c", "reset run", "-c", "exit")
        openocd = ("openocd", "-f", debug.openocd, "-c", f"program {elf} verify", *last)
    probe_rs: Command | None = None
    if debug.probe_rs:
        probe_rs = ("probe-rs", "run" if run else "download", "--chip", debug.probe_rs, str(elf))
    return Ways(pyocd, openocd, probe_rs)


def require_bootable(target: Target) -> None:
    """Refuses a board that would not start a bare project.

    Raises:
        FirmwareError: naming the reason.
    """
    chip = target.debug.probe_rs if target.debug else None
    if chip in _BOOTS_OTHERWISE:
        raise FirmwareError(
            f"{target.name}: a bare project does not start on it: {_BOOTS_OTHERWISE[chip]}",
            hint="link the library into a project of that SDK; --on qemu runs the self-test in the emulator",
        )


def require_pyocd(target: Target, found: Ways) -> tuple[Command, ...]:
    """The pyOCD commands of `found`, with the pyOCD that is installed.

    Raises:
        FirmwareError: where pyOCD has no name for the board; the hint is what to use instead.
        ToolMissingError: where pyOCD is not installed.
    """
    if found.pyocd is None:
        notes = [note for note in target.notes if "J-Link" in note]
        instead = (
            [shown(command) for command in found.others] or notes or ["the tools of its vendor, with --dry-run's ELF"]
        )
        raise FirmwareError(
            f"{target.name}: pyOCD has no name for this board", hint="instead: " + "; or: ".join(instead)
        )
    if importlib.util.find_spec("pyocd") is None:
        raise ToolMissingError("pyocd is not installed; needed for: flashing a board", hint=_INSTALL)
    return tuple((sys.executable, "-m", *command) for command in found.pyocd)


def program(target: Target, commands: Sequence[Command], *, timeout_s: float) -> str:
    """What the last of `commands` printed; each gets `timeout_s`.

    Raises:
        FirmwareError: where one fails or takes longer; the message ends with what it printed.
    """
    printed = ""
    for command in commands:
        what = " ".join(command[2:4]) if command[1] == "-m" else command[0]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise FirmwareError(
                f"{what} for {target.name} did not end within {timeout_s:g} s", hint="is the board connected and on?"
            ) from error
        if done.returncode != 0:
            lines = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:])
            name = target.debug.pyocd if target.debug else None
            raise FirmwareError(
                f"{what} for {target.name} failed with code {done.returncode}:\n{lines}",
                hint=f"connect the board; where pyOCD does not know {name}: pyocd pack install {name}",
            )
        printed = done.stdout
    return printed


def selftest_on_board(
    target: Target, elf: Path, commands: Sequence[Command], *, console: str | None, timeout_s: float
) -> SelfTest:
    """Programs the board with `elf` by `commands` and reads its answer.

    From the text that pyOCD shows, or from the serial device `console`.

    Raises:
        FirmwareError: as `program`, and where no answer comes.
    """
    if console is None:
        return parse(program(target, commands, timeout_s=timeout_s + 30), elf)
    with port.device(console) as line:
        program(target, commands, timeout_s=timeout_s + 30)
        return parse(port.read_text(line, end=END, timeout_s=timeout_s), elf)


def selftest_on_qemu(bare: Bare, machine: Machine, *, output: Output, timeout_s: float) -> tuple[SelfTest, Emulated]:
    """The self-test's answer in the emulator, with instructions in the place of cycles, and what was run there.

    Raises:
        ToolMissingError: where compiler or emulator are missing.
        FirmwareError: where it cannot be linked, ends in a fault, takes longer than `timeout_s`, or the machine has no
            UART that a driver is for.
    """
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / f"{App.SELFTEST}.elf"
        driver = uart.NONE if output is Output.SEMIHOSTING else require_uart(machine)
        made = for_machine(bare, App.SELFTEST, out, machine, output=output, uart=driver)
        with port.emulated(made.elf, machine, semihosting=output is Output.SEMIHOSTING) as line:
            found = parse(port.read_text(line, end=END, timeout_s=timeout_s), made.elf)
    cases = tuple(replace(case, cycles=port.instructions(machine, case.cycles)) for case in found.cases)
    return replace(found, cases=cases), made


def require_uart(machine: Machine) -> uart.Uart:
    """The driver for serial 0 of `machine`.

    Raises:
        FirmwareError: where there is none.
    """
    found = uart.of_machine(machine)
    if found.driver is None:
        raise FirmwareError(
            f"{machine.name}: there is no driver for its UART", hint="use --machine mps2-an386, or semihosting"
        )
    return found


def shown(command: Command) -> str:
    """`command` as one would type it."""
    return " ".join(f'"{word}"' if " " in word else word for word in command)
