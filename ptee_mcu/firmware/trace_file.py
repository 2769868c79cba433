"""The file that the tracing plugin writes: blocks with what ran, was read and was missed, per interval."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware.windows import Window
from ptee_mcu.target import Target
from ptee_mcu.tensor import readonly

Int64 = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

PASS = 2  # kind of an interval between two marks of the user's; the others are count.OP and count.CALL
UNSTOPPED = -2  # kind of one that the program's end cut off

_MAGIC = b"PTEETRC1"
_END = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Function:
    """A function's name and addresses from `start` to below `end`."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Block:
    """Instructions that are entered at `start` and left at their end; `function`: its number in the trace."""

    start: int
    code: bytes
    function: int

    @property
    def instructions(self) -> int:
        """How many there are: a Thumb instruction has 4 bytes where its first five bits are 11101 or above."""
        at = count = 0
        while at < len(self.code):
            at += 4 if self.code[at + 1] >> 3 >= 0b11101 else 2
            count += 1
        return count


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What one run did between its marks, in intervals numbered in order of their ends.

    `kinds` (intervals,): PASS between marks of the user's; in a network's harness OP after an op's output, CALL at the
    end of a counted call. `functions`: names; the last is empty, for what lies in none. `windows`: disjoint; a window
    of number len(windows) is none of them. `ran` (rows, 4): interval, block, executions, taken exits.
    `cells` (rows, 7): interval, block, window, bytes read, bytes written, lines missed by loads, by fetches.
    """

    target: Target
    windows: tuple[Window, ...]
    functions: tuple[str, ...]
    blocks: tuple[Block, ...]
    kinds: Int64
    ran: Int64
    cells: Int64

    @property
    def instructions(self) -> Int64:
        """Executed instructions (intervals,)."""
        sizes = np.array([block.instructions for block in self.blocks], dtype=np.int64)
        found = np.zeros(len(self.kinds), dtype=np.int64)
        np.add.at(found, self.ran[:, 0], self.ran[:, 2] * sizes[self.ran[:, 1]])
        return found

    def first(self, intervals: int) -> "Trace":
        """The same without all but the first `intervals`."""
        ran, cells = (rows[rows[:, 0] < intervals] for rows in (self.ran, self.cells))
        return replace(self, kinds=self.kinds[:intervals], ran=ran, cells=cells)


def read_trace(path: Path, target: Target, windows: tuple[Window, ...], functions: tuple[Function, ...]) -> Trace:
    """The trace that a run left at `path`; `functions` by their starts.

    Raises:
        FirmwareError: where it is not whole, or the run never came to where counting begins.
    """
    raw = path.read_bytes() if path.is_file() else b""
    words: Words = np.frombuffer(raw[8 : len(raw) // 8 * 8], dtype="<u8")
    try:
        kinds, ran, cells, at = _intervals(words)
        blocks = _blocks(words, at + 3, int(words[at + 2]), functions)
    except (IndexError, ValueError) as error:
        raise FirmwareError(
            f"the tracing plugin left no whole trace: {len(raw)} B", hint="the firmware must end by itself"
        ) from error
    if raw[: len(_MAGIC)] != _MAGIC or int(words[at + 1]) != len(kinds):
        raise FirmwareError(f"{path.name} is no trace of {len(kinds)} intervals")
    if not len(kinds):
        raise FirmwareError("the program never came to where the trace begins")
    names = (*(function.name for function in functions), "")
    return Trace(target, windows, names, blocks, kinds, ran, cells)


def _intervals(words: Words) -> tuple[Int64, Int64, Int64, int]:
    """Kinds, what ran, cells, and where the tail begins."""
    kinds: list[int] = []
    ran: list[Int64] = [np.zeros((0, 4), np.int64)]
    cells: list[Int64] = [np.zeros((0, 7), np.int64)]
    at = 0
    while words[at] != _END:
        blocks, counted = int(words[at + 1]), int(words[at + 2])
        middle = at + 3 + 3 * blocks
        kinds.append(int(words[at : at + 1].astype(np.int64)[0]))
        for rows, first, width, count in ((ran, at + 3, 3, blocks), (cells, middle, 6, counted)):
            part = words[first : first + width * count].astype(np.int64).reshape(count, width)
            rows.append(np.column_stack((np.full(count, len(kinds) - 1), part)))
        at = middle + 6 * counted
    return (
        readonly(kinds, np.int64),
        readonly(np.concatenate(ran), np.int64),
        readonly(np.concatenate(cells), np.int64),
        at,
    )


def _blocks(words: Words, at: int, count: int, functions: Sequence[Function]) -> tuple[Block, ...]:
    starts = [function.start for function in functions]
    found = []
    for _ in range(count):
        start, nbytes = int(words[at]), int(words[at + 1])
        padded = -(-nbytes // 8)
        code = words[at + 2 : at + 2 + padded].tobytes()[:nbytes]
        at += 2 + padded
        inside = bisect_right(starts, start) - 1
        function = inside if inside >= 0 and start < functions[inside].end else len(functions)
        found.append(Block(start, code, function))
    if at != len(words):
        raise ValueError("blocks are missing")
    return tuple(found)
