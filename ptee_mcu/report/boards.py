"""Boards for people and for programs: the list, one board with every number and its source, JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

from ptee_mcu.report.tables import plain_table
from ptee_mcu.target import Energy, Region, Target, is_unsourced
from ptee_mcu.units import show_bytes, show_hertz

_MARK = " ?"  # after a number that nobody stands for
_LEGEND = "? unsourced: chosen for the reason given; what is computed from it is no better than that"


def as_json(board: Target) -> dict[str, object]:
    """A board's fields, its power, and which of its numbers have no source."""
    return asdict(board) | {
        "isa": board.isa.value,
        "milliwatts": board.milliwatts,
        "unsourced": [what for what, source in board.sources if is_unsourced(source)],
    }


def board_list(boards: Sequence[Target]) -> Table:
    """One row per board."""
    table = plain_table()
    for header in ("name", "board", "core", "MHz", "flash", "SRAM", "external", "mW", "emulated by"):
        table.add_column(header, no_wrap=True)
    for board in boards:
        table.add_row(
            board.name, escape(board.title), board.cpu, f"{board.clock_hz / 1e6:g}{_mark(board.clock_source)}",
            _kib(board.nbytes("flash")), _kib(board.nbytes("sram", "tcm")),
            _kib(board.nbytes("external")) if board.nbytes("external") else "", _power(board), board.machine or "",
        )  # fmt: skip
    return table


def board_head(board: Target) -> Iterator[str]:
    """What a board is: core, clock, energy, emulator, debuggers."""
    yield f"{board.title} ({board.name}){': an emulator alone has it' if board.emulated_only else ''}"
    yield f"  core      {board.cpu}, {board.isa.value}; {' '.join(board.flags)}"
    yield f"  clock     {show_hertz(board.clock_hz)}{_mark(board.clock_source)}"
    yield f"  energy    {_energy(board.energy)}"
    yield f"  emulator  {board.machine or 'none'}"
    debug = board.debug
    known = () if debug is None else (("pyOCD", debug.pyocd), ("OpenOCD", debug.openocd), ("probe-rs", debug.probe_rs))
    yield f"  debuggers {', '.join(f'{tool}: {name}' for tool, name in known if name) or 'none known'}"
    yield f"  console   {debug.console if debug and debug.console else 'unknown'}"


def memory_table(board: Target) -> Table:
    """One row per memory."""
    table = plain_table("memories")
    for header in ("name", "kind", "base", "size", "holds", "DMA", "line", "wait cycles", "data cache", "instr. cache"):
        table.add_column(header, no_wrap=True)
    for region in board.regions:
        table.add_row(*_memory(region))
    return table


def cache_table(board: Target) -> Table:
    """One row per cache or flash accelerator."""
    table = plain_table("caches")
    for header in ("name", "size", "line", "ways", "sets"):
        table.add_column(header, no_wrap=True)
    for cache in board.caches:
        mark = _mark(cache.source)
        sets = cache.nbytes // (cache.line_bytes * cache.ways)
        table.add_row(
            cache.name, show_bytes(cache.nbytes) + mark, show_bytes(cache.line_bytes) + mark,
            f"{cache.ways}{mark}", f"{sets}{mark}",
        )  # fmt: skip
    return table


def board_remarks(board: Target) -> Iterator[str]:
    """The source of every number, then what a user does well to know."""
    yield "sources"
    for what, source in board.sources:
        yield f"  {what}{_mark(source)}: {source}"
    if board.notes:
        yield "notes"
        yield from (f"  {note}" for note in board.notes)
    if any(is_unsourced(source) for _, source in board.sources):
        yield _LEGEND


def _memory(region: Region) -> tuple[str, ...]:
    place, timing = _mark(region.source), _mark(region.timing_source)
    return (
        region.name,
        region.kind,
        f"{region.base:#010x}{place}",
        show_bytes(region.nbytes) + place,
        ", ".join(region.holds),
        "yes" if region.dma else "no",
        show_bytes(region.line_bytes) + timing,
        f"{region.wait_cycles:g}{timing}",
        region.data_cache or "none",
        region.instruction_cache or "none",
    )


def _power(board: Target) -> str:
    energy = board.energy
    known = energy is not None and energy.milliwatts is not None
    return f"{energy.milliwatts:.1f}{_mark(energy.source)}" if energy and known else "unknown"


def _energy(energy: Energy | None) -> str:
    if energy is None or energy.milliwatts is None:
        return "unknown"
    current = "" if energy.run_ma is None else f" ({energy.run_ma:g} mA at {energy.supply_v:g} V)"
    return f"{energy.milliwatts:.4g} mW{current}{_mark(energy.source)}"


def _mark(source: str) -> str:
    return _MARK if is_unsourced(source) else ""


def _kib(nbytes: int) -> str:
    return f"{nbytes / 1024:,.0f} KiB"
