"""Tests that need a program: skipped by name where it is missing, failed where CI says that everything is there."""

import os

import pytest

from ptee_mcu.errors import ToolMissingError
from ptee_mcu.firmware import cmsis_nn, tools


def require(*programs: str) -> None:
    """Skips the running test where one of `programs` is not installed; with CI=true it fails.

    "cmsis-nn" stands for the CMSIS-NN sources.
    """
    for program in programs:
        try:
            _ = cmsis_nn.locate() if program == "cmsis-nn" else tools.find(program)
        except ToolMissingError as error:
            if os.environ.get("CI", "").lower() in {"1", "true"}:
                pytest.fail(f"{program} is missing on CI: {error}")
            pytest.skip(f"{program} is not installed")
