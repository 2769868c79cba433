"""Caches and flash accelerators of a board as sets and ways, and what a line costs that is not there."""

from dataclasses import dataclass

from ptee_mcu.errors import ConfigError
from ptee_mcu.target import Cache, Region, Target


@dataclass(frozen=True, slots=True)
class Geometry:
    """`sets` sets of `ways` lines, each the least recently used first out; one line of one set is a read buffer."""

    sets: int
    ways: int
    line_bytes: int


def geometry(cache: Cache) -> Geometry:
    """How the lines of `cache` are arranged.

    Raises:
        ConfigError: where its numbers do not fit together, or lines and sets are no powers of two.
    """
    lines, rest = divmod(cache.nbytes, cache.line_bytes)
    sets, odd = divmod(lines, cache.ways)
    if rest or odd or not sets:
        raise ConfigError(
            f"cache {cache.name}: {cache.nbytes} B are not sets of {cache.ways} lines of {cache.line_bytes} B",
            hint="size = sets * ways * line",
        )
    for what, number in (("lines of {} B", cache.line_bytes), ("{} sets", sets)):
        if number & (number - 1):
            raise ConfigError(
                f"cache {cache.name} has {what.format(number)}, which is no power of two",
                hint="correct size, line or ways in the board's file",
            )
    return Geometry(sets, cache.ways, cache.line_bytes)


def in_front_of(target: Target, region: Region) -> tuple[Geometry, Geometry]:
    """What loads and what fetches from `region` go through: a cache, or a buffer that holds the line read last.

    Raises:
        ConfigError: as `geometry`, and where a region's line is no power of two.
    """
    line = region.line_bytes
    if line & (line - 1):
        raise ConfigError(f"region {region.name} has lines of {line} B, which is no power of two")
    buffer = Geometry(1, 1, line)
    data, instructions = target.cache(region.data_cache), target.cache(region.instruction_cache)
    return geometry(data) if data else buffer, geometry(instructions) if instructions else buffer


def miss_cycles(region: Region, line_bytes: int) -> float:
    """Cycles that a missed line of `line_bytes` costs: the wait of each read of the memory that brings it."""
    return region.wait_cycles * -(-line_bytes // region.line_bytes)
