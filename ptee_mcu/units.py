"""Sizes, frequencies and times: as people write them, a number and its unit; rounded up; from cycles."""

import re
from decimal import Decimal

_BYTES = {"B": 1, "KIB": 1024, "MIB": 1024**2, "GIB": 1024**3, "KB": 1000, "MB": 1000**2, "GB": 1000**3}
_HERTZ = {"HZ": 1, "KHZ": 1000, "MHZ": 1000**2, "GHZ": 1000**3}


def parse_bytes(text: object) -> int:
    """Bytes of "256 KiB", "1.5 MiB", "64 kB" (1000) or "576 B".

    Raises:
        ValueError: where the unit is missing or unknown, or no whole number of bytes results.
    """
    return _parse(text, _BYTES, "a size", "576 B, 256 KiB, 2 MiB")


def parse_hertz(text: object) -> int:
    """Hertz of "120 MHz".

    Raises:
        ValueError: as `parse_bytes`.
    """
    return _parse(text, _HERTZ, "a frequency", "120 MHz, 32768 Hz")


def rounded_up(nbytes: int, unit: int) -> int:
    """`nbytes` rounded up to a multiple of `unit`."""
    return -(-nbytes // unit) * unit


def milliseconds(cycles: float, clock_hz: int) -> float:
    """`cycles` at a clock."""
    return 1e3 * cycles / clock_hz


def show_bytes(nbytes: float) -> str:
    """`nbytes` for people, exact: "49,728 B", with KiB or MiB where it is a whole number of those."""
    for unit, factor in (("MiB", 1024**2), ("KiB", 1024)):
        if nbytes and nbytes % factor == 0:
            return f"{nbytes // factor:,.0f} {unit}"
    return f"{nbytes:,.0f} B"


def show_hertz(hertz: int) -> str:
    """`hertz` for people, exact: "120 MHz", with MHz or kHz where it is a whole number of those."""
    for unit, factor in (("MHz", 1000**2), ("kHz", 1000)):
        if hertz and hertz % factor == 0:
            return f"{hertz // factor:,} {unit}"
    return f"{hertz:,} Hz"


def _parse(text: object, units: dict[str, int], what: str, like: str) -> int:
    match = re.fullmatch(
        r"\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", text if isinstance(text, str) else str(text)
    )
    if match is None or match[2].upper() not in units:
        why = "its unit is missing" if match and not match[2] else "it is not a number with a unit"
        raise ValueError(f"{text!r} is not {what}: {why}; write such as {like}")
    exact = Decimal(match[1]) * units[match[2].upper()]
    if exact != int(exact):
        raise ValueError(f"{text!r} is not {what}: {exact:g} is not whole")
    return int(exact)
