"""Boards: core, clock, memories, caches, energy, debugging."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ptee_mcu.isa import Isa
from ptee_mcu.units import milliseconds

Kind: TypeAlias = Literal["flash", "sram", "tcm", "external"]
Holds: TypeAlias = Literal["code", "constants", "data"]
NULL_BYTES = 16  # kept free at address 0: C and CMSIS-NN take what lies there for missing; as aligned as an arena
UNSOURCED = "unsourced:"  # how a source begins that is none, with the reason for the number after it


@dataclass(frozen=True, slots=True)
class Cache:
    """A cache or flash accelerator: lines of one size, replaced least recently used first within a set.

    `ways` lines form a set; `nbytes // line_bytes` ways make it fully associative.
    """

    name: str
    nbytes: int
    line_bytes: int
    ways: int
    source: str


@dataclass(frozen=True, slots=True)
class Region:
    """A memory.

    `holds`: what may live there. `line_bytes`: what one read of the memory itself brings. `wait_cycles`: core cycles by
    which such a read takes longer than one of memory that never waits. `data_cache` and `instruction_cache` name the
    board's caches before it; None where every read reaches the memory.
    """

    name: str
    kind: Kind
    base: int
    nbytes: int
    holds: tuple[Holds, ...]
    dma: bool
    line_bytes: int
    wait_cycles: float
    data_cache: str | None
    instruction_cache: str | None
    source: str  # of base and size
    timing_source: str  # of line and wait cycles

    @property
    def end(self) -> int:
        """One past the last address."""
        return self.base + self.nbytes

    @property
    def null_bytes(self) -> int:
        """Bytes at its start that hold nothing: none but at address 0, such as in an ITCM, where no vectors lie."""
        vectors = "code" in self.holds and "data" not in self.holds
        return NULL_BYTES if self.base == 0 and not vectors else 0


@dataclass(frozen=True, slots=True)
class Energy:
    """What the running core draws at the board's clock: a current where a linear regulator feeds it, else a power."""

    run_ma: float | None
    supply_v: float | None
    run_mw: float | None
    source: str

    @property
    def milliwatts(self) -> float | None:
        """Power while it computes; None where it is not known."""
        if self.run_mw is not None:
            return self.run_mw
        return None if self.run_ma is None or self.supply_v is None else self.run_ma * self.supply_v


@dataclass(frozen=True, slots=True)
class Debug:
    """What debuggers call the board, and its console; None where they do not know it."""

    pyocd: str | None
    openocd: str | None
    probe_rs: str | None
    console: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Target:
    """A board. `flags` are the architecture flags of arm-none-eabi-gcc."""

    name: str
    title: str
    cpu: str
    isa: Isa
    flags: tuple[str, ...]
    clock_hz: int
    clock_source: str
    regions: tuple[Region, ...]
    caches: tuple[Cache, ...]
    energy: Energy | None
    debug: Debug | None
    machine: str | None  # the QEMU machine that stands for it
    emulated_only: bool = False  # nobody can buy it
    notes: tuple[str, ...] = ()  # what a user of the board does well to know

    def region(self, name: str) -> Region:
        """The memory called `name`."""
        return next(region for region in self.regions if region.name == name)

    def cache(self, name: str | None) -> Cache | None:
        """The cache called `name`; None where that is None."""
        return None if name is None else next(cache for cache in self.caches if cache.name == name)

    @property
    def code_region(self) -> Region:
        """Where code, and constants that nothing moves, lie: the first memory that is not written and holds code."""
        return next(r for r in self.regions if "code" in r.holds and "data" not in r.holds)

    @property
    def main_ram(self) -> Region:
        """Where stack and variables lie: the largest memory of the chip that holds data, the first of equals.

        One beside the chip, which start-up code must switch on first, only where no other holds data.
        """
        return max((r for r in self.regions if "data" in r.holds), key=lambda r: (r.kind != "external", r.nbytes))

    @property
    def milliwatts(self) -> float | None:
        """Power while it computes; None where it is not known."""
        return self.energy.milliwatts if self.energy else None

    def milliseconds(self, cycles: float) -> float:
        """`cycles` at the board's clock."""
        return milliseconds(cycles, self.clock_hz)

    def microjoules(self, cycles: float) -> float | None:
        """Energy of `cycles` at the power of the running core; None where that is unknown."""
        power = self.milliwatts
        return None if power is None else self.milliseconds(cycles) * power

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """Where the numbers come from: what they are, and their source, in the order of the fields."""
        memories = (
            pair
            for r in self.regions
            for pair in ((f"{r.name}: base, size", r.source), (f"{r.name}: line, wait cycles", r.timing_source))
        )
        return (
            ("clock", self.clock_source),
            *memories,
            *((f"cache {cache.name}: size, line, ways", cache.source) for cache in self.caches),
            *((("energy", self.energy.source),) if self.energy else ()),
            *((("debugger and console names", self.debug.source),) if self.debug else ()),
        )

    def nbytes(self, *kinds: Kind) -> int:
        """Bytes of all memories of these kinds."""
        return total(region for region in self.regions if region.kind in kinds)


def is_unsourced(source: str) -> bool:
    """True where `source` says that there is none."""
    return source.startswith(UNSOURCED)


def total(regions: Iterable[Region]) -> int:
    """Bytes of `regions` together."""
    return sum(region.nbytes for region in regions)
