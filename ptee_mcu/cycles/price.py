"""What a trace costs on a board: executed instructions by the core's timings, missed lines by the memory's waits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ptee_mcu.cycles.caches import in_front_of, miss_cycles
from ptee_mcu.cycles.cores import Core
from ptee_mcu.cycles.thumb import decode
from ptee_mcu.errors import ConfigError
from ptee_mcu.firmware.trace_file import Trace
from ptee_mcu.firmware.windows import Window
from ptee_mcu.target import Target
from ptee_mcu.tensor import readonly

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Costs in rows, be they intervals or functions, and by window in columns; the last column is for no window.

    `compute` (rows,): cycles with memory that never waits. `code` and `data` (rows, windows + 1): cycles waited for
    fetches and for loads. `read` and `written` (rows, windows + 1): bytes of loads and stores.
    """

    instructions: Int64
    compute: Float64
    code: Float64
    data: Float64
    read: Int64
    written: Int64

    @property
    def cycles(self) -> Float64:
        """All cycles (rows,)."""
        total: Float64 = self.compute + self.code.sum(axis=1) + self.data.sum(axis=1)
        return total


@dataclass(frozen=True, slots=True, eq=False)
class Priced:
    """A trace in cycles of a core, with the waits of a board's memories.

    `kinds`: per interval, as in the trace. `functions`: names of the rows of `by_function`; the last is empty, for
    what lies in none.
    """

    core: Core
    target: Target
    windows: tuple[Window, ...]
    functions: tuple[str, ...]
    kinds: Int64
    by_interval: Tally
    by_function: Tally

    @property
    def cycles(self) -> float:
        """Of the whole trace."""
        return float(self.by_interval.cycles.sum())

    def columns(self, *, region: str | None = None, label: str | None = None) -> list[int]:
        """The windows in `region` and with `label`, where given, as columns of a tally."""
        return [
            column
            for column, window in enumerate(self.windows)
            if region in {None, window.region} and label in {None, window.label}
        ]


def price(trace: Trace, core: Core, target: Target) -> Priced:
    """The cycles of `trace` on `core`, with the clock and waits of `target`.

    Raises:
        ConfigError: where `target` has other regions, lines or caches than the trace was taken with.
    """
    _check_same_memories(trace.target, target)
    blocks = [decode(block.code) for block in trace.blocks]
    function = np.array([block.function for block in trace.blocks], dtype=np.int64)
    scales = np.array([core.scale_of(name) for name in trace.functions])
    scale = scales[function] if len(function) else np.zeros(0)
    size = np.array([len(block) for block in blocks], dtype=np.int64)
    execution = scale * [core.execution(block) for block in blocks]
    taken = scale * [core.taken(block) for block in blocks]
    waits = [_waits(target, window.region) for window in trace.windows] + [(0.0, 0.0)]
    load_wait, fetch_wait = np.array(waits, dtype=np.float64).T
    _, ran, executed, left = trace.ran.T
    _, where, window, read, written, missed_loads, missed_fetches = trace.cells.T
    columns = len(trace.windows) + 1

    def tally(rows: int, of_ran: Int64, of_cells: Int64) -> Tally:
        def summed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            found = np.zeros((rows, columns), dtype=values.dtype)
            np.add.at(found, (of_cells, window), values)
            return readonly(found, values.dtype)

        instructions, compute = np.zeros(rows, dtype=np.int64), np.zeros(rows)
        np.add.at(instructions, of_ran, executed * size[ran])
        np.add.at(compute, of_ran, executed * execution[ran] + left * taken[ran])
        return Tally(
            readonly(instructions, np.int64),
            readonly(compute, np.float64),
            summed(missed_fetches * fetch_wait[window]),
            summed(missed_loads * load_wait[window]),
            summed(read),
            summed(written),
        )

    return Priced(
        core=core,
        target=target,
        windows=trace.windows,
        functions=trace.functions,
        kinds=trace.kinds,
        by_interval=tally(len(trace.kinds), trace.ran[:, 0], trace.cells[:, 0]),
        by_function=tally(len(trace.functions), function[ran], function[where]),
    )


def _waits(target: Target, region: str) -> tuple[float, float]:
    """Cycles per line that a load and that a fetch missed."""
    memory = target.region(region)
    loads, fetches = in_front_of(target, memory)
    return miss_cycles(memory, loads.line_bytes), miss_cycles(memory, fetches.line_bytes)


def _check_same_memories(traced: Target, target: Target) -> None:
    for region in traced.regions:
        same = [other for other in target.regions if other.name == region.name]
        if not same or in_front_of(target, same[0]) != in_front_of(traced, region):
            raise ConfigError(
                f"region {region.name} of {target.name} is not as in {traced.name}, which the trace was taken for",
                hint="trace again for this board",
            )
