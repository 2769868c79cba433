"""Cycles waited for memory, in closed form: misses from how often an array streams by and what the cache holds.

A stream that the cache does not hold misses on every line of every pass, one that it holds on its first pass only.
Caches replace the least recently used line of a set; arrays lie in one piece, so that a stream a little larger than the
cache overloads some sets and not others. Stores do not wait.
"""

from ptee_mcu.cycles.caches import Geometry, geometry, miss_cycles
from ptee_mcu.target import Region, Target

_ALIGN = 4  # of constants and slots: an array may start inside a line


def constant_stalls(
    nbytes: int, bytes_read: float, region: Region, target: Target, *, working_set: int, width: float = _ALIGN
) -> float:
    """Cycles waited for a constant of `nbytes` in `region` of which `bytes_read` stream by in all.

    `working_set`: bytes through the same cache between two passes over a byte, the constant's own included. `width`:
    bytes a load, which matters only where there is no cache.
    """
    return _stalls(nbytes, bytes_read, region, target, working_set, width)


def activation_stalls(nbytes: int, bytes_read: float, region: Region, target: Target, *, working_set: int) -> float:
    """The same for an input, an output or scratch."""
    return _stalls(nbytes, bytes_read, region, target, working_set, _ALIGN)


def code_stalls(lines: float, target: Target) -> float:
    """Cycles waited for `lines` of code that its cache did not hold."""
    region = target.code_region
    cache = target.cache(region.instruction_cache)
    return lines * miss_cycles(region, cache.line_bytes if cache else region.line_bytes)


def misses(nbytes: int, passes: float, cache: Geometry, working_set: int) -> float:
    """Lines of an array of `nbytes` that miss in `passes` passes over it."""
    if nbytes == 0 or passes == 0:
        return 0.0
    lines = (nbytes + cache.line_bytes - _ALIGN) / cache.line_bytes
    return lines * (min(passes, 1.0) + max(passes - 1.0, 0.0) * evicted(cache, working_set))


def evicted(cache: Geometry, working_set: int) -> float:
    """Share of the lines that are gone when a stream of `working_set` bytes comes by again."""
    way = cache.sets * cache.line_bytes
    return min(max((working_set - cache.ways * way) / way, 0.0), 1.0)


def _stalls(nbytes: int, bytes_read: float, region: Region, target: Target, working_set: int, width: float) -> float:
    if region.wait_cycles == 0 or nbytes == 0:
        return 0.0
    cache = target.cache(region.data_cache)
    if cache is None:
        return bytes_read / min(width, region.line_bytes) * region.wait_cycles
    return misses(nbytes, bytes_read / nbytes, geometry(cache), working_set) * miss_cycles(region, cache.line_bytes)
