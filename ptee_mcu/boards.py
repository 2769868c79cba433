"""Boards by name or file: what a target's TOML says, validated."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ptee_mcu.errors import ConfigError
from ptee_mcu.isa import Isa
from ptee_mcu.target import Cache, Debug, Energy, Holds, Kind, Region, Target
from ptee_mcu.units import parse_bytes, parse_hertz


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(gt=0)]
Hertz = Annotated[int, BeforeValidator(parse_hertz), Field(gt=0)]


class _CacheFile(_Model):
    name: str
    size: Bytes
    line: Bytes
    ways: int = Field(gt=0)
    source: str


class _RegionFile(_Model):
    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    kind: Kind
    base: int = Field(ge=0)
    size: Bytes
    holds: tuple[Holds, ...] = Field(min_length=1)
    dma: bool
    line: Bytes
    wait_cycles: float = Field(ge=0)
    data_cache: str | None = None
    instruction_cache: str | None = None
    source: str
    timing_source: str


class _EnergyFile(_Model):
    run_ma: float | None = Field(default=None, gt=0)
    supply_v: float | None = Field(default=None, gt=0)
    run_mw: float | None = Field(default=None, gt=0)
    source: str


class _DebugFile(_Model):
    pyocd: str | None = None
    openocd: str | None = None
    probe_rs: str | None = None
    console: str | None = None
    source: str


class _TargetFile(_Model):
    title: str
    cpu: str
    isa: Isa
    flags: tuple[str, ...] = Field(min_length=1)
    clock: Hertz
    clock_source: str
    machine: str | None = None
    regions: list[_RegionFile] = Field(min_length=1)
    caches: list[_CacheFile] = []
    energy: _EnergyFile | None = None
    debug: _DebugFile | None = None


def names() -> tuple[str, ...]:
    """Names of the boards that ship with the package."""
    folder = files("ptee_mcu.targets")
    return tuple(sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml")))


def load(name: str) -> Target:
    """The board called `name`, or described by the TOML file at that path.

    Raises:
        ConfigError: where there is no such board or its file is not valid.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"target file {name} does not exist")
        text, label = path.read_text(encoding="utf-8"), path.stem
    elif name in names():
        text, label = files("ptee_mcu.targets").joinpath(f"{name}.toml").read_text(encoding="utf-8"), name
    else:
        raise ConfigError(f"no board is called {name!r}", hint=f"known boards: {', '.join(names())}; or a .toml path")
    try:
        data = _TargetFile.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigError(f"board {label}: {error}") from error
    return _target(re.sub(r"[^A-Za-z0-9_]", "_", label), data)


def _target(name: str, data: _TargetFile) -> Target:
    return Target(
        name=name,
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
    )


def _region(data: _RegionFile) -> Region:
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
