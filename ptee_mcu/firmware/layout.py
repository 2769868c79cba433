"""Where a board's memories lie in an emulated machine, and the linker script and flags that put firmware there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ptee_mcu.emit_linker import Memory, memory, script
from ptee_mcu.firmware.machines import Bank, Machine
from ptee_mcu.target import Region, Target

_LINE = re.compile(r"^    (\w+) \((\w+)\) : ORIGIN = \w+, LENGTH = \w+$", re.MULTILINE)
_WINDOW_ALIGN = 1024


@dataclass(frozen=True, slots=True)
class Spare:
    """Bytes by which windows are larger than the board's memories, for what only a test harness links.

    `main`: where code, and where stack and variables lie; `other`: elsewhere.
    """

    main: int = 0
    other: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """What firmware is compiled and linked with; `writable` is filled with poison before anything is loaded."""

    flags: tuple[str, ...]
    script: str
    writable: tuple[Bank, ...]


def bare(machine: Machine) -> Layout:
    """The machine as it is: one FLASH, one RAM."""
    flash = Memory("FLASH", machine.flash_base, machine.flash_bytes, writable=False)
    ram = Memory("RAM", machine.ram_base, machine.ram_bytes, writable=True)
    text = script(machine.name, [flash, ram], code="FLASH", ram="RAM", stack_bytes=machine.stack_bytes)
    return Layout(machine.flags, text, (Bank(ram.base, ram.nbytes),))


def emulated(target: Target, machine: Machine, board_script: str, spare: Spare) -> Layout:
    """`board_script`, a linker script of `target`'s, with every memory moved to its window in `machine`."""
    found = windows(target, machine, spare)

    def moved(line: re.Match[str]) -> str:
        name, bank = line[1], found[line[1]]
        size = Memory(name, bank.base, bank.nbytes, writable=True).length
        return f"    {name} ({line[2]}) : ORIGIN = {bank.base:#010x}, LENGTH = {size}"

    writable = tuple(found[region.name] for region in target.regions if memory(region).writable)
    return Layout(target.flags, _LINE.sub(moved, board_script), writable)


def windows(target: Target, machine: Machine, spare: Spare) -> Mapping[str, Bank]:
    """A part of `machine`'s memories for every one of `target`'s, none sharing a byte with another.

    As large as the board's, so that what does not fit the board does not link; smaller only where the machine has no
    such room left. Code lies at the start of the machine's flash, as its vector table must, the stack at that of its
    RAM, so that one which grows too deep faults.
    """
    free = [[bank.base, bank.base + bank.nbytes] for bank in machine.banks]
    found = {}
    main = (target.code_region, target.main_ram)
    for region in (*main, *(region for region in target.regions if region not in main)):
        want = region.nbytes + (spare.main if region in main else spare.other)
        room = [free[i] for i in _preferred(region, len(free), first=region in main)]
        widest = max(room, key=lambda span: span[1] - span[0])
        place = next((span for span in room if span[1] - span[0] >= want), widest)
        nbytes = min(want, place[1] - place[0])
        found[region.name] = Bank(place[0], nbytes)
        place[0] = min(place[1], place[0] + -(-nbytes // _WINDOW_ALIGN) * _WINDOW_ALIGN)
    return MappingProxyType(found)


def _preferred(region: Region, banks: int, *, first: bool) -> list[int]:
    """Banks to look into, best first; `first`: only that bank in which code or the stack must begin."""
    own = 1 if "data" in region.holds else 0
    if first:
        return [own]
    others = list(range(2, banks))
    return [*others, own] if region.kind == "external" else [own, *others]
