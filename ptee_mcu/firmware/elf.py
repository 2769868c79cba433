"""What an ELF file for Arm says of itself: sections and symbols, whoever linked it."""

import struct
from dataclasses import dataclass
from pathlib import Path

from ptee_mcu.errors import FirmwareError

_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_SECTION = struct.Struct("<10I")
_SYMBOL = struct.Struct("<IIIBBH")
_ARM = 40
_SYMTAB = 2
_WRITE, _ALLOC, _EXECUTE = 1, 2, 4
_FUNCTION = 2
_UNDEFINED = 0
_ABSOLUTE = 0xFFF1


@dataclass(frozen=True, slots=True)
class Section:
    """A section that takes memory."""

    name: str
    address: int
    nbytes: int
    writable: bool
    executable: bool


@dataclass(frozen=True, slots=True)
class ElfSymbol:
    """A label; Thumb bits of functions are cleared. `absolute`: a number that the linker was given, in no section."""

    name: str
    address: int
    nbytes: int
    function: bool
    absolute: bool


@dataclass(frozen=True, slots=True)
class Elf:
    """Sections by address and symbols by address, then name."""

    path: Path
    sections: tuple[Section, ...]
    symbols: tuple[ElfSymbol, ...]


def read_elf(path: Path) -> Elf:
    """The headers of the program at `path`.

    Source: Tool Interface Standard, Executable and Linking Format 1.2; ELF for the Arm Architecture (aaelf32).

    Raises:
        FirmwareError: where it is no 32-bit little-endian Arm ELF file, or is cut off.
    """
    if not path.is_file():
        raise FirmwareError(f"{path} does not exist")
    raw = path.read_bytes()
    if len(raw) < _HEADER.size or raw[:4] != b"\x7fELF":
        raise FirmwareError(f"{path.name} is no ELF file", hint="give what the linker wrote, not a .bin or .hex")
    ident, _, machine, *_, section_at, _, _, _, _, size, count, names = _HEADER.unpack_from(raw)
    if ident[4:6] != b"\x01\x01" or machine != _ARM:
        raise FirmwareError(
            f"{path.name} is an ELF file for machine {machine}, not for Arm ({_ARM}) in 32-bit little endian",
            hint="link it with arm-none-eabi-gcc",
        )
    try:
        headers = [_SECTION.unpack_from(raw, section_at + i * size) for i in range(count)]
        strings = _bytes_of(raw, headers[names]) if headers else b""
        sections = [_section(header, strings) for header in headers if header[2] & _ALLOC and header[5]]
        tables = [header for header in headers if header[1] == _SYMTAB]
        symbols = [
            symbol for table in tables for symbol in _symbols(_bytes_of(raw, table), _bytes_of(raw, headers[table[6]]))
        ]
    except (struct.error, IndexError) as error:
        raise FirmwareError(f"{path.name} is cut off: {len(raw)} B do not hold its {count} sections") from error
    return Elf(
        path,
        tuple(sorted(sections, key=lambda section: section.address)),
        tuple(sorted(symbols, key=lambda symbol: (symbol.address, symbol.name))),
    )


def _bytes_of(raw: bytes, header: tuple[int, ...]) -> bytes:
    return raw[header[4] : header[4] + header[5]]


def _text(strings: bytes, at: int) -> str:
    return strings[at : strings.index(b"\0", at)].decode(errors="replace") if at < len(strings) else ""


def _section(header: tuple[int, ...], strings: bytes) -> Section:
    flags = header[2]
    return Section(_text(strings, header[0]), header[3], header[5], bool(flags & _WRITE), bool(flags & _EXECUTE))


def _symbols(table: bytes, strings: bytes) -> list[ElfSymbol]:
    found = []
    for name_at, value, nbytes, info, _, section in _SYMBOL.iter_unpack(table[: len(table) // 16 * 16]):
        name = _text(strings, name_at)
        kind = info & 15
        # $t, $d and $a mark code and data for disassemblers; kinds from 3 on are sections and files.
        if not name or name.startswith("$") or section == _UNDEFINED or kind > _FUNCTION:
            continue
        function = kind == _FUNCTION
        address = value & ~1 if function else value
        found.append(ElfSymbol(name, address, nbytes, function, section == _ABSOLUTE))
    return found
