"""What decides where constants lie: who, by which measure, and what memory is spoken for."""

from dataclasses import dataclass
from enum import Enum

from ptee_mcu.errors import ConfigError

STACK_BYTES = 4096  # CMSIS-NN firmware was measured at 0.6 to 1 KiB; interrupts and the caller come on top
CODE_BYTES = 32 * 1024  # kernels, run-time library and C library of the networks here take 12 to 24 KiB at -O3


class Mode(Enum):
    """Who decides: the optimizer, or a rule for all constants."""

    AUTO = "auto"
    FLASH = "flash"  # all in place where code lies; in other memory, in place too, only where that is full
    BOOT = "boot"  # all loaded at boot
    STAGED = "staged"  # all staged
    GREEDY = "greedy"  # in the order of execution loaded at boot while on-chip RAM has room; the rest as FLASH


class Objective(Enum):
    """What is least: cycles by reach, cycles with every segment and head entered, or energy.

    A core that computes draws the same power wherever it reads from, as far as published measurements show: energy is
    mean cycles times a constant, and its least is theirs.
    """

    MEAN = "mean"
    WORST = "worst"
    ENERGY = "energy"


@dataclass(frozen=True, slots=True)
class PlaceSettings:
    """How constants are placed; reserved bytes are the application's and the code's.

    Raises:
        ConfigError: where a number of bytes is negative.
    """

    mode: Mode = Mode.AUTO
    objective: Objective = Objective.MEAN
    stack_bytes: int = STACK_BYTES
    flash_reserve_bytes: int = CODE_BYTES
    ram_reserve_bytes: int = 0

    def __post_init__(self) -> None:
        """Holds bytes to what bytes can be."""
        for name in ("stack_bytes", "flash_reserve_bytes", "ram_reserve_bytes"):
            if (nbytes := getattr(self, name)) < 0:
                raise ConfigError(f"{name} is {nbytes}; it cannot be negative", hint="give 0 or more bytes")
