"""The files that harness.c reads and writes: options in, evaluated exits and op outputs out."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import ConfigError, FirmwareError
from ptee_mcu.tensor import Int8, Int32, readonly

_OPTIONS_MAGIC = 0x4F455450
_RESULTS_MAGIC = 0x52455450
_END_MAGIC = 0x45455450
_HEAD = struct.Struct("<6I")
_END = struct.Struct("<4I")
_OP = struct.Struct("<3I")


class InputForm(IntEnum):
    """What the inputs are: int8 codes, or uint8 pixels for NAME_input_u8."""

    CODES = 0
    PIXELS = 1


class Calls(IntEnum):
    """How an inference is called: NAME_step until it is done, which shows every exit; or NAME_run once."""

    STEPS = 0
    RUN = 1


class TraceForm(IntEnum):
    """What a traced build records per op: nothing, that it ran, or its output."""

    NONE = 0
    HEADS = 1
    OUTPUTS = 2


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: thresholds replace those of the default operating point (128: never, -128: always).

    `points`: numbers of operating points; none for the compiled default, one for all inputs, or several that
    NAME_set_operating_point switches between, from input to input and again from the first after the last.

    Raises:
        ConfigError: where both are given: either undoes the other.
    """

    thresholds: Mapping[int, int] = field(default_factory=dict)
    input: InputForm = InputForm.CODES
    calls: Calls = Calls.STEPS
    trace: TraceForm = TraceForm.NONE
    points: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuses thresholds beside operating points."""
        if self.thresholds and self.points:
            raise ConfigError(
                f"operating points {list(self.points)} and thresholds of exits {sorted(self.thresholds)} exclude "
                "each other",
                hint="give one of them",
            )

    def encode(self, inputs: int, first: int = 0) -> bytes:
        """The options file for inputs `first` to `first + inputs - 1` of a run."""
        points = self.points
        if len(points) > 1:
            points = tuple(points[i % len(points)] for i in range(first, first + inputs))
        words = (_OPTIONS_MAGIC, inputs, self.input, self.calls, self.trace, len(self.thresholds), len(points))
        thresholds = b"".join(struct.pack("<Ii", at, value) for at, value in sorted(self.thresholds.items()))
        return struct.pack(f"<{len(words)}I", *words) + thresholds + struct.pack(f"<{len(points)}I", *points)


@dataclass(frozen=True, slots=True, eq=False)
class ExitRecords:
    """Every evaluated exit, in order of execution; one row each.

    `input` counts from 0 within the run. `ended` marks the row that answered: one per input.
    """

    input: Int32
    exit: Int32
    label: Int32
    confidence: Int32
    fired: npt.NDArray[np.bool_]
    ended: npt.NDArray[np.bool_]
    logits: Int8  # (rows, classes)


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """The results file: the network's constants, the records and the deepest stack of a call (0 on the host)."""

    arena_bytes: int
    input_bytes: int
    classes: int
    exits: int
    stack_bytes: int
    records: ExitRecords


@dataclass(frozen=True, slots=True, eq=False)
class OpTrace:
    """Outputs of one op: row i belongs to input `inputs[i]` (from 0 within the run)."""

    inputs: Int32
    outputs: Int8  # (rows, bytes)


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Outputs per op index, and the order in which ops ran: (input, op) per row."""

    ops: Mapping[int, OpTrace]
    order: Int32


def decode_results(raw: bytes, inputs: int) -> Results:
    """The results of a run over `inputs` inputs.

    Raises:
        FirmwareError: where the file is not whole.
    """
    if len(raw) < _HEAD.size + _END.size:
        raise FirmwareError(f"the results hold {len(raw)} B: the run did not finish")
    magic, arena_bytes, input_bytes, classes, exits, _ = _HEAD.unpack_from(raw)
    end_magic, done, stack_bytes, _ = _END.unpack_from(raw, len(raw) - _END.size)
    kind = np.dtype([("words", "<i4", 6), ("logits", "i1", (classes + 3) // 4 * 4)])
    body = raw[_HEAD.size : len(raw) - _END.size]
    if magic != _RESULTS_MAGIC or end_magic != _END_MAGIC or done != inputs or len(body) % kind.itemsize:
        raise FirmwareError(f"the results of {inputs} inputs are not whole: {done} done, {len(raw)} B")
    rows = np.frombuffer(body, dtype=kind)
    words = rows["words"]
    records = ExitRecords(
        input=readonly(words[:, 0], np.int32),
        exit=readonly(words[:, 1], np.int32),
        label=readonly(words[:, 2], np.int32),
        confidence=readonly(words[:, 3], np.int32),
        fired=readonly(words[:, 4] != 0, np.bool_),
        ended=readonly(words[:, 5] != 0, np.bool_),
        logits=readonly(rows["logits"][:, :classes], np.int8),
    )
    return Results(arena_bytes, input_bytes, classes, exits, stack_bytes, records)


def decode_trace(raw: bytes) -> Trace:
    """The trace file of a run.

    Raises:
        FirmwareError: where it is not whole, or an op's output changes size between inputs.
    """
    order: list[tuple[int, int]] = []
    found: dict[int, list[tuple[int, int, int]]] = {}
    at = 0
    while at < len(raw):
        if at + _OP.size > len(raw):
            raise FirmwareError(f"the trace ends inside a record, at byte {at}")
        index, op, nbytes = _OP.unpack_from(raw, at)
        at += _OP.size
        if at + nbytes > len(raw):
            raise FirmwareError(f"the trace ends inside the output of op {op}, at byte {at} of {len(raw)}")
        order.append((index, op))
        found.setdefault(op, []).append((index, at, nbytes))
        at += nbytes
    view = np.frombuffer(raw, dtype=np.int8)
    ops = {}
    for op, places in sorted(found.items()):
        sizes = {nbytes for _, _, nbytes in places}
        if len(sizes) != 1:
            raise FirmwareError(f"op {op}: its output has {min(sizes)} to {max(sizes)} B in one run")
        nbytes = sizes.pop()
        outputs = np.empty((len(places), nbytes), dtype=np.int8)
        for row, (_, start, _) in enumerate(places):
            outputs[row] = view[start : start + nbytes]
        outputs.flags.writeable = False
        ops[op] = OpTrace(readonly([index for index, _, _ in places], np.int32), outputs)
    return Trace(MappingProxyType(ops), readonly(np.array(order, dtype=np.int32).reshape(-1, 2), np.int32))
