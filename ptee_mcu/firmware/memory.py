"""Flash, RAM and symbols of a linked firmware."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ptee_mcu.firmware import build, tools

# Sections of firmware.ld; .data takes RAM and, for its load image, flash.
_FLASH = (".text", ".rodata", ".ARM.exidx", ".data")
_RAM = (".data", ".bss")


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes a firmware takes. `ram_bytes` is static data without the stack, whose reserved size stands apart."""

    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    sections: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Symbol:
    """A function or object; `kind` is the letter of nm, lower case: t code, r constant, d data, b zeroed data."""

    name: str
    address: int
    nbytes: int
    kind: str


def memory_use(elf: Path) -> MemoryUse:
    """What `elf`, linked by `compile_arm`, takes of flash and RAM."""
    output = build.call([str(tools.find("arm-none-eabi-size").path), "-A", "-d", str(elf)], "reading section sizes")
    sections = {}
    for line in output.splitlines():
        words = line.split()
        if len(words) == 3 and words[0].startswith(".") and words[1].isdigit():
            sections[words[0]] = int(words[1])
    return MemoryUse(
        flash_bytes=sum(sections.get(name, 0) for name in _FLASH),
        ram_bytes=sum(sections.get(name, 0) for name in _RAM),
        stack_bytes=sections.get(".stack", 0),
        sections=MappingProxyType(sections),
    )


def symbols(elf: Path) -> tuple[Symbol, ...]:
    """Every symbol of `elf` that has an address, by address; Thumb bits are cleared."""
    output = build.call([str(tools.find("arm-none-eabi-nm").path), "-S", str(elf)], "reading symbols")
    found = []
    for line in output.splitlines():
        words = line.split()
        # "address [size] kind name"; $t, $d and $a mark code and data for disassemblers.
        if len(words) not in {3, 4} or words[-1].startswith("$") or words[-2] not in "tTrRdDbBW":
            continue
        nbytes = int(words[1], 16) if len(words) == 4 else 0
        kind = words[-2].lower()
        address = int(words[0], 16) & ~1 if kind in "tw" else int(words[0], 16)
        found.append(Symbol(words[-1], address, nbytes, kind))
    return tuple(sorted(found, key=lambda symbol: (symbol.address, symbol.name)))
