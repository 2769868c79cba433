"""C spelling of names, numbers and arrays."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import ConfigError, PteeError

_LINE = 120
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,47}")
# NAME.h would hide a header of this name, or NAME_t would be a type of this name.
_RESERVED = re.compile(
    r"""assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|signal|stdalign|stdarg
    |stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|tgmath|threads|time|uchar|wchar|wctype
    |size|ssize|ptrdiff|max_align|clock|char16|char32|u?int(ptr|max|(_least|_fast)?(8|16|32|64))
    |(ptee|arm_|cmsis).*""",
    re.IGNORECASE | re.VERBOSE,
)
_C_TYPES = {np.dtype(np.int8): "int8_t", np.dtype(np.int32): "int32_t"}
_LIMITS = {
    "i8": (-(2**7), 2**7 - 1),
    "u8": (0, 2**8 - 1),
    "i16": (-(2**15), 2**15 - 1),
    "u16": (0, 2**16 - 1),
    "i32": (-(2**31), 2**31 - 1),
    "u32": (0, 2**32 - 1),
}


class FieldRangeError(PteeError):
    """A number that its field in a generated descriptor cannot hold; names no node yet."""


def require_name(name: str) -> str:
    """`name`, fit to begin every identifier of a generated library.

    Raises:
        ConfigError: where it is no C identifier, or its files and types would hide others.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot begin C identifiers", hint="use a letter, then letters, digits and _, at most 48 in all"
        )
    if _RESERVED.fullmatch(name):
        raise ConfigError(
            f"{name!r} is taken: {name}.h or {name}_t would hide a C, CMSIS-NN or ptee one",
            hint=f"call it {name}_net, or something that says what the network does",
        )
    return name


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """A C identifier part for each of `names` (which differ): other characters become _, repetitions get a number."""
    taken: set[str] = set()
    found = {}
    for name in names:
        base = re.sub(r"[^A-Za-z0-9_]", "_", name)
        candidate, number = base, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{base}_{number}"
        taken.add(candidate.lower())  # macros are the upper-case form
        found[name] = candidate
    return found


def distinct_identifiers(names: Sequence[str], what: str) -> tuple[str, ...]:
    """A C identifier part for each of `names`, which an application spells: none is changed to differ from another.

    Raises:
        ConfigError: naming two of `what` that have one identifier, upper and lower case not told apart.
    """
    owner: dict[str, str] = {}
    found = []
    for name in names:
        part = re.sub(r"[^A-Za-z0-9_]", "_", name)
        if (other := owner.setdefault(part.upper(), name)) != name or names.count(name) > 1:
            raise ConfigError(
                f"{what} {other!r} and {name!r} have one name in C, {part.upper()}",
                hint="letters, digits and _ must tell their names apart",
            )
        found.append(part)
    return tuple(found)


def field(value: int, kind: str, what: str) -> str:
    """`value` as the initializer of a descriptor's field of `kind` (i8, u8, i16, u16, i32, u32).

    Raises:
        FieldRangeError: where the field cannot hold it; the caller names the node.
    """
    return ranged(value, *_LIMITS[kind], what)


def ranged(value: int, low: int, high: int, what: str) -> str:
    """`value` as an initializer, held to [low, high].

    Raises:
        FieldRangeError: where it lies outside.
    """
    number = int(value)
    if not low <= number <= high:
        raise FieldRangeError(f"{what} is {number}; the run-time library holds {low} to {high}")
    return integer(number)


def integer(value: int) -> str:
    """`value` as a C constant; INT32_MIN has none of its own."""
    return "(-2147483647 - 1)" if value == -(2**31) else str(value)


def single(value: float) -> str:
    """`value` as the shortest C float constant that gives the nearest single-precision number."""
    return f"{np.float32(value)!s}f"


def c_type(array: npt.NDArray[Any]) -> str:
    """Element type of an int8 or int32 array."""
    return _C_TYPES[array.dtype]


def rows(array: npt.NDArray[Any]) -> str:
    """Lines of comma-separated numbers, 20 int8 or 10 int32 each, indented by four."""
    flat = [integer(value) for value in array.ravel().tolist()]
    per_row = 20 if array.dtype == np.int8 else 10
    lines = (", ".join(flat[start : start + per_row]) for start in range(0, len(flat), per_row))
    return "\n".join(f"    {line}," for line in lines)


def comment(text: object) -> str:
    """`text` made safe to stand inside a C comment, on one line."""
    plain = "".join(c if c.isprintable() and c.isascii() else "?" for c in str(text))
    return plain.replace("*/", "* /").replace("/*", "/ *")[:_LINE]
