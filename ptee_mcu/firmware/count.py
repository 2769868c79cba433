"""Exact counts of executed instructions, through a QEMU plugin that is compiled on first use.

The firmware holds marks (marks.S): counting goes on at the start of a counted call, stops at its end, and stands still
while an op's output is recorded. Counts are instructions, not cycles; they are the same in every run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import memory, plugin
from ptee_mcu.firmware.qemu import Plugin

OP = 0  # kinds of stops
CALL = 1

_MAGIC = b"PTEECNT1"
_GOES = ("ptee_count_start", "ptee_count_resume")
_STOPS = {"ptee_trace_op": OP, "ptee_count_stop": CALL}
_END = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """What one run of a firmware executed between its marks.

    `kinds` and `instructions` have one entry per stop, in order: OP after an op's output, CALL at the end of a counted
    call; an entry counts from the mark before it. `functions` are instructions per function over the whole run; what
    lies in no function that the linker knows is under the empty name.
    """

    kinds: npt.NDArray[np.uint64]
    instructions: npt.NDArray[np.uint64]
    functions: Mapping[str, int]

    @property
    def total(self) -> int:
        """Instructions of the whole run."""
        return int(self.instructions.sum())


@dataclass(frozen=True, slots=True)
class Counter:
    """The plugin, set up for one firmware."""

    library: Path
    table: str  # the plugin's symbol file
    functions: tuple[str, ...]

    def plugin(self, folder: Path) -> Plugin:
        """The plugin for one run that keeps its files in `folder`."""
        symbols = plugin.in_folder(folder, "symbols")
        symbols.write_text(self.table, encoding="ascii")
        return Plugin(self.library, (f"symbols={symbols}", f"out={folder / 'counts'}"))

    def read(self, folder: Path) -> Counts:
        """What the run in `folder` counted.

        Raises:
            FirmwareError: where the run left no whole count.
        """
        path = folder / "counts"
        raw = path.read_bytes() if path.is_file() else b""
        tail = 3 + len(self.functions) + 1
        words = np.frombuffer(raw[8 : len(raw) // 8 * 8], dtype="<u8")
        if raw[:8] != _MAGIC or len(words) < 1 + tail or words[-tail] != _END:
            raise FirmwareError("the counting plugin left no whole count", hint="the firmware must end by itself")
        events = words[1:-tail].reshape(-1, 2)
        count, misplaced = int(words[-tail + 1]), int(words[-tail + 2])
        if count != len(events) or misplaced:
            raise FirmwareError(f"the counting plugin saw {count} stops, wrote {len(events)}, misplaced {misplaced}")
        per_function = zip((*self.functions, ""), words[-len(self.functions) - 1 :], strict=True)
        functions = {name: int(number) for name, number in per_function if number}
        return Counts(events[:, 0].copy(), events[:, 1].copy(), MappingProxyType(functions))


def counter(elf: Path) -> Counter:
    """A counter for `elf`, which was linked with marks.S.

    Raises:
        ToolMissingError: where gcc, nm or QEMU is not installed.
        FirmwareError: where the plugin does not fit this QEMU, or `elf` holds no marks.
    """
    found = memory.symbols(elf)
    address = {symbol.name: symbol.address for symbol in found}
    if "ptee_count_stop" not in address:
        raise FirmwareError(f"{elf.name} holds no marks to count between", hint="link marks.S")
    inner = {*_GOES, "ptee_count_stop"}
    functions = [s for s in found if s.kind in {"t", "w"} and s.nbytes and s.name not in inner]
    # Aliases of one address count once, under the first name.
    functions = [s for i, s in enumerate(functions) if i == 0 or s.address != functions[i - 1].address]
    lines = [f"function {s.address:x} {s.nbytes:x}" for s in functions]
    lines += [f"go {address[name]:x}" for name in _GOES if name in address]
    lines += [f"stop {address[name]:x} {kind:x}" for name, kind in _STOPS.items() if name in address]
    return Counter(plugin_library(), "\n".join(lines) + "\n", tuple(s.name for s in functions))


def plugin_library() -> Path:
    """The counting plugin, compiled into the cache on first use.

    Raises:
        ToolMissingError, FirmwareError: as `plugin.library`.
    """
    return plugin.library("counting", ("count_plugin.c",), ("qemu_plugin_api.h",))
