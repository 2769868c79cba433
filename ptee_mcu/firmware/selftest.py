"""What a self-test says of itself, as values."""

import re
from dataclasses import dataclass
from pathlib import Path

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware.elf import read_elf

END = b"\x04"  # BOARD_END_OF_TEXT of board.h
_CASE = re.compile(
    r"^case (\d+) input (\d+) leave (\d+|free) exit (\d+) label (\d+) cycles (\d+) (PASS|FAIL ?(.*))$", re.MULTILINE
)
_COUNTER = re.compile(r"^counter (\S+)$", re.MULTILINE)
_STACK = re.compile(r"^stack (\d+) of (\d+)( FAIL)?$", re.MULTILINE)
_RESULT = re.compile(r"^result (PASS|FAIL) \d+$", re.MULTILINE)
_FAULT = re.compile(r"^fault: (.*pc 0x([0-9a-f]{8}).*)$", re.MULTILINE)
_INIT = re.compile(r"^init FAIL (.*)$", re.MULTILINE)
_LAST_LINES = 8


@dataclass(frozen=True, slots=True)
class Case:
    """One golden case; `fault` is None where it passed. `leave`: the exit that was forced, None where none was."""

    number: int
    input: int
    leave: int | None
    exit: int
    label: int
    cycles: int
    fault: str | None


@dataclass(frozen=True, slots=True)
class SelfTest:
    """A whole run. `counter`: what counted the cycles."""

    passed: bool
    cases: tuple[Case, ...]
    counter: str
    stack_used: int
    stack_bytes: int
    init_fault: str | None

    @property
    def faults(self) -> tuple[str, ...]:
        """What differed, one line each."""
        lines = [f"init: {self.init_fault}"] if self.init_fault else []
        for case in self.cases:
            if case.fault is not None:
                how = "free" if case.leave is None else f"made to leave at exit {case.leave}"
                lines.append(f"case {case.number}, input {case.input}, {how}: {case.fault}")
        if self.stack_used >= self.stack_bytes:
            lines.append(f"the stack of {self.stack_bytes} B was used up")
        return tuple(lines)


def parse(text: str, elf: Path) -> SelfTest:
    """What the self-test `elf` says, which printed `text`.

    Raises:
        FirmwareError: where it ended in a fault, or before its end; the message tells what it printed last.
    """
    text = text.replace("\r", "").replace(END.decode(), "")
    fault = _FAULT.search(text)
    if fault is not None:
        raise FirmwareError(f"the self-test ended in a processor fault{_place(elf, int(fault[2], 16))}: {fault[1]}")
    result, counter, stack = _RESULT.search(text), _COUNTER.search(text), _STACK.search(text)
    if result is None or counter is None or stack is None:
        lines = text.strip().splitlines()[-_LAST_LINES:]
        said = "it printed last:\n" + "\n".join(lines) if lines else "it printed nothing"
        raise FirmwareError(
            f"the self-test did not come to its end; {said}", hint="look for a fault, or raise --timeout"
        )
    init = _INIT.search(text)
    cases = tuple(
        Case(
            number=int(found[1]),
            input=int(found[2]),
            leave=None if found[3] == "free" else int(found[3]),
            exit=int(found[4]),
            label=int(found[5]),
            cycles=int(found[6]),
            fault=None if found[7] == "PASS" else found[8],
        )
        for found in _CASE.finditer(text)
    )
    return SelfTest(result[1] == "PASS", cases, counter[1], int(stack[1]), int(stack[2]), init[1] if init else None)


def _place(elf: Path, address: int) -> str:
    inside = [s.name for s in read_elf(elf).symbols if s.address <= address < s.address + s.nbytes]
    return f" in {inside[0]}" if inside else ""
