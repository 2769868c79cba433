"""How training runs: plain values, readable without torch."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from ptee_mcu.errors import ConfigError
from ptee_mcu.tensor import Shape

Progress: TypeAlias = Callable[[int, int, str], None]  # steps done, steps in all, what is going on


class Augment(Enum):
    """What is done to each training image anew every epoch."""

    NONE = "none"
    CROP_FLIP = "crop and flip"  # 4 zero pixels on each side, a random crop of the old size, mirrored half of the time


def usual_augment(image_shape: Shape) -> Augment:
    """CROP_FLIP for photographs as CIFAR's (32, 32, 3), NONE for what a mirror would change, such as digits."""
    return Augment.CROP_FLIP if image_shape == (32, 32, 3) else Augment.NONE


def no_progress(done: int, total: int, text: str) -> None:
    """Reports nothing."""


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """Training of exit heads: Adam, learning rate falling to zero as a cosine.

    `cost_weight` is lambda of the mixture loss. `auxiliary` weighs what is added to it: cross-entropy of every exit
    on all images, and the confidence's distance to the log-odds of its own classifier's first choice; 0 leaves
    PTEEnet's loss alone. `augment` None: what is usual for the images' shape.
    """

    epochs: int = 6
    lr: float = 2e-3
    batch: int = 128
    weight_decay: float = 1e-4
    cost_weight: float = 0.9
    auxiliary: float = 1.0
    seed: int = 0
    augment: Augment | None = None

    def __post_init__(self) -> None:
        _require_positive(epochs=self.epochs, lr=self.lr, batch=self.batch)
        _require_not_negative(
            weight_decay=self.weight_decay, cost_weight=self.cost_weight, auxiliary=self.auxiliary, seed=self.seed
        )


@dataclass(frozen=True, slots=True)
class BackboneRecipe:
    """Training of a backbone by cross-entropy: Adam, learning rate falling to zero as a cosine.

    `augment` None: what is usual for the images' shape.
    """

    epochs: int = 30
    lr: float = 3e-3
    batch: int = 64
    weight_decay: float = 1e-4
    seed: int = 0
    augment: Augment | None = None

    def __post_init__(self) -> None:
        _require_positive(epochs=self.epochs, lr=self.lr, batch=self.batch)
        _require_not_negative(weight_decay=self.weight_decay, seed=self.seed)


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ConfigError(f"{name} is {value}, it must be above 0")


def _require_not_negative(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0:
            raise ConfigError(f"{name} is {value}, it must not be negative")
