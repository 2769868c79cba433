"""How training runs: plain values, readable without torch."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from ptee_mcu.errors import ConfigError
from ptee_mcu.tensor import Shape
from ptee_mcu.train.confidence import ConfidenceTarget

Progress: TypeAlias = Callable[[int, int, str], None]  # steps done, steps in all, what is going on


class Augment(Enum):
    """What is done to each training image anew every epoch."""

    NONE = "none"
    CROP_FLIP = "crop and flip"  # 4 zero pixels on each side, a random crop of the old size, mirrored half of the time


class Loss(Enum):
    """The mixture losses of EENet (v0 to v4; Demir and Akbas, arXiv 2409.05336) and PTEEnet (suffix sum)."""

    V0 = "v0"
    V1 = "v1"
    V2 = "v2"
    V3 = "v3"
    V4 = "v4"
    SUFFIX = "suffix"


class Optimizer(Enum):
    """What follows the gradient."""

    ADAM = "adam"
    SGD = "sgd"  # with Nesterov momentum


class Schedule(Enum):
    """How the learning rate goes."""

    COSINE = "cosine"  # from `lr` to zero
    ONE_CYCLE = "one cycle"  # up to `lr` over the first 30 % of the steps, then down to next to nothing


class Precision(Enum):
    """What the multiplications of training are done in; parameters stay float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"  # about twice as fast where the processor has it


def usual_augment(image_shape: Shape) -> Augment:
    """CROP_FLIP for photographs as CIFAR's (32, 32, 3), NONE for what a mirror would change, such as digits."""
    return Augment.CROP_FLIP if image_shape == (32, 32, 3) else Augment.NONE


def no_progress(done: int, total: int, text: str) -> None:
    """Reports nothing."""


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """Training of exit heads: Adam, learning rate falling to zero as a cosine.

    `loss` is V0, under which no exit sees another, or a mixture loss with `cost_weight` as its lambda. `auxiliary`
    weighs what is added: cross-entropy of every exit on all images, and the confidence's distance to its target
    (`confidence`: by default the log-odds of its own classifier's first choice). `kl` weighs the divergence from the
    backbone's outputs, both softened by `kl_temperature`. `survivors`, in [0, 1], has each head train on what earlier
    exits would pass on. `incremental` trains one head after another. `nominal_costs` charges an exit as the papers do,
    with its own head alone. `warmup` epochs train by v0 ahead of `loss`, EENet's two stages. `views` is how many
    augmented views of each image are kept, used in turn by the epochs; `augment` None: what is usual for the images'
    shape.
    """

    epochs: int = 10
    lr: float = 2e-3
    batch: int = 128
    weight_decay: float = 1e-4
    loss: Loss = Loss.V0
    cost_weight: float = 0.9
    auxiliary: float = 1.0
    confidence: ConfidenceTarget = ConfidenceTarget.LOG_ODDS
    kl: float = 0.0
    kl_temperature: float = 2.0
    survivors: float = 0.0
    incremental: bool = False
    nominal_costs: bool = False
    warmup: int = 0
    seed: int = 0
    augment: Augment | None = None
    views: int = 2
    precision: Precision = Precision.FLOAT32

    def __post_init__(self) -> None:
        _require_positive(
            epochs=self.epochs, lr=self.lr, batch=self.batch, kl_temperature=self.kl_temperature, views=self.views
        )
        _require_not_negative(
            weight_decay=self.weight_decay,
            cost_weight=self.cost_weight,
            auxiliary=self.auxiliary,
            kl=self.kl,
            survivors=self.survivors,
            warmup=self.warmup,
            seed=self.seed,
        )
        if self.loss is Loss.V0 and not self.auxiliary:
            raise ConfigError(
                "loss v0 with auxiliary 0 teaches no confidence",
                hint='choose another loss, such as "suffix", or auxiliary = 1',
            )


@dataclass(frozen=True, slots=True)
class BackboneRecipe:
    """Training of a backbone by cross-entropy.

    `augment` None: what is usual for the images' shape. `momentum` is SGD's.
    """

    epochs: int = 30
    lr: float = 3e-3
    batch: int = 64
    weight_decay: float = 1e-4
    seed: int = 0
    augment: Augment | None = None
    optimizer: Optimizer = Optimizer.ADAM
    momentum: float = 0.9
    schedule: Schedule = Schedule.COSINE
    label_smoothing: float = 0.0
    precision: Precision = Precision.FLOAT32

    def __post_init__(self) -> None:
        _require_positive(epochs=self.epochs, lr=self.lr, batch=self.batch)
        _require_not_negative(
            weight_decay=self.weight_decay,
            seed=self.seed,
            momentum=self.momentum,
            label_smoothing=self.label_smoothing,
        )


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ConfigError(f"{name} is {value}, it must be above 0")


def _require_not_negative(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0:
            raise ConfigError(f"{name} is {value}, it must not be negative")
