"""What lets a library check itself: the CRC-32 of its constants, and the hash that tells two builds apart."""

import hashlib
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ptee_mcu.emit_view import View
from ptee_mcu.quant_graph import CONTRACT

ABI_PLACEHOLDER = "ptee_abi_of_this_build"  # stands in rendered files until their hash is known

_STRUCT = re.compile(r"^typedef struct \{\n(.*?)^\} (ptee_\w+_t);", re.MULTILINE | re.DOTALL)
_MEMBERS = re.compile(r"^    (?:const )?(u?int(?:8|16|32)_t) (.*?);", re.MULTILINE)
_DESCRIPTOR = re.compile(r"^static const (ptee_\w+_t) (\w+) = \{\n((?:    \.\w+ = .*,\n)+)\};", re.MULTILINE)
_TABLE = re.compile(
    r"^static const (u?int\d+_t) (\w+)\[[^\]]*\] = \{([-\d, ]+|(?:UINT32_C\(\d+\)(?:, )?)+)\};$", re.MULTILINE
)
_NUMBER = re.compile(r"-?\b\d+\b")
_FIELD = re.compile(r"^    \.(\w+) = (.*),$", re.MULTILINE)
_FORMATS = {"int8_t": "b", "uint8_t": "B", "int16_t": "h", "uint16_t": "H", "int32_t": "i", "uint32_t": "I"}
_SMALLEST = {"(-2147483647 - 1)": -(2**31)}


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes to go over: a C expression for their address, and what they must be."""

    at: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """A pointer among the constants: C expressions for where it lies and what it must hold."""

    at: str
    to: str


@dataclass(frozen=True, slots=True)
class Check:
    """All constants that a network reads while it runs."""

    spans: tuple[Span, ...]
    links: tuple[Link, ...]

    @property
    def crc(self) -> str:
        """CRC-32 of all spans, one after the other, in hexadecimal."""
        crc = 0
        for span in self.spans:
            crc = zlib.crc32(span.content, crc)
        return f"0x{crc:08x}"


@dataclass(frozen=True, slots=True)
class _Layout:
    """A struct of the run-time library: pointers, then numbers with their formats, in order."""

    pointers: tuple[str, ...]
    numbers: tuple[tuple[str, str], ...]

    def packed(self, values: Mapping[str, str]) -> bytes:
        """The bytes of the numbers in little endian; C gives zero to those that `values` leaves out."""
        found = bytearray()
        for name, kind in self.numbers:
            found += bytes(-len(found) % struct.calcsize(kind))
            text = values.get(name, "0")
            found += struct.pack(f"<{kind}", _SMALLEST.get(text) or int(text))
        return bytes(found)


def check(view: View, source: str, runtime_header: str) -> Check:
    """The check of the library that `view` became.

    Args:
        view: the arrays, images and thresholds.
        source: NAME.c, whose descriptors are read.
        runtime_header: ptee_runtime.h, which declares them.
    """
    spans = [Span(array.name, _little(array.values)) for array in view.arrays]
    links: list[Link] = []
    known = layouts(runtime_header)
    for kind, name, body in _DESCRIPTOR.findall(source):
        layout, fields = known[kind], dict(_FIELD.findall(body))
        links += [Link(f"&{name}.{pointer}", fields[pointer]) for pointer in layout.pointers]
        spans.append(Span(f"&{name}.{layout.numbers[0][0]}", layout.packed(fields)))
    for image in view.images:
        for i, copy in enumerate(image.copies):
            at = f"{image.id}_copies[{i}]"
            links.append(Link(f"&{at}.bytes", copy.name))
            spans.append(Span(f"&{at}.offset", struct.pack("<II", copy.offset, copy.values.size)))
        links.append(Link(f"&{image.id}.copies", f"{image.id}_copies"))
        spans.append(Span(f"&{image.id}.count", struct.pack("<I", len(image.copies))))
    for c_type, name, numbers in _TABLE.findall(source):
        values = [int(number) for number in _NUMBER.findall(numbers)]
        spans.append(Span(name, struct.pack(f"<{len(values)}{_FORMATS[c_type]}", *values)))
    if len(view.exits) > 1:
        kind = {"int8_t": np.int8, "int16_t": np.int16}[view.table.c_type]
        spans.append(Span("threshold_table", _little(np.array(view.table.rows, kind))))
    return Check(tuple(spans), tuple(links))


def layouts(runtime_header: str) -> dict[str, _Layout]:
    """The structs of the run-time library by name, as far as they hold integers and pointers to them.

    Pointers lead in each of them and no bytes lie between the numbers' own alignments, so that from the first number on
    a struct is the same for processors with pointers of 4 and of 8 bytes.
    """
    found = {}
    for body, name in _STRUCT.findall(runtime_header):
        pointers: list[str] = []
        numbers: list[tuple[str, str]] = []
        for c_type, names in _MEMBERS.findall(body):
            for member in names.split(", "):
                if member.startswith("*"):
                    pointers.append(member[1:])
                else:
                    numbers.append((member, _FORMATS[c_type]))
        found[name] = _Layout(tuple(pointers), tuple(numbers))
    return found


def abi(rendered: Mapping[str, str | bytes]) -> str:
    """The hash of a build, in hexadecimal: of the contract and of every file that was made from the plan.

    The first 32 bits of a SHA-256, over `rendered` files in which `ABI_PLACEHOLDER` still stands.
    """
    total = hashlib.sha256(CONTRACT.encode())
    for path in sorted(rendered):
        content = rendered[path]
        data = content if isinstance(content, bytes) else content.encode()
        total.update(f"\0{path}\0{len(data)}\0".encode() + data)
    return f"0x{total.hexdigest()[:8]}"


def stamped(rendered: Mapping[str, str | bytes], found: str) -> dict[str, str | bytes]:
    """`rendered` files with the hash `found` where it belongs."""
    return {
        path: content if isinstance(content, bytes) else content.replace(ABI_PLACEHOLDER, found)
        for path, content in rendered.items()
    }


def _little(values: npt.NDArray[Any]) -> bytes:
    return values.astype(values.dtype.newbyteorder("<")).tobytes()
