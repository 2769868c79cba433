"""The host's end of a UART: a serial device or an emulated machine's, as bytes with a deadline.

Both are file descriptors, so that one class serves them; a serial device needs nothing but the terminal settings that
Python's termios has, so that no package for it is needed.
"""

import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import tools
from ptee_mcu.firmware.machines import Machine

BAUD = 115_200  # BOARD_BAUD of board.h
_CHUNK = 4096
_LAST_LINES = 5
_NO_END = "raise --timeout, reset the board, check speed and pins, or look for an endless loop"
_SHIFT = 3  # an emulated instruction takes 2^3 ns


class ClosedError(FirmwareError):
    """The other end is gone."""


class Port(Protocol):
    """Bytes in and out."""

    def write(self, data: bytes) -> None:
        """Sends all of `data`."""

    def read(self, most: int, timeout_s: float) -> bytes:
        """What has come, up to `most` bytes; empty where nothing came for `timeout_s`."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A port over an open file descriptor; `name` is for messages."""

    fd: int
    name: str

    def write(self, data: bytes) -> None:
        """Sends all of `data`.

        Raises:
            ClosedError: where the other end is gone.
        """
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self.fd, rest[:_CHUNK]) :]
        except OSError as error:
            raise ClosedError(f"{self.name}: cannot be written: {error.strerror}") from error

    def read(self, most: int, timeout_s: float) -> bytes:
        """What has come, up to `most` bytes; empty where nothing came for `timeout_s`.

        Raises:
            ClosedError: where the other end is gone.
        """
        if not select.select([self.fd], [], [], timeout_s)[0]:
            return b""
        try:
            came = os.read(self.fd, most)
        except OSError as error:
            raise ClosedError(f"{self.name}: cannot be read: {error.strerror}") from error
        if not came:
            raise ClosedError(f"{self.name}: the other end closed it")
        return came


@contextmanager
def device(path: str, *, baud: int = BAUD) -> Iterator[Descriptor]:
    """The serial device at `path`, 8 data bits, no parity, 1 stop bit, no flow control.

    Raises:
        FirmwareError: where it cannot be opened, is no serial device, or the system has no termios.
    """
    if sys.platform == "win32":
        raise FirmwareError(f"{path}: serial devices need termios, which Windows lacks", hint="use WSL with usbipd")
    import termios  # noqa: PLC0415 - not on every system

    try:
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    except OSError as error:
        raise FirmwareError(
            f"{path}: cannot be opened: {error.strerror}", hint="name the console, such as /dev/ttyACM0"
        ) from error
    try:
        try:
            settings = termios.tcgetattr(fd)
        except termios.error as error:
            raise FirmwareError(
                f"{path}: is no serial device", hint="name the console, such as /dev/ttyACM0"
            ) from error
        speed = getattr(termios, f"B{baud}", None)
        if speed is None:
            raise FirmwareError(f"{path}: {baud} baud is no speed of this system", hint=f"use {BAUD}")
        flags = termios.CS8 | termios.CREAD | termios.CLOCAL
        raw: list[object] = [0, 0, flags, 0, speed, speed, settings[6]]
        termios.tcsetattr(fd, termios.TCSANOW, raw)  # type: ignore[arg-type]
        termios.tcflush(fd, termios.TCIOFLUSH)
        yield Descriptor(fd, path)
    finally:
        os.close(fd)


@contextmanager
def emulated(elf: Path, machine: Machine, *, semihosting: bool = False) -> Iterator[Descriptor]:
    """Serial 0 of `machine`, or the text of its semihosting, while it runs `elf`; ended with the context.

    Time passes there with instructions executed, see `instructions`, so that every run is like the last.

    Raises:
        ToolMissingError: where qemu-system-arm is not installed.
        FirmwareError: where QEMU ends by itself while more is expected of it.
    """
    here, there = socket.socketpair()
    command = [str(tools.find("qemu-system-arm").path), "-M", machine.name, "-kernel", str(elf.resolve())]
    command += ["-display", "none", "-monitor", "none", "-icount", f"shift={_SHIFT},sleep=off"]
    command += ["-chardev", f"socket,id=line,fd={there.fileno()}"]
    command += ["-semihosting-config", "enable=on,target=native" + ",chardev=line" * semihosting]
    command += ["-serial", "none" if semihosting else "chardev:line"]
    with here, there, tempfile.TemporaryFile() as errors:
        running = subprocess.Popen(
            command,
            pass_fds=(there.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        there.close()
        try:
            yield Descriptor(here.fileno(), machine.name)
        except ClosedError as error:
            running.wait()
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            raise FirmwareError(f"{error}; QEMU said: {said[0] if said else 'nothing'}") from error
        finally:
            running.kill()
            running.wait()


def instructions(machine: Machine, cycles: int) -> int:
    """What an emulated machine executed while its SysTick counted `cycles`, to the length of one of them."""
    return round(cycles * 1e9 / (machine.clock_hz << _SHIFT))


def read_text(port: Port, *, end: bytes, timeout_s: float) -> str:
    """What comes until `end`, without it.

    Raises:
        FirmwareError: where that takes longer than `timeout_s`; the message ends with what came last.
        ClosedError: where the other end closes the line before; the same.
    """
    deadline = time.monotonic() + timeout_s
    came = b""
    while end not in came:
        try:
            new = port.read(_CHUNK, max(deadline - time.monotonic(), 0.0))
        except ClosedError as error:
            raise ClosedError(f"{error}{_last(came)}") from error
        if not new:
            raise FirmwareError(f"no end of text within {timeout_s:g} s{_last(came)}", hint=_NO_END)
        came += new
    return came[: came.index(end)].decode(errors="replace")


def _last(came: bytes) -> str:
    lines = came.decode(errors="replace").splitlines()[-_LAST_LINES:]
    return "; it said last:\n" + "\n".join(lines) if lines else "; it said nothing"
