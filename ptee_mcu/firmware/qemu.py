"""One run of a firmware in qemu-system-arm, through semihosting."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import memory, tools
from ptee_mcu.firmware.machines import Machine

FAULT_EXIT = 86  # PTEE_FAULT_EXIT of startup.h
_LAST_LINES = 12


@dataclass(frozen=True, slots=True)
class Plugin:
    """A QEMU plugin and its arguments (key=value)."""

    path: Path
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QemuResult:
    """How a firmware ended and what it printed."""

    exit_code: int
    stdout: str


def run(
    elf: Path, machine: Machine, *, words: Sequence[str] = (), timeout_s: float, cwd: Path, plugin: Plugin | None = None
) -> QemuResult:
    """Runs `elf` with `words` as its command line; it opens files relative to `cwd`.

    Raises:
        ToolMissingError: where qemu-system-arm is not installed.
        FirmwareError: on a processor fault, a timeout, or where QEMU itself fails; the message ends with what was
            printed last.
    """
    if any(" " in word or "," in word for word in words):
        raise FirmwareError(f"command line {words}: a word of it holds a space or a comma", hint="use plain file names")
    command = [str(tools.find("qemu-system-arm").path), "-M", machine.name, "-kernel", str(elf.resolve())]
    command += ["-display", "none", "-monitor", "none", "-serial", "none", "-chardev", "stdio,id=sh"]
    arguments = "".join(f",arg={word}" for word in (elf.name.replace(",", "_"), *words))
    command += ["-semihosting-config", f"enable=on,target=native,chardev=sh{arguments}"]
    if plugin is not None:
        command += ["-plugin", ",".join((str(plugin.path), *plugin.arguments))]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, cwd=cwd, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FirmwareError(
            f"{elf.name} on {machine.name} did not end within {timeout_s:g} s{_last(error.stdout, error.stderr)}",
            hint="raise the time limit, or look for an endless loop",
        ) from error
    printed = done.stdout.decode(errors="replace")
    if done.returncode == FAULT_EXIT:
        raise FirmwareError(
            f"{elf.name} on {machine.name} ended in a processor fault{_place(elf, printed)}"
            f"{_last(done.stdout, done.stderr)}"
        )
    if done.returncode < 0 or (done.returncode != 0 and done.stderr.strip()):
        raise FirmwareError(
            f"qemu-system-arm failed on {elf.name} for {machine.name} with code {done.returncode}"
            f"{_last(done.stdout, done.stderr)}"
        )
    return QemuResult(done.returncode, printed)


def _place(elf: Path, printed: str) -> str:
    match = re.search(r"pc 0x([0-9a-f]{8})", printed)
    address = int(match.group(1), 16) if match else -1
    inside = [s.name for s in memory.symbols(elf) if s.address <= address < s.address + s.nbytes]
    return f" in {inside[0]}" if inside else ""


def _last(*streams: bytes | None) -> str:
    text = "".join((stream or b"").decode(errors="replace") for stream in streams)
    lines = text.strip().splitlines()[-_LAST_LINES:]
    return "; it printed last:\n" + "\n".join(lines) if lines else "; it printed nothing"
