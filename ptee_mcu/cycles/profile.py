"""A priced trace as people read it: functions by cycles, bytes by memory, time, energy and how far to trust it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

import numpy.typing as npt

from ptee_mcu.cycles.price import Priced, Tally
from ptee_mcu.firmware.trace_file import UNSTOPPED


@dataclass(frozen=True, slots=True)
class Row:
    """A function, or all of them. `read` and `written`: bytes of loads and stores, by region of the board."""

    name: str
    instructions: int
    cycles: float
    compute: float
    code: float
    data: float
    read: Mapping[str, int]
    written: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a program costs on a board. `functions`: the dearest first. `passes`: cycles of each interval.

    `microjoules` is None where the board's power is not known; `error`: percent by which the cycles may lie below and
    above what the board measures, None where nothing is known of it.
    """

    target: str
    core: str
    clock_hz: int
    functions: tuple[Row, ...]
    total: Row
    passes: tuple[float, ...]
    milliseconds: float
    microjoules: float | None
    error: tuple[float, float] | None
    checked: str

    def as_json(self) -> dict[str, object]:
        """Plain values for `json`."""
        rows = [_plain(row) for row in self.functions]
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return plain | {"functions": rows, "total": _plain(self.total)}

    @property
    def trust(self) -> str:
        """The error bar in words."""
        if self.error is None:
            return (
                f"{self.core}: how far these cycles are from measured ones is not known; checked against {self.checked}"
            )
        low, high = self.error
        return (
            f"{self.core}: priced cycles lie {low:+g} to {high:+g} % from measured ones; checked against {self.checked}"
        )


def profile(priced: Priced) -> Profile:
    """The profile of `priced`; functions that took no cycles are left out."""
    rows = [_row(priced, priced.by_function, i, name) for i, name in enumerate(priced.functions)]
    ran = sorted((row for row in rows if row.instructions), key=lambda row: (-row.cycles, row.name))
    total = _row(priced, priced.by_interval, slice(None), "total")
    return Profile(
        target=priced.target.name,
        core=priced.core.name,
        clock_hz=priced.target.clock_hz,
        functions=tuple(ran),
        total=total,
        passes=tuple(priced.by_interval.cycles[priced.kinds != UNSTOPPED].tolist()) or (total.cycles,),
        milliseconds=priced.target.milliseconds(total.cycles),
        microjoules=priced.target.microjoules(total.cycles),
        error=priced.core.error,
        checked=priced.core.checked,
    )


def _row(priced: Priced, tally: Tally, at: int | slice, name: str) -> Row:
    def total(values: npt.NDArray[Any]) -> float:
        return float(values[at].sum())

    def by_region(values: npt.NDArray[Any]) -> Mapping[str, int]:
        names = [*dict.fromkeys(window.region for window in priced.windows)]
        found = {region: int(values[at][..., priced.columns(region=region)].sum()) for region in names}
        found["elsewhere"] = int(values[at][..., -1].sum())
        return MappingProxyType({region: nbytes for region, nbytes in found.items() if nbytes})

    return Row(
        name=name or "(no function)",
        instructions=int(total(tally.instructions)),
        cycles=total(tally.cycles),
        compute=total(tally.compute),
        code=total(tally.code),
        data=total(tally.data),
        read=by_region(tally.read),
        written=by_region(tally.written),
    )


def _plain(row: Row) -> dict[str, object]:
    plain = {field.name: getattr(row, field.name) for field in fields(row)}
    return plain | {"read": dict(row.read), "written": dict(row.written)}
