"""Boards by name or file: what a target's TOML says, validated."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ptee_mcu.errors import ConfigError
from ptee_mcu.isa import Isa
from ptee_mcu.target import Region, Target


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _RegionFile(_Model):
    name: str
    kind: Literal["flash", "sram"]
    base: int = Field(ge=0)
    nbytes: int = Field(gt=0)
    source: str


class _TargetFile(_Model):
    title: str
    cpu: str
    isa: Isa
    clock_hz: int = Field(gt=0)
    clock_source: str
    machine: str | None = None
    regions: list[_RegionFile] = Field(min_length=1)


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
    return Target(
        name=label,
        title=data.title,
        cpu=data.cpu,
        isa=data.isa,
        clock_hz=data.clock_hz,
        regions=tuple(Region(r.name, r.kind, r.base, r.nbytes) for r in data.regions),
        machine=data.machine,
    )
