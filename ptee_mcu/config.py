"""The build config: what a TOML file may say, validated once, at the border."""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ptee_mcu.errors import ConfigError

_C_NAME = r"^[a-z][a-z0-9_]*$"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSection(_Section):
    """`[model]`: the backbone."""

    name: str
    weights: Path | None = None  # absent: the backbone is trained in the build
    epochs: int | None = Field(default=None, ge=1)  # of that training
    lr: float | None = Field(default=None, gt=0)


class DataSection(_Section):
    """`[data]`: images and how they become inputs."""

    source: str
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


class ExitsSection(_Section):
    """`[exits]`: where branches attach, what they are, when they may fire."""

    placement: Literal["fine", "names"] = "fine"
    count: int = Field(default=3, ge=1)
    at: tuple[str, ...] = ()  # with placement = "names": blocks of the backbone
    head: Literal["pooled", "pool", "conv1", "conv2", "conv3"] = "pooled"
    max_disagreement: float = Field(default=0.01, ge=0, le=1)
    cost_weight: float | None = Field(default=None, ge=0)  # lambda of PTEEnet's loss
    auxiliary: float | None = Field(default=None, ge=0)  # weight of what is added to it; 0: PTEEnet's loss alone
    epochs: int | None = Field(default=None, ge=1)
    lr: float | None = Field(default=None, gt=0)


class QuantizeSection(_Section):
    """`[quantize]`: how ranges are found and errors countered."""

    observer: Literal["minmax", "percentile", "mse"] = "mse"
    images: int = Field(default=200, ge=1)
    bias_correction: bool = False
    equalize: bool = False


class TargetSection(_Section):
    """`[target]`: the board."""

    board: str = "mps2_an386"


class BuildSection(_Section):
    """`[build]`: the name of the C library, and the seed of everything random."""

    name: Annotated[str, StringConstraints(pattern=_C_NAME, max_length=40)]
    seed: int = 0


class Config(_Section):
    """A whole build."""

    model: ModelSection
    data: DataSection
    exits: ExitsSection | None = None  # absent: the network as it is
    quantize: QuantizeSection = QuantizeSection()
    target: TargetSection = TargetSection()
    build: BuildSection


def load_config(path: Path) -> Config:
    """The config in the TOML file at `path`.

    Raises:
        ConfigError: where the file is missing, is not TOML, or says something that no build understands; the
            nearest known key is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"config file {path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {path} cannot be read: {error}") from error
    try:
        return Config.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    return "; ".join(_explain_one(item["loc"], item["type"], item["msg"]) for item in error.errors())


def _explain_one(location: tuple[int | str, ...], kind: str, message: str) -> str:
    place = ".".join(map(str, location))
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.4)
        advice = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return f"unknown key {place!r}; {advice}"
    if kind == "missing":
        return f"{place} is missing"
    if kind == "string_pattern_mismatch":
        return f"{place} must be a C identifier in lower case (a-z, 0-9, _)"
    return f"{place}: {re.sub('^Input', 'the value', message)}"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Config
    for part in location:
        annotation = model.model_fields[part].annotation
        options = [a for a in (annotation, *getattr(annotation, "__args__", ())) if isinstance(a, type)]
        model = next(a for a in options if issubclass(a, BaseModel))
    return sorted(model.model_fields)
