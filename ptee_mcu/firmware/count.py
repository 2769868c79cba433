"""Exact counts of executed instructions, through a QEMU plugin that is compiled on first use.

The firmware holds marks (marks.S): counting goes on at the start of a counted call, stops at its end, and stands still
while an op's output is recorded. Counts are instructions, not cycles; they are the same in every run.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import build, memory, tools
from ptee_mcu.firmware.qemu import Plugin

OP = 0  # kinds of stops
CALL = 1

_SOURCE = build.SUPPORT / "count_plugin.c"
_FLAGS = ("-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-std=c11", "-Wall", "-Wextra")
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
        if "," in str(folder) or any(symbol.isspace() for symbol in str(folder)):
            raise FirmwareError(
                f"{folder}: QEMU takes no plugin files from a folder with a comma or a space in its name"
            )
        (folder / "symbols").write_text(self.table, encoding="ascii")
        return Plugin(self.library, (f"symbols={folder / 'symbols'}", f"out={folder / 'counts'}"))

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
        ToolMissingError: where gcc or QEMU is not installed.
        FirmwareError: where QEMU's plugin interface is not version 1, the only one supported.
    """
    version = tools.find("qemu-system-arm").version
    number = re.search(r"version (\d+)\.", version)
    if number and int(number.group(1)) >= 9:
        raise FirmwareError(
            f"the counting plugin is written for QEMU's plugin interface 1 (QEMU 4.2 to 8.2), this is {version}",
            hint="run without counting, or install QEMU 7 or 8",
        )
    compiler = tools.find("gcc")
    source = _SOURCE.read_bytes()
    digest = hashlib.sha256("\0".join((compiler.version, *_FLAGS)).encode() + b"\0" + source).hexdigest()
    made = build.cache_dir() / f"count-{digest}.so"
    if not made.is_file():
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent, prefix="building-") as scratch:
            aside = Path(scratch) / "count.so"
            build.call([str(compiler.path), *_FLAGS, str(_SOURCE), "-o", str(aside)], "compiling the counting plugin")
            os.replace(aside, made)  # noqa: PTH105 - atomic
    return made
