"""To which input, segment and op each interval between marks belongs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware.count import CALL, OP
from ptee_mcu.firmware.records import InputForm, Options, Results, Trace
from ptee_mcu.tensor import readonly

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Per interval (i,): `input` from 0; `segment`: which NAME_step, -1 for the call that takes pixels, 0 of NAME_run.

    `op`: the op whose end ends it, -1 where the call's end does. `calls`: intervals that end a call.
    """

    input: Int64
    segment: Int64
    op: Int64
    calls: Int64


def intervals(kinds: npt.NDArray[np.integer], results: Results, trace: Trace, inputs: int, form: Options) -> Intervals:
    """Where intervals of these `kinds` (OP, CALL) belong in a run over `inputs` inputs.

    Raises:
        FirmwareError: where there are not as many as calls and traced ops.
    """
    pixels = form.input is InputForm.PIXELS
    rows = results.records.input
    calls = np.flatnonzero(kinds == CALL)
    if len(calls) != len(rows) + inputs * pixels:
        raise FirmwareError(f"{len(calls)} calls were counted; {len(rows)} exits of {inputs} inputs were evaluated")
    # Each input starts with its pixel call, where there is one; then one call per evaluated exit.
    steps = np.arange(len(rows)) + (rows + 1) * pixels
    input_of = np.zeros(len(calls), dtype=np.int64)
    segment_of = np.full(len(calls), -1, dtype=np.int64)
    input_of[steps] = rows
    input_of[np.delete(np.arange(len(calls)), steps)] = np.arange(inputs * pixels)
    segment_of[steps] = np.arange(len(rows)) - np.searchsorted(rows, rows)
    ops = np.full(len(kinds), -1, dtype=np.int64)
    ends = np.flatnonzero(kinds == OP)
    if len(trace.order):
        if len(ends) != len(trace.order):
            raise FirmwareError(f"{len(ends)} ops were counted, {len(trace.order)} were traced")
        ops[ends] = trace.order[:, 1]
    call = np.searchsorted(calls, np.arange(len(kinds)))
    return Intervals(
        readonly(input_of[call], np.int64),
        readonly(segment_of[call], np.int64),
        readonly(ops, np.int64),
        readonly(calls, np.int64),
    )
