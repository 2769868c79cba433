"""Flash, RAM and symbols of a linked firmware."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ptee_mcu.firmware import build, tools

_SECTION = re.compile(r"^ *\d+ (\S+) +([0-9a-f]{8}) +([0-9a-f]{8}) +([0-9a-f]{8}) .*\n *(.*)$", re.MULTILINE)
_REGION = re.compile(r"^([0-9a-f]{8}) A ptee_region_(\w+)_(start|end)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes a firmware takes. `ram_bytes` is static data without the stack, whose reserved size stands apart.

    `regions`: per memory of the linker script all that lies there, load images and the stack included.
    """

    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    sections: Mapping[str, int]
    regions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    nbytes: int
    address: int
    load_address: int
    in_image: bool

    @property
    def moves(self) -> bool:
        """True where it lies in RAM: loaded there from the image, or not in the image at all."""
        return not self.in_image or self.address != self.load_address


@dataclass(frozen=True, slots=True)
class Symbol:
    """A function or object; `kind` is the letter of nm, lower case: t code, r constant, d data, b zeroed data."""

    name: str
    address: int
    nbytes: int
    kind: str


def memory_use(elf: Path) -> MemoryUse:
    """What `elf`, linked by `compile_arm`, takes of flash and RAM."""
    sections = _sections(elf)
    spans = _regions(elf)
    used = dict.fromkeys(spans, 0)
    for section in sections:
        addresses = {section.address} | ({section.load_address} if section.in_image else set())
        for name in {name for at in addresses for name, (start, end) in spans.items() if start <= at < end}:
            used[name] += section.nbytes
    return MemoryUse(
        flash_bytes=sum(section.nbytes for section in sections if section.in_image),
        ram_bytes=sum(section.nbytes for section in sections if section.moves and section.name != ".stack"),
        stack_bytes=sum(section.nbytes for section in sections if section.name == ".stack"),
        sections=MappingProxyType({section.name: section.nbytes for section in sections}),
        regions=MappingProxyType(used),
    )


def _sections(elf: Path) -> list[_Section]:
    """Sections that take memory."""
    output = build.call([str(tools.find("arm-none-eabi-objdump").path), "-h", str(elf)], "reading sections")
    found = []
    for name, size, address, load_address, flags in _SECTION.findall(output):
        words = {word.strip() for word in flags.split(",")}
        if "ALLOC" in words and int(size, 16):
            found.append(_Section(name, int(size, 16), int(address, 16), int(load_address, 16), "LOAD" in words))
    return found


def _regions(elf: Path) -> dict[str, tuple[int, int]]:
    """Start and end of the memories of the linker script."""
    output = build.call([str(tools.find("arm-none-eabi-nm").path), str(elf)], "reading memories")
    bounds = {(name, end): int(address, 16) for address, name, end in _REGION.findall(output)}
    return {name: (start, bounds[name, "end"]) for (name, which), start in bounds.items() if which == "start"}


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
