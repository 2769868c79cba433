"""What a network in C did with some inputs: exits, logits, op outputs and instruction counts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import DataError, FirmwareError
from ptee_mcu.firmware.count import Counts
from ptee_mcu.firmware.intervals import intervals
from ptee_mcu.firmware.records import ExitRecords, Options, OpTrace, Results, Trace
from ptee_mcu.tensor import Int8, Int32, readonly

Int64 = npt.NDArray[np.int64]
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, eq=False)
class Instructions:
    """Instructions that each inference executed; harness and recording are not in them.

    `input_u8` (n,): the call that takes pixels, 0 where codes were given. `segments` (n, s): per NAME_step in order,
    0 where an earlier exit ended the inference; one column for NAME_run. `ops`: per op, aligned with the rows of its
    trace, empty where ops were not traced; each counts from the op before it. `functions`: over all inferences.
    """

    input_u8: Int64
    segments: Int64
    ops: Mapping[int, Int64]
    functions: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Execution:
    """What a network did with inputs `first` .. `first + n - 1`; in `records` and `trace` they count from 0.

    `exits`, `labels`, `confidence` (n,) and `logits` (n, classes) are those of the exit that answered. `stack_bytes`
    is the deepest stack of a call into the network, 0 on the host.
    """

    first: int
    exits: Int32
    labels: Int32
    confidence: Int32
    logits: Int8
    records: ExitRecords
    trace: Trace
    instructions: Instructions | None
    stack_bytes: int

    @property
    def inputs(self) -> int:
        """How many inputs there are."""
        return len(self.exits)


def execution(first: int, inputs: int, results: Results, trace: Trace, instructions: Instructions | None) -> Execution:
    """The outcome of a run over `inputs` inputs, the first of which is number `first` of a larger set.

    Raises:
        FirmwareError: where an input has no answer, or more than one.
    """
    return _answered(first, inputs, results.records, trace, instructions, results.stack_bytes)


def instructions(counts: Counts, results: Results, trace: Trace, inputs: int, options: Options) -> Instructions:
    """Counts of a run, per input, segment and op.

    Raises:
        FirmwareError: where there are not as many counts as calls and traced ops.
    """
    found = intervals(counts.kinds, results, trace, inputs, options)
    totals = np.diff(np.cumsum(counts.instructions.astype(np.int64))[found.calls], prepend=0)
    input_of, segment = found.input[found.calls], found.segment[found.calls]
    segments = np.zeros((inputs, int(segment.max(initial=-1)) + 1), dtype=np.int64)
    steps = segment >= 0
    segments[input_of[steps], segment[steps]] = totals[steps]
    before = np.zeros(inputs, dtype=np.int64)
    before[input_of[~steps]] = totals[~steps]
    ops = {op: readonly(counts.instructions[found.op == op], np.int64) for op in trace.ops}
    return Instructions(
        readonly(before, np.int64), readonly(segments, np.int64), MappingProxyType(ops), counts.functions
    )


def collect(executions: Iterable[Execution]) -> Execution:
    """All chunks of a run as one; for runs whose traces fit in memory.

    Raises:
        DataError: where there are none.
    """
    parts = list(executions)
    if not parts:
        raise DataError("no inputs were run")
    start = parts[0].first

    def rows(name: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(part.records, name) for part in parts])

    offset_rows = np.concatenate([part.records.input + (part.first - start) for part in parts])
    joined = ExitRecords(
        readonly(offset_rows, np.int32),
        *(rows(name) for name in ("exit", "label", "confidence", "fired", "ended", "logits")),
    )
    order = np.concatenate([np.add(part.trace.order, (part.first - start, 0)) for part in parts])
    ops = {op: _joined_op(op, parts, start) for op in sorted({op for part in parts for op in part.trace.ops})}
    trace = Trace(MappingProxyType(ops), readonly(order, np.int32))
    inputs = sum(part.inputs for part in parts)
    stack_bytes = max(part.stack_bytes for part in parts)
    return _answered(start, inputs, joined, trace, _joined_instructions(parts), stack_bytes)


def _answered(
    first: int,
    inputs: int,
    records: ExitRecords,
    trace: Trace,
    counted: Instructions | None,
    stack_bytes: int,
) -> Execution:
    last = np.flatnonzero(records.ended)
    if not np.array_equal(records.input[last], np.arange(inputs)):
        raise FirmwareError(f"{len(last)} answers to {inputs} inputs")

    def of_answer(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return readonly(rows[last], rows.dtype)

    return Execution(
        first=first,
        exits=of_answer(records.exit),
        labels=of_answer(records.label),
        confidence=of_answer(records.confidence),
        logits=of_answer(records.logits),
        records=records,
        trace=trace,
        instructions=counted,
        stack_bytes=stack_bytes,
    )


def _joined_op(op: int, parts: Sequence[Execution], start: int) -> OpTrace:
    having = [(part.first - start, part.trace.ops[op]) for part in parts if op in part.trace.ops]
    return OpTrace(
        readonly(np.concatenate([trace.inputs + offset for offset, trace in having]), np.int32),
        np.concatenate([trace.outputs for _, trace in having]),
    )


def _joined_instructions(parts: Sequence[Execution]) -> Instructions | None:
    counted = [part.instructions for part in parts if part.instructions is not None]
    if len(counted) != len(parts):
        return None
    width = max(part.segments.shape[1] for part in counted)
    segments = [np.pad(part.segments, ((0, 0), (0, width - part.segments.shape[1]))) for part in counted]
    return Instructions(
        readonly(np.concatenate([part.input_u8 for part in counted]), np.int64),
        readonly(np.concatenate(segments), np.int64),
        _merged([part.ops for part in counted], lambda same: readonly(np.concatenate(same), np.int64)),
        _merged([part.functions for part in counted], sum),
    )


def _merged(maps: Sequence[Mapping[Key, Value]], join: Callable[[list[Value]], Value]) -> Mapping[Key, Value]:
    keys = dict.fromkeys(key for each in maps for key in each)
    return MappingProxyType({key: join([each[key] for each in maps if key in each]) for key in keys})
