"""Compiler for early-exit int8 neural networks on Cortex-M microcontrollers."""

from pathlib import Path

__version__ = "0.1.0"

_here = Path(__file__).parent
if not (_here / "sim").is_dir():
    # In a checkout sim/, templates/ and targets/ stand beside this folder; installed, they stand inside it.
    __path__.append(str(_here.parent))
