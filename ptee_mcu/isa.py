"""Instruction sets that CMSIS-NN has kernels for."""

from enum import Enum


class Isa(Enum):
    """Which variant of the CMSIS-NN kernels a core runs."""

    SCALAR = "scalar"
    DSP = "dsp"
    MVE = "mve"
