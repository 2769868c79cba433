"""What is written around an emitted library."""

from enum import StrEnum


class ProjectKind(StrEnum):
    """Start-up code, linker script and self-test for the board, or files for the build system of this name."""

    BARE = "bare"
    PACK = "pack"
    ZEPHYR = "zephyr"
    ARDUINO = "arduino"
    STM32CUBE = "stm32cube"
