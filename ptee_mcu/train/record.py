"""How a weights file came about, kept in its header: readable without torch."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from ptee_mcu.data import Dataset, Split, divide
from ptee_mcu.errors import ModelError
from ptee_mcu.train.recipe import BackboneRecipe, usual_augment

KEY = "ptee_training"  # in the metadata of a .safetensors file
Setting: TypeAlias = str | int | float | None


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """What was trained on what.

    Attributes:
        model: name of the network.
        options: of the network, such as its width.
        dataset: name of the data set.
        images: trained on.
        images_sha256: of those images and their places in the training part, see `images_digest`.
        held_out: images that were kept for thresholds.
        recipe: settings of the training.
        seed: of weights, order and augmentation.
        accuracy: on the report split, float32, 0..1.
        release: of ptee-mcu.
    """

    model: str
    options: Mapping[str, float]
    dataset: str
    images: int
    images_sha256: str
    held_out: int
    recipe: Mapping[str, Setting]
    seed: int
    accuracy: float
    release: str


def recipe_settings(recipe: BackboneRecipe, image_shape: tuple[int, ...]) -> dict[str, Setting]:
    """The fields of `recipe` as JSON values, the usual augmentation named."""
    settings = asdict(recipe) | {"augment": recipe.augment or usual_augment(image_shape)}
    return {name: value.value if isinstance(value, Enum) else value for name, value in settings.items()}


def images_digest(split: Split) -> str:
    """SHA-256 in hexadecimal of a split's index (int64, little endian) and of its images' bytes."""
    total = sha256(np.ascontiguousarray(split.index, "<i8").data)
    total.update(np.ascontiguousarray(split.x).data)
    return total.hexdigest()


def as_json(record: TrainingRecord) -> str:
    """`record` as text, keys in a fixed order."""
    return json.dumps(asdict(record), sort_keys=True, allow_nan=False)


def training_record(path: Path) -> TrainingRecord | None:
    """The record in the weights file `path`; None where it holds none, as every file from elsewhere.

    Raises:
        ModelError: where a .safetensors file cannot be read, or its record is damaged.
    """
    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(KEY)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"weights file {path} cannot be read: {error}", hint="it is missing, damaged or cut short: train it again"
        ) from error
    if text is None:
        return None
    try:
        return TypeAdapter(TrainingRecord).validate_json(text)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or KEY
        raise ModelError(
            f"weights file {path}: its training record is damaged at {where}: {error.errors()[0]['msg']}",
            hint="train it again, or save the tensors alone to a new file",
        ) from error


def trained_here(record: TrainingRecord, dataset: Dataset) -> bool:
    """Whether the weights have seen the training split of `divide(dataset, pretrained=False)` and nothing else of it.

    If so, that division is the right one for them, as if they had been trained in the build: what it holds out is
    unseen.
    """
    if record.dataset != dataset.name:
        return False
    return record.images_sha256 == images_digest(divide(dataset, pretrained=False).train)
