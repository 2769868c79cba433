"""Boards that tests invent."""

from ptee_mcu.isa import Isa
from ptee_mcu.target import Region, Target


def region(name: str, kind: str, base: int, nbytes: int, *, wait_cycles: float = 0.0, line_bytes: int = 4) -> Region:
    """A memory without a cache; flash and external memory hold code and constants, the others data too."""
    fixed = ("code", "constants")
    return Region(
        name=name,
        kind=kind,  # type: ignore[arg-type]
        base=base,
        nbytes=nbytes,
        holds=fixed if kind in ("flash", "external") else (*fixed, "data"),  # type: ignore[arg-type]
        dma=True,
        line_bytes=line_bytes,
        wait_cycles=wait_cycles,
        data_cache=None,
        instruction_cache=None,
        source="invented",
        timing_source="invented",
    )


def tiny_board(
    *, flash: int = 1 << 22, sram: int = 1 << 20, isa: Isa = Isa.DSP, more: tuple[Region, ...] = (), wait: float = 0.0
) -> Target:
    """A Cortex-M4 with one flash and one SRAM, and `more` memories."""
    return Target(
        name="tiny_board",
        title="Tiny",
        cpu="cortex-m4",
        isa=isa,
        flags=("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
        clock_hz=1_000_000,
        clock_source="invented",
        regions=(
            region("FLASH", "flash", 0, flash, wait_cycles=wait, line_bytes=8),
            region("SRAM", "sram", 1 << 29, sram),
            *more,
        ),
        caches=(),
        energy=None,
        debug=None,
        machine="mps2-an386",
    )
