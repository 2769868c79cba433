"""Which function of a linked program calls which, what it pushes, and whether it computes with floats: by objdump."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import build, tools

_Body = list[tuple[str, str]]  # mnemonic and operands

_FUNCTION = re.compile(r"^[0-9a-f]{8} <(\S+)>:$")
_INSTRUCTION = re.compile(r"^ *[0-9a-f]+:\t(\S+)(?:\t([^;@]*))?")
_TARGET = re.compile(r"<([^>+]+)(?:\+0x[0-9a-f]+)?>")
_CONDITION = "eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|hs|lo"
_BRANCH = re.compile(rf"(?:b|bl|blx)(?:{_CONDITION})?(?:\.[nw])?|cbn?z")
_BY_REGISTER = re.compile(rf"(?:bx|blx)(?:{_CONDITION})?(?:\.[nw])?")
_VENEER = re.compile(r"__(\w+)_veneer")
_FLOAT = re.compile(r"v\w+\.(?:[us]?\d+\.)?f(?:16|32|64)(?:\..*)?")
_PUSH = re.compile(r"(?:push|vpush)(?:\.w)?|v?stmdb(?:\.w)?")
_LIST = re.compile(r"\{([^}]*)\}")
_DOWN = re.compile(r"\[sp, #-(\d+)\]!")
_SUB = re.compile(r"sp, (?:sp, )?#(\d+)")


@dataclass(frozen=True, slots=True)
class Function:
    """A function: whom it calls or jumps to, and what of it stands out.

    `pushed_bytes`: the most it takes of the stack itself, None where its instructions do not say; `indirect`: its calls
    through a register; `floats`: its instructions that compute with floating-point numbers.
    """

    name: str
    calls: frozenset[str]
    pushed_bytes: int | None
    indirect: tuple[str, ...]
    floats: tuple[str, ...]


def functions(elf: Path) -> Mapping[str, Function]:
    """The functions of `elf` by name; two static ones of one name are one that does what both do.

    Raises:
        ToolMissingError: where arm-none-eabi-objdump is not installed.
        FirmwareError: where it cannot read `elf`, or there is no code in it.
    """
    tool = tools.find("arm-none-eabi-objdump").path
    listing = build.call([str(tool), "-d", "--no-show-raw-insn", str(elf)], f"disassembling {elf.name}")
    bodies: dict[str, _Body] = {}
    body: _Body = []
    for line in listing.splitlines():
        if start := _FUNCTION.match(line):
            body = bodies.setdefault(start[1], [])
        elif found := _INSTRUCTION.match(line):
            body.append((found[1], (found[2] or "").strip()))
    if not bodies:
        raise FirmwareError(f"{elf.name} holds no code", hint="give a program that was linked for Arm")
    return MappingProxyType({name: _function(name, body) for name, body in bodies.items()})


def reachable(graph: Mapping[str, Function], roots: Iterable[str]) -> frozenset[str]:
    """`roots` and all that they call, at once or through others."""
    found: set[str] = set()
    waiting = [root for root in roots if root in graph]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [callee for callee in graph[name].calls if callee in graph]
    return frozenset(found)


def recursion(graph: Mapping[str, Function], roots: Iterable[str]) -> tuple[str, ...]:
    """The first functions found below `roots` that call one another in a circle; empty where there are none."""
    done: set[str] = set()
    for root in sorted(roots):
        path: list[str] = []
        waiting = [(root, False)]
        while waiting:
            name, left = waiting.pop()
            if left:
                path.pop()
                done.add(name)
                continue
            if name in path:
                return tuple(path[path.index(name) :])
            if name in done or name not in graph:
                continue
            path.append(name)
            waiting.append((name, True))
            waiting += [(callee, False) for callee in sorted(graph[name].calls)]
    return ()


def _function(name: str, body: _Body) -> Function:
    calls, indirect, floats = set(), [], []
    pushed: int | None = 0
    for mnemonic, operands in body:
        if _BRANCH.fullmatch(mnemonic) and (target := _TARGET.search(operands)):
            # A jump into the same function is a loop, a call of it is recursion.
            if target[1] != name or mnemonic.startswith(("bl.", "blx")) or mnemonic == "bl":
                calls.add(target[1])
        elif (_BY_REGISTER.fullmatch(mnemonic) and operands != "lr") or (
            mnemonic.startswith("mov") and operands.startswith("pc,")
        ):
            indirect.append(f"{mnemonic} {operands}")
        elif _FLOAT.fullmatch(mnemonic):
            floats.append(f"{mnemonic} {operands}")
        taken = _taken(mnemonic, operands)
        pushed = None if pushed is None or taken is None else pushed + taken
    if veneer := _VENEER.fullmatch(name):
        calls.add(veneer[1])
    return Function(name, frozenset(calls), pushed, tuple(indirect), tuple(floats))


def _taken(mnemonic: str, operands: str) -> int | None:
    """Bytes by which an instruction moves the stack pointer down; None where a register says how many."""
    if _PUSH.fullmatch(mnemonic) and ("push" in mnemonic or operands.startswith("sp!")):
        registers = _LIST.search(operands)
        assert registers
        return sum(_width(part.strip()) for part in registers[1].split(","))
    if mnemonic.startswith("str") and (down := _DOWN.search(operands)):
        return int(down[1])
    if mnemonic.startswith("sub") and operands.startswith("sp,"):
        size = _SUB.fullmatch(operands)
        return int(size[1]) if size else None
    if mnemonic.startswith("add") and re.fullmatch(r"sp, (?:sp, )?\w+", operands):
        return None
    return 0


def _width(registers: str) -> int:
    """Bytes of one register or of a range of them."""
    first, _, last = registers.partition("-")
    count = int(last[1:]) - int(first[1:]) + 1 if last else 1
    return count * (8 if first.startswith("d") and first[1:].isdigit() else 4)
