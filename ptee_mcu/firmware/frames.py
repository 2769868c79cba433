"""Frames of the UART protocol of the application `measure`: see measure.c of a bare project."""

import struct
import time
import zlib
from dataclasses import dataclass
from enum import IntEnum

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware.port import Port

_MARK = b"PM"
_HEAD = struct.Struct("<BI")
_CRC = struct.Struct("<I")
_HEAD_BYTES = len(_MARK) + _HEAD.size
_LONGEST = 1 << 20  # of a payload; a longer one is noise that looks like a head


class Kind(IntEnum):
    """Types of frames."""

    HELLO = 1
    RUN = 2
    ANSWER = 3
    REFUSED = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """A type and its payload."""

    kind: int
    payload: bytes


class NoAnswerError(FirmwareError):
    """Nothing that is a whole frame came in time."""


def packed(frame: Frame) -> bytes:
    """`frame` as bytes."""
    body = _HEAD.pack(frame.kind, len(frame.payload)) + frame.payload
    return _MARK + body + _CRC.pack(zlib.crc32(body))


def receive(port: Port, timeout_s: float) -> Frame:
    """The next whole frame; what is none is passed over.

    Raises:
        NoAnswerError: where none comes within `timeout_s`; the message tells what came instead.
    """
    deadline = time.monotonic() + timeout_s
    came = bytearray()
    start = 0
    while True:
        found, start = _next(came, start)
        if found is not None:
            return found
        new = port.read(_LONGEST, max(deadline - time.monotonic(), 0.0))
        if not new:
            raise NoAnswerError(f"no answer within {timeout_s:g} s{_said(came)}", hint="is `measure` on the board?")
        came += new


def _next(came: bytearray, start: int) -> tuple[Frame | None, int]:
    """The first whole frame from `start` on, or where to look when more has come."""
    while (at := came.find(_MARK, start)) >= 0:
        if len(came) < at + _HEAD_BYTES:
            return None, at
        kind, nbytes = _HEAD.unpack_from(came, at + len(_MARK))
        end = at + _HEAD_BYTES + nbytes
        if nbytes <= _LONGEST:
            if len(came) < end + _CRC.size:
                return None, at
            if _CRC.unpack_from(came, end)[0] == zlib.crc32(bytes(came[at + len(_MARK) : end])):
                return Frame(kind, bytes(came[at + _HEAD_BYTES : end])), end
        start = at + 1
    return None, max(start, len(came) - 1)


def _said(came: bytearray) -> str:
    if not came:
        return "; nothing came"
    return f"; {len(came)} bytes came that are no frame: {bytes(came[-80:]).decode('ascii', errors='replace')!r}"
