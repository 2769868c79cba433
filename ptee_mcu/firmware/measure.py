"""Inputs over a UART to the application `measure`, answers and cycles back."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import DataError, FirmwareError
from ptee_mcu.firmware.frames import Frame, Kind, NoAnswerError, packed, receive
from ptee_mcu.firmware.port import Port
from ptee_mcu.tensor import Int8, readonly

FREE = 255  # leave as the thresholds say
_VERSION = 1
_HELLO = struct.Struct("<BIII")
_ANSWER = struct.Struct("<IIIiII")
_DONE = 2  # PTEE_DONE
_TRIES = 4
_HELLO_S = 2.0
_SILENCE_S = 0.2
_OVERHEAD = 12  # bytes of a frame around its payload, and more
_REASONS = {b"\x01": "the CRC was wrong", b"\x02": "type or length were wrong"}


@dataclass(frozen=True, slots=True)
class Device:
    """What is at the other end; `counter`: what counts its cycles."""

    network: str
    input_bytes: int
    classes: int
    exits: int
    counter: str


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Per input: exit, label, confidence, logits (N, classes), cycles; and the deepest stack of the run in bytes."""

    device: Device
    exits: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.int32]
    logits: Int8
    cycles: npt.NDArray[np.int64]
    stack_bytes: int
    retries: int  # frames that had to be sent again

    @property
    def mean_cycles(self) -> dict[int, float]:
        """Of the inputs that left at each exit that any left at."""
        used = sorted(set(self.exits.tolist()))
        return {leave: float(self.cycles[self.exits == leave].mean()) for leave in used}


def greet(port: Port, *, input_bytes: int) -> Device:
    """Who is there.

    `input_bytes`: of the network that is expected, so that a transfer that was cut off can be ended first.

    Raises:
        FirmwareError: where nobody answers, or somebody of another version.
    """
    frame, _ = _asked(port, Frame(Kind.HELLO, b""), Kind.HELLO, _HELLO_S, input_bytes)
    version, nbytes, classes, exits = _HELLO.unpack_from(frame.payload)
    if version != _VERSION:
        raise FirmwareError(f"`measure` speaks version {version}, this program {_VERSION}", hint="flash it again")
    counter, name, _ = frame.payload[_HELLO.size :].split(b"\0")
    return Device(name.decode(), nbytes, classes, exits, counter.decode())


def measure(
    port: Port,
    codes: Int8,
    *,
    name: str,
    leave: int | None = None,
    timeout_s: float = 30.0,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Answers to `codes` (N, ...), int8, by network `name`: leaving by the default operating point, or at exit `leave`.

    Raises:
        DataError: where there are no inputs.
        FirmwareError: where another network answers, none does within `timeout_s`, or it fails.
    """
    if not len(codes):
        raise DataError("no inputs to measure")
    rows = codes.reshape(len(codes), -1)
    device = greet(port, input_bytes=rows.shape[1])
    if (device.network, device.input_bytes) != (name, rows.shape[1]):
        raise FirmwareError(
            f"network {device.network!r} with inputs of {device.input_bytes} B answers; "
            f"{name!r} with {rows.shape[1]} B was asked",
            hint="flash the application `measure` of this build",
        )
    if leave is not None and not 0 <= leave < device.exits:
        raise DataError(f"no exit {leave}; {name!r} has exits 0 to {device.exits - 1}")
    words: list[tuple[int, ...]] = []
    logits: list[Int8] = []
    retries = 0
    for i, row in enumerate(rows):
        request = Frame(Kind.RUN, bytes([FREE if leave is None else leave]) + row.tobytes())
        frame, again = _asked(port, request, Kind.ANSWER, timeout_s, rows.shape[1])
        retries += again
        if len(frame.payload) != _ANSWER.size + device.classes:
            raise FirmwareError(f"input {i}: an answer of {len(frame.payload)} B, not {_ANSWER.size + device.classes}")
        answer = _ANSWER.unpack_from(frame.payload)
        if answer[0] != _DONE:
            raise FirmwareError(f"input {i}: the network returned status {answer[0]}, see ptee_runtime.h")
        words.append(answer)
        logits.append(np.frombuffer(frame.payload, np.int8, offset=_ANSWER.size))
        if progress is not None:
            progress(i + 1, len(rows))
    table = np.array(words, dtype=np.int64)
    return Measured(
        device,
        exits=readonly(table[:, 1], np.int32),
        labels=readonly(table[:, 2], np.int32),
        confidence=readonly(table[:, 3], np.int32),
        logits=readonly(np.stack(logits), np.int8),
        cycles=readonly(table[:, 4], np.int64),
        stack_bytes=int(table[:, 5].max()),
        retries=retries,
    )


def _asked(port: Port, request: Frame, expected: Kind, timeout_s: float, input_bytes: int) -> tuple[Frame, int]:
    """The answer to `request`, and how often it was sent again.

    Before it is, zeros as long as the longest frame end what the other end may still be waiting for.
    """
    refusal: str | None = None
    for attempt in range(_TRIES):
        if attempt:
            port.write(bytes(input_bytes + _OVERHEAD))
            heard = _drain(port)
        port.write(packed(request))
        try:
            frame = receive(port, timeout_s)
        except NoAnswerError:
            if attempt and refusal is None and not heard:
                raise
            continue
        if frame.kind == expected:
            return frame, attempt
        refusal = _REASONS.get(frame.payload, f"a frame of type {frame.kind} came")
    raise FirmwareError(f"asked {_TRIES} times in vain: {refusal}", hint="check the wires, or lower BOARD_BAUD")


def _drain(port: Port) -> bool:
    """Whether anything came before the line was silent."""
    heard = False
    while port.read(4096, _SILENCE_S):
        heard = True
    return heard
