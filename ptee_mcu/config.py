"""The build config: what a TOML file may say, validated once, at the border."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError, model_validator

from ptee_mcu.budget import BudgetSection
from ptee_mcu.config_model import ModelSection, Section
from ptee_mcu.errors import ConfigError
from ptee_mcu.exits.asks import DEFAULT_ASKS, Ask, Quantity
from ptee_mcu.explain import explain
from ptee_mcu.frontends.load import c_name
from ptee_mcu.plan.settings import CODE_BYTES, STACK_BYTES, Mode, Objective, PlaceSettings
from ptee_mcu.project_kind import ProjectKind
from ptee_mcu.units import parse_bytes

_C_NAME = r"^[a-z][a-z0-9_]*$"
_S = TypeVar("_S", bound=Section)


class DataSection(Section):
    """`[data]`: images and how they become inputs."""

    source: str
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


class HeadTraining(Section):
    """`[exits.training]`: what differs from HeadRecipe; `labels = "true"` trains on labels, not on the backbone's."""

    epochs: int | None = Field(default=None, ge=1)
    lr: float | None = Field(default=None, gt=0)
    batch: int | None = Field(default=None, ge=1)
    weight_decay: float | None = Field(default=None, ge=0)
    loss: Literal["v0", "v1", "v2", "v3", "v4", "suffix"] | None = None
    cost_weight: float | None = Field(default=None, ge=0)  # lambda
    auxiliary: float | None = Field(default=None, ge=0)
    confidence: Literal["log_odds", "agreement"] | None = None
    kl: float | None = Field(default=None, ge=0)
    kl_temperature: float | None = Field(default=None, gt=0)
    survivors: float | None = Field(default=None, ge=0, le=1)
    incremental: bool | None = None
    nominal_costs: bool | None = None
    warmup: int | None = Field(default=None, ge=0)
    precision: Literal["float32", "bfloat16"] | None = None
    views: int | None = Field(default=None, ge=1)
    augment: Literal["none", "crop and flip"] | None = None
    labels: Literal["backbone", "true"] = "backbone"


def share(value: object) -> object:
    """A fraction of 1 from what people write: "1%" and "1pp" are 0.01; anything else as it is."""
    if isinstance(value, str) and (found := re.fullmatch(r"\s*([0-9.eE+-]+)\s*(%|pp)?\s*", value)):
        try:
            return float(found[1]) * (0.01 if found[2] else 1.0)
        except ValueError:
            return value
    return value


def _several(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


_Share = Annotated[float, BeforeValidator(share), Field(gt=0, lt=1)]
_Shares = Annotated[tuple[_Share, ...], BeforeValidator(_several)]
_Numbers = Annotated[tuple[Annotated[float, Field(gt=0)], ...], BeforeValidator(_several)]


class ExitsSection(Section):
    """`[exits]`: where branches attach, what they are, what must hold when they fire."""

    placement: Literal["search", "pareto", "fine", "linear", "golden", "names"] = "search"
    count: int | None = Field(default=None, ge=1)  # of exits, 3 where left out; with "search" the most, any number
    at: tuple[str, ...] = ()  # with "names": blocks of the backbone; with "search": the candidates, all where left out
    head: Literal[
        "pooled2", "pooled", "separable", "plain", "pool", "bnpool", "bnpool_relu", "conv1", "conv2", "conv3"
    ] = "pooled2"
    cascade: bool = False  # heads read the logits of the one before; with "search": those that are fitted anew
    tolerance: float = Field(default=0.02, ge=0, lt=1)  # with "search": share of the mean cost that an exit must save
    price: Literal["cycles", "macs"] = "cycles"  # with "search": what exits are weighed by; cycles on the board
    refit: bool = False  # with "search": the chosen exits get new heads, trained together
    training: HeadTraining = HeadTraining()
    max_disagreement: _Shares = ()
    max_drop: _Shares = ()
    mean_cost: _Numbers = ()
    mean_cycles: _Numbers = ()
    delta: float = Field(default=0.05, gt=0, lt=1)
    certify: bool = True  # False: thresholds by what the choosing images gave, which promises nothing of new ones

    @model_validator(mode="after")
    def _consistent(self) -> "ExitsSection":
        if self.at and self.placement not in ("names", "search"):
            raise ValueError(f'at is for placement = "names" or "search", not "{self.placement}"')
        if self.placement == "names" and (not self.at or self.count is not None):
            raise ValueError('placement = "names" wants at = [blocks] and no count')
        if self.placement == "search" and self.cascade and not self.refit:
            raise ValueError('with placement = "search" cascade wants refit = true: candidates stand alone')
        if self.placement != "search" and self.refit:
            raise ValueError('refit is for placement = "search"')
        if not self.certify and (self.max_drop or self.mean_cost or self.mean_cycles):
            raise ValueError("certify = false knows max_disagreement alone")
        return self

    @property
    def asks(self) -> tuple[Ask, ...]:
        """What is asked for, the default operating point first; 1, 3 and 10 % disagreement where nothing is."""
        given = (
            (Quantity.DISAGREEMENT, self.max_disagreement),
            (Quantity.DROP, self.max_drop),
            (Quantity.MEAN_COST, self.mean_cost),
            (Quantity.MEAN_CYCLES, self.mean_cycles),
        )
        return tuple(Ask(quantity, limit) for quantity, limits in given for limit in limits) or DEFAULT_ASKS


class QuantizeSection(Section):
    """`[quantize]`: how ranges are found and errors countered."""

    observer: Literal["minmax", "percentile", "mse"] = "mse"
    images: int = Field(default=200, ge=1)
    inputs: Path | None = None  # without [data]: a .npy of inputs that a float model file is calibrated on
    bias_correction: bool = False
    equalize: bool = False


_Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(ge=0)]


class TargetSection(Section):
    """`[target]`: the board, where constants lie on it, and what the application keeps for itself."""

    board: str = "mps2_an386"
    placement: Mode = Mode.AUTO
    minimize: Objective = Objective.MEAN
    stack: Annotated[_Bytes, Field(ge=512)] = STACK_BYTES
    flash_reserve: _Bytes = CODE_BYTES  # of the memory of code, for all code and the application's constants
    ram_reserve: _Bytes = 0  # of the main RAM, for the application's variables

    @property
    def place_settings(self) -> PlaceSettings:
        """The same as a value."""
        return PlaceSettings(self.placement, self.minimize, self.stack, self.flash_reserve, self.ram_reserve)


class BuildSection(Section):
    """`[build]`: the name of the C library, the seed of everything random, what is written around the library."""

    name: Annotated[str, StringConstraints(pattern=_C_NAME, max_length=40)]
    seed: int = 0
    cmsis_nn: Path | None = None  # a folder, or a version in the CMSIS-Pack cache; the installed 4.0.0 where left out
    crc: bool = False  # NAME_check, also at init: a CRC-32 over every constant
    yield_every_op: bool = False  # NAME_step_op, which runs one op
    # bare: start-up, linker script and self-test for the board; the others: for builds of their own
    project: ProjectKind | None = None


class Config(Section):
    """A whole build."""

    model: ModelSection
    data: DataSection | None = None  # absent: a model file is compiled as it is
    exits: ExitsSection | None = None  # absent: the network as it is
    quantize: QuantizeSection = QuantizeSection()
    target: TargetSection = TargetSection()
    budget: BudgetSection = BudgetSection()
    build: BuildSection

    @model_validator(mode="after")
    def _data_where_needed(self) -> "Config":
        if self.data is None and (self.model.file is None or self.exits is not None):
            what = "exits are trained" if self.exits is not None else f"{self.model.title} is trained and reported on"
            raise ValueError(f"section [data] is missing: {what}")
        if self.data is not None and self.quantize.inputs is not None:
            raise ValueError("quantize.inputs is for builds without [data], whose images serve for it")
        return self

    @property
    def images(self) -> DataSection:
        """`[data]`, for the stages that need it."""
        assert self.data is not None
        return self.data


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
        raise ConfigError(f"{path}: {explain(error, Config)}") from error


def of_model_file(model: Path, calibration: Path | None) -> Config:
    """The config that compiles the file `model` as it is; a float one is calibrated on inputs in `calibration`."""
    return Config(
        model=ModelSection(file=model.resolve()),
        quantize=QuantizeSection(inputs=calibration and calibration.resolve()),
        build=BuildSection(name=c_name(model.stem)),
    )


def with_target(
    config: Config,
    *,
    board: str | None,
    placement: Mode | None,
    project: ProjectKind | None,
    cmsis_nn: Path | None,
    crc: bool,
    yield_every_op: bool,
) -> Config:
    """`config` with what a command line gives of its board and of what is written for it in place of its own."""
    target = _with_given(config.target, {"board": board, "placement": placement})
    wanted = {"project": project, "cmsis_nn": cmsis_nn, "crc": crc or None, "yield_every_op": yield_every_op or None}
    return config.model_copy(update={"target": target, "build": _with_given(config.build, wanted)})


def _with_given(section: _S, given: Mapping[str, object]) -> _S:
    return section.model_copy(update={key: value for key, value in given.items() if value is not None})


def with_asks(config: Config, asked: Mapping[str, Sequence[str | float]], delta: float | None) -> Config:
    """`config` with the operating points of a command line in place of its own, where that gives any.

    Raises:
        ConfigError: where the config has no exits, or a value is out of range.
    """
    if not asked and delta is None:
        return config
    if config.exits is None:
        raise ConfigError(
            "operating points are asked for, and the config has no section [exits]",
            hint="add one, with [data]; --model compiles a file as it is",
        )
    kept = config.exits.model_dump()
    if asked:
        kept |= dict.fromkeys(("max_disagreement", "max_drop", "mean_cost", "mean_cycles"), ())
    changed = kept | dict(asked) | ({} if delta is None else {"delta": delta})
    try:
        return config.model_copy(update={"exits": ExitsSection.model_validate(changed)})
    except ValidationError as error:
        raise ConfigError(f"command line: {explain(error, ExitsSection)}") from error
