"""Boards: memories, core and clock."""

from dataclasses import dataclass
from typing import Literal

from ptee_mcu.isa import Isa


@dataclass(frozen=True, slots=True)
class Region:
    """A memory: where it starts, how large it is, what it is made of."""

    name: str
    kind: Literal["flash", "sram"]
    base: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Target:
    """A board."""

    name: str
    title: str
    cpu: str
    isa: Isa
    clock_hz: int
    regions: tuple[Region, ...]
    machine: str | None  # name of the QEMU machine that stands for it

    def nbytes(self, kind: Literal["flash", "sram"]) -> int:
        """Bytes of all regions of a kind."""
        return sum(region.nbytes for region in self.regions if region.kind == kind)
