"""A board's TOML file: what it may say, and the checks that make a `Target` of it."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, ValidationError

from ptee_mcu.errors import ConfigError
from ptee_mcu.explain import did_you_mean, explain
from ptee_mcu.isa import Isa
from ptee_mcu.target import UNSOURCED, Cache, Debug, Energy, Holds, Kind, Region, Target
from ptee_mcu.units import parse_bytes, parse_hertz, show_bytes

_GUIDE = "docs/adding-a-target.md explains every field"
_ADDRESSES = 1 << 32
# Words that GNU ld 2.40 does not take for the name of a memory.
_LINKER_WORDS = re.compile(
    r"""ABSOLUTE|ADDR|ALIGN|ALIGNOF|ALIGN_WITH_INPUT|ASSERT|AT|BIND|BLOCK|CONSTANT|DATA_SEGMENT_ALIGN|DEFINED|ENTRY|EXTERN
    |FLOAT|FORCE_COMMON_ALLOCATION|GROUP|HIDDEN|HLL|INCLUDE|INHIBIT_COMMON_ALLOCATION|INPUT|LD_FEATURE|LENGTH|LOADADDR
    |LOG2CEIL|MAP|MAX|MEMORY|MIN|NEXT|NOCROSSREFS|NOFLOAT|NOLOAD|ONLY_IF_RO|ONLY_IF_RW|ORIGIN|OUTPUT|OVERLAY|PHDRS
    |PROVIDE|PROVIDE_HIDDEN|REGION_ALIAS|SEARCH_DIR|SECTIONS|SEGMENT_START|SIZEOF|SIZEOF_HEADERS|SPECIAL|STARTUP
    |SUBALIGN|SYSLIB|TARGET|VERSION|l|len|o|org""",
    re.VERBOSE,
)


def _sourced(text: str) -> str:
    said = text.strip()
    if not said:
        raise ValueError(f'a source is empty; say where the numbers come from, or "{UNSOURCED} why these values"')
    if said == UNSOURCED:
        raise ValueError(f'"{UNSOURCED}" needs a reason after it: why these values and no others')
    return said


def _named(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text):
        raise ValueError(f"{text!r} is no name: a letter, then letters, digits and _")
    if _LINKER_WORDS.fullmatch(text):
        raise ValueError(f"{text!r} is a word of linker scripts and names no memory in them; call it {text}_RAM, say")
    return text


_Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(gt=0)]
_Hertz = Annotated[int, BeforeValidator(parse_hertz), Field(gt=0)]
_Source = Annotated[str, AfterValidator(_sourced)]
_Name = Annotated[str, AfterValidator(_named)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _CacheSection(_Section):
    name: _Name
    size: _Bytes
    line: _Bytes
    ways: int = Field(gt=0)
    source: _Source


class _RegionSection(_Section):
    name: _Name
    kind: Kind
    base: int = Field(ge=0, lt=_ADDRESSES)
    size: _Bytes
    holds: tuple[Holds, ...] = Field(min_length=1)
    dma: StrictBool
    line: _Bytes
    wait_cycles: float = Field(ge=0, allow_inf_nan=False)
    data_cache: str | None = None
    instruction_cache: str | None = None
    source: _Source
    timing_source: _Source


class _EnergySection(_Section):
    run_ma: _Positive | None = None
    supply_v: _Positive | None = None
    run_mw: _Positive | None = None
    source: _Source


class _DebugSection(_Section):
    pyocd: str | None = None
    openocd: str | None = None
    probe_rs: str | None = None
    console: str | None = None
    source: _Source


class _BoardFile(_Section):
    title: str = Field(min_length=1)
    cpu: str = Field(min_length=1)
    isa: Isa
    flags: tuple[str, ...] = Field(min_length=1)
    clock: _Hertz
    clock_source: _Source
    machine: str | None = None
    emulated_only: StrictBool = False
    notes: tuple[str, ...] = ()
    regions: list[_RegionSection] = Field(min_length=1)
    caches: list[_CacheSection] = []
    energy: _EnergySection | None = None
    debug: _DebugSection | None = None


def parse(text: str, label: str) -> Target:
    """The board that `text` describes; its name is `label` as a C identifier.

    Raises:
        ConfigError: where `text` is no TOML, or says something that no board can be.
    """
    try:
        data = _BoardFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"board {label} is not valid TOML: {error}", hint=_GUIDE) from error
    except ValidationError as error:
        raise ConfigError(f"board {label}: {explain(error, _BoardFile)}", hint=_GUIDE) from error
    target = Target(
        name=re.sub(r"[^A-Za-z0-9_]", "_", label),
        title=data.title,
        cpu=data.cpu,
        isa=data.isa,
        flags=data.flags,
        clock_hz=data.clock,
        clock_source=data.clock_source,
        regions=tuple(_region(region) for region in data.regions),
        caches=tuple(Cache(c.name, c.size, c.line, c.ways, c.source) for c in data.caches),
        energy=Energy(**data.energy.model_dump()) if data.energy else None,
        debug=Debug(**data.debug.model_dump()) if data.debug else None,
        machine=data.machine,
        emulated_only=data.emulated_only,
        notes=data.notes,
    )
    for message, hint in _faults(target):
        raise ConfigError(f"board {label}: {message}", hint=hint)
    return target


def _region(data: _RegionSection) -> Region:
    return Region(
        name=data.name,
        kind=data.kind,
        base=data.base,
        nbytes=data.size,
        holds=data.holds,
        dma=data.dma,
        line_bytes=data.line,
        wait_cycles=data.wait_cycles,
        data_cache=data.data_cache,
        instruction_cache=data.instruction_cache,
        source=data.source,
        timing_source=data.timing_source,
    )


def _faults(target: Target) -> Iterator[tuple[str, str]]:
    """What makes `target` impossible, each with one thing to do about it."""
    yield from _doubled("memory", (region.name for region in target.regions))
    yield from _doubled("cache", (cache.name for cache in target.caches))
    for cache in target.caches:
        yield from _cache_faults(cache)
    for region in target.regions:
        yield from _region_faults(region, target)
    yield from _overlaps(target.regions)
    if not any({"code", "constants"} <= set(r.holds) and "data" not in r.holds for r in target.regions):
        yield (
            "no memory holds code and constants when power comes; one must, such as flash",
            'give the flash holds = ["code", "constants"]; "data" is for memories that programs write',
        )
    if not any("data" in region.holds for region in target.regions):
        yield "no memory holds data; stack, arena and variables need one", 'add the SRAM, with "data" among its holds'
    if target.energy:
        yield from _energy_faults(target.energy)


def _doubled(what: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name, times in Counter(names).items():
        if times > 1:
            yield f"{times} sections describe a {what} {name}; each name must be one of a kind", "rename all but one"


def _cache_faults(cache: Cache) -> Iterator[tuple[str, str]]:
    one_line_each = cache.ways * cache.line_bytes
    if cache.nbytes % one_line_each:
        sets = cache.nbytes / one_line_each
        yield (
            f"cache {cache.name}: {cache.nbytes} B are {sets:g} sets of {cache.ways} x {cache.line_bytes} B, not whole",
            f"where a line may lie anywhere, ways = {cache.nbytes // cache.line_bytes}",
        )


def _region_faults(region: Region, target: Target) -> Iterator[tuple[str, str]]:
    if region.end > _ADDRESSES:
        yield (
            f"{region.name}: {show_bytes(region.nbytes)} from {region.base:#010x} end past the last address 0xffffffff",
            "check base and size",
        )
    for what, number in (("base", region.base), ("size", region.nbytes)):
        if over := number % region.line_bytes:
            yield (
                f"{region.name}: its {what} {number:#x} lies {over} B past a whole line of {region.line_bytes} B",
                f"check {what} and line",
            )
    known = [cache.name for cache in target.caches]
    for field, name in (("data_cache", region.data_cache), ("instruction_cache", region.instruction_cache)):
        if name is None:
            continue
        if name not in known:
            yield (
                f"{region.name}: {field} = {name!r}, and the board has no such cache",
                did_you_mean(name, known) if known else f"describe it in a section [[caches]], or leave {field} out",
            )
        elif (line := next(c.line_bytes for c in target.caches if c.name == name)) % region.line_bytes:
            yield (
                f"{region.name}: a line of cache {name} has {line} B, no multiple of its own {region.line_bytes} B",
                "a line of the cache is filled by whole lines of the memory",
            )


def _overlaps(regions: Iterable[Region]) -> Iterator[tuple[str, str]]:
    for low, high in combinations(sorted(regions, key=lambda region: region.base), 2):
        shared = min(low.end, high.end) - high.base
        if shared > 0:
            yield (
                f"memories {low.name} ({_span(low)}) and {high.name} ({_span(high)}) share {shared} B",
                "an alias of a memory is no memory of its own: leave it out",
            )


def _span(region: Region) -> str:
    return f"{region.base:#010x} to {region.end - 1:#010x}"


def _energy_faults(energy: Energy) -> Iterator[tuple[str, str]]:
    if energy.run_mw is not None and (energy.run_ma is not None or energy.supply_v is not None):
        yield (
            f"energy: run_mw = {energy.run_mw:g} and a current or voltage beside it; one of the two is the truth",
            "keep run_ma and supply_v for a linear regulator, run_mw for a switching one",
        )
    elif (energy.run_ma is None) != (energy.supply_v is None):
        given, other = ("run_ma", "supply_v") if energy.supply_v is None else ("supply_v", "run_ma")
        yield (
            f"energy: {given} without {other} gives no power",
            f"add {other}, or leave both out: energy is then unknown",
        )
