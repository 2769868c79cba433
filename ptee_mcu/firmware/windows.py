"""Which memory of a board each emulated address stands for."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ptee_mcu.errors import ConfigError, FirmwareError
from ptee_mcu.firmware.elf import Elf
from ptee_mcu.target import Target

# Source: Armv7-M Architecture Reference Manual, B3.1, the system address map: code, SRAM, RAM.
_CODE = (0, 0x20000000)
_RAM = ((0x20000000, 0x40000000), (0x60000000, 0xA0000000))


@dataclass(frozen=True, slots=True)
class Window:
    """Emulated addresses from `start` to below `end` that stand for part of the board's `region`.

    `label` tells windows of one region apart where bytes are counted; what they wait for goes through the same caches.
    """

    region: str
    start: int
    end: int
    label: str = ""


def windows_of(elf: Elf, target: Target, sections: Mapping[str, str] | None = None) -> tuple[Window, ...]:
    """The windows of `elf` on `target`; where they overlap, the first holds.

    `sections` (section: region) come first, then the program's own symbols ptee_region_NAME_start and _end where the
    board has such a memory, then the addresses of the board, then read-only and executable sections as the board's
    code memory and others as its main RAM, and last the areas that Armv7-M keeps for code and for RAM: stacks and heaps
    lie in no section.

    Raises:
        ConfigError: where `sections` names a section or a region that there is not.
        FirmwareError: where only one of the two symbols of a region is there.
    """
    known = {section.name: section for section in elf.sections}
    wanted = sections or {}
    for name, region in wanted.items():
        if name not in known:
            raise ConfigError(f"{elf.path.name} has no section {name!r}", hint=f"it has: {', '.join(known)}")
        _check_region(target, region, f"section {name}")
    code, ram = target.code_region.name, target.main_ram.name
    mapped = [Window(region, known[name].address, _end(elf, name)) for name, region in wanted.items()]
    board = [Window(region.name, region.base, region.end) for region in target.regions]
    by_kind = [
        Window(ram if section.writable else code, section.address, section.address + section.nbytes)
        for section in elf.sections
    ]
    areas = [Window(code, *_CODE), *(Window(ram, *area) for area in _RAM)]
    return (*mapped, *_own(elf, target), *board, *by_kind, *areas)


def labelled(elf: Elf, windows: Sequence[Window], labels: Mapping[str, str]) -> tuple[Window, ...]:
    """`windows` with one more before them for each object in `labels` (symbol: label), in the region it lies in.

    Raises:
        FirmwareError: where `elf` has no such symbol with a size.
        ConfigError: where it lies in no window.
    """
    sized = {symbol.name: symbol for symbol in elf.symbols if symbol.nbytes}
    disjoint = flattened(windows)
    starts = [window.start for window in disjoint]
    objects = []
    for name, label in labels.items():
        if name not in sized:
            raise FirmwareError(f"{elf.path.name} has no object {name!r} of a known size")
        at = sized[name].address
        inside = disjoint[bisect_right(starts, at) - 1] if starts and starts[0] <= at else None
        if inside is None or at >= inside.end:
            raise ConfigError(f"{name} at {at:#x} lies in no window")
        objects.append(Window(inside.region, at, at + sized[name].nbytes, label))
    return (*objects, *windows)


def flattened(windows: Iterable[Window]) -> tuple[Window, ...]:
    """The same addresses by disjoint windows in order of address; where `windows` overlap, the first holds."""
    placed: list[Window] = []
    for window in windows:
        start = window.start
        pieces = []
        for other in placed:
            if other.end <= start or other.start >= window.end:
                continue
            if other.start > start:
                pieces.append(replace(window, start=start, end=other.start))
            start = max(start, other.end)
        if start < window.end:
            pieces.append(replace(window, start=start))
        placed = sorted((*placed, *pieces), key=lambda piece: piece.start)
    joined: list[Window] = []
    for window in placed:
        if (
            joined
            and replace(joined[-1], start=window.start, end=window.end) == window
            and joined[-1].end == window.start
        ):
            joined[-1] = replace(joined[-1], end=window.end)
        else:
            joined.append(window)
    return tuple(joined)


def _own(elf: Elf, target: Target) -> list[Window]:
    address = {symbol.name: symbol.address for symbol in elf.symbols}
    names = {region.name for region in target.regions}
    found = []
    for name, start in address.items():
        region = name.removeprefix("ptee_region_").removesuffix("_start")
        if name != f"ptee_region_{region}_start":
            continue
        end = address.get(f"ptee_region_{region}_end")
        if end is None or end < start:
            raise FirmwareError(f"{elf.path.name}: {name} has no ptee_region_{region}_end above it")
        if region in names:
            found.append(Window(region, start, end))
    return found


def _end(elf: Elf, name: str) -> int:
    return max(section.address + section.nbytes for section in elf.sections if section.name == name)


def _check_region(target: Target, region: str, where: str) -> None:
    names = [known.name for known in target.regions]
    if region not in names:
        raise ConfigError(f"{where}: {target.name} has no memory {region!r}", hint=f"its memories: {', '.join(names)}")
