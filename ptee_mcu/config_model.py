"""The section `[model]` of a config: where the backbone comes from and how it is trained."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_Value = bool | int | float | str
_FACTORY = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"


class Section(BaseModel):
    """A table of a config: frozen, and without keys that no build understands."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _argument(value: object) -> object:
    if all(isinstance(each, _Value) for each in (value if isinstance(value, list | tuple) else [value])):
        return value
    raise ValueError("a number, a text, true, false or a list of these is expected")


_Argument = Annotated[_Value | tuple[_Value, ...], BeforeValidator(_argument)]


class BackboneTraining(Section):
    """`[model.training]`: what differs from the network's own recipe; see BackboneRecipe."""

    epochs: int | None = Field(default=None, ge=1)
    lr: float | None = Field(default=None, gt=0)
    batch: int | None = Field(default=None, ge=1)
    weight_decay: float | None = Field(default=None, ge=0)
    optimizer: Literal["adam", "sgd"] | None = None
    momentum: float | None = Field(default=None, ge=0, lt=1)
    schedule: Literal["cosine", "one cycle"] | None = None
    label_smoothing: float | None = Field(default=None, ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] | None = None
    augment: Literal["none", "crop and flip"] | None = None


class ModelSection(Section):
    """`[model]`: the backbone: one of ours, a trained one in a file, or whatever a function of the user's makes."""

    name: str | None = None  # of a network that ships
    file: Path | None = None  # .tflite, .onnx, .keras, .h5, .pt2, or the folder of a SavedModel
    factory: str | None = None  # "package.module:function"
    arguments: dict[str, _Argument] = Field(default_factory=dict)
    blocks: tuple[str, ...] = ()  # of the factory's module: paths of submodules behind which exits may attach
    weights: Path | None = None  # of name or factory; absent: the backbone is trained in the build
    width: float | None = Field(default=None, gt=0)  # of name: multiplies all channels
    training: BackboneTraining = BackboneTraining()

    @model_validator(mode="after")
    def _one_source(self) -> "ModelSection":
        given = [key for key in ("name", "file", "factory") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"one of name (a network that ships), file (a model file) and factory (package.module:function) is "
                f"needed, {' and '.join(given) if given else 'none'} given"
            )
        kept = {"name": {"weights", "width", "training"}, "file": set[str]()}.get(
            given[0], {"arguments", "blocks", "weights", "training"}
        )
        if wrong := sorted(self.model_fields_set - kept - set(given)):
            raise ValueError(f"{wrong[0]} does not go with {given[0]}")
        if self.factory is not None and not re.fullmatch(_FACTORY, self.factory):
            raise ValueError(f"factory {self.factory!r} is not of the form package.module:function")
        return self

    @property
    def title(self) -> str:
        """What messages call it."""
        return self.name or self.factory or str(self.file)

    @property
    def trained(self) -> bool:
        """True where it comes with its weights."""
        return self.file is not None or self.weights is not None
