"""The command `ptee-mcu profile`: any program for Cortex-M in the emulator, in cycles of a board."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptee_mcu.errors import ConfigError

if TYPE_CHECKING:
    from ptee_mcu.cycles.profile import Profile, Row
    from ptee_mcu.firmware.trace_file import Trace

MARKS = Annotated[
    tuple[str, str] | None,
    typer.Option(
        help="Two symbols or addresses: count from the first to before the second, as often as both come by; the whole "
        "run where left out.",
        metavar="A B",
    ),
]


def profile(
    elf: Annotated[Path, typer.Argument(help="Program that the emulator can run.", metavar="ELF")],
    words: Annotated[list[str] | None, typer.Argument(help="Its command line, after --.", metavar="-- ARGS")] = None,
    *,
    target: Annotated[str, typer.Option(help="Board of `ptee-mcu targets`, or a .toml file.", metavar="NAME")],
    between: MARKS = None,
    times: Annotated[
        int | None, typer.Option(help="End the run after so many passes between the marks.", min=1)
    ] = None,
    machine: Annotated[str | None, typer.Option(help="Emulated machine; the board's where left out.")] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="Memory a section lies in; may be repeated.", metavar="SECTION=REGION"),
    ] = None,
    warm: Annotated[bool, typer.Option("--warm", help="Keep the caches from pass to pass.")] = False,
    any_exit_code: Annotated[
        bool, typer.Option("--any-exit-code", help="Another exit code than 0 is no failure of the program.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that the run may take.", min=0)] = 600,
    top: Annotated[int, typer.Option(help="How many functions to show; 0 for all.", min=0)] = 20,
    trace_out: Annotated[Path | None, typer.Option(help="Write the trace, block by block, as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Price what a program executes on a board: cycles per function, what waits for memory, bytes per memory."""
    from ptee_mcu import boards
    from ptee_mcu.cycles.cores import core_of
    from ptee_mcu.cycles.price import price
    from ptee_mcu.cycles.profile import profile as profile_of
    from ptee_mcu.firmware.elf import read_elf
    from ptee_mcu.firmware.machines import machine as machine_of
    from ptee_mcu.firmware.trace import trace
    from ptee_mcu.firmware.windows import windows_of

    board = boards.load(target)
    core = core_of(board.cpu)
    name = machine or board.machine
    if name is None:
        raise ConfigError(f"{board.name} has no emulator", hint="name one with --machine, such as mps2-an386")
    windows = windows_of(read_elf(elf), board, _mapped(map_ or []))
    found = trace(
        elf,
        machine_of(name),
        board,
        windows=windows,
        between=between,
        times=times,
        warm=warm,
        words=words or (),
        any_exit_code=any_exit_code,
        timeout_s=timeout,
    )
    result = profile_of(price(found, core, board))
    if trace_out is not None:
        trace_out.write_text(json.dumps(_trace(found)) + "\n", encoding="utf-8")
    if as_json:
        print(json.dumps(result.as_json()))
    else:
        _show(result, top or len(result.functions))


def _mapped(items: Sequence[str]) -> Mapping[str, str]:
    found = {}
    for item in items:
        section, equals, region = item.partition("=")
        if not (section and equals and region):
            raise ConfigError(f"--map {item!r} names no section and memory", hint="write such as .rodata=QSPI")
        found[section] = region
    return found


def _show(result: "Profile", top: int) -> None:
    from rich.console import Console
    from rich.markup import escape

    from ptee_mcu.report.tables import plain_table

    table = plain_table(f"{escape(result.target)}: {result.core} at {result.clock_hz / 1e6:g} MHz")
    table.add_column("function", no_wrap=True)
    regions = list(result.total.read)
    headers = ("cycles", "%", "compute", "code waits", "data waits", "instr.", *(f"read {name}" for name in regions))
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)

    def add(row: "Row") -> None:
        share = 100 * row.cycles / result.total.cycles
        numbers = (row.cycles, f"{share:.1f}", row.compute, row.code, row.data, row.instructions)
        read = (row.read.get(name, 0) for name in regions)
        table.add_row(escape(row.name), *(n if isinstance(n, str) else f"{n:,.0f}" for n in (*numbers, *read)))

    for row in result.functions[:top]:
        add(row)
    table.add_section()
    add(result.total)
    console = Console(highlight=False, width=200)
    console.print(table, crop=False, no_wrap=True, overflow="ignore")
    for line in _remarks(result, len(result.functions) - top):
        console.print(line, markup=False, soft_wrap=True)


def _remarks(result: "Profile", hidden: int) -> list[str]:
    lines = [f"{hidden} functions more: --top 0 shows all"] if hidden > 0 else []
    if len(result.passes) > 1:
        low, high = min(result.passes), max(result.passes)
        mean = sum(result.passes) / len(result.passes)
        lines.append(f"{len(result.passes)} passes: {low:,.0f} to {high:,.0f} cycles, {mean:,.0f} on average")
    energy = "energy unknown" if result.microjoules is None else f"{result.microjoules:,.1f} uJ"
    lines.append(f"{result.total.cycles:,.0f} cycles = {result.milliseconds:,.3f} ms, {energy}")
    written = ", ".join(f"{name} {nbytes:,}" for name, nbytes in result.total.written.items())
    lines.append(f"bytes written: {written or 'none'}")
    lines.append(result.trust)
    return lines


def _trace(found: "Trace") -> dict[str, object]:
    return {
        "target": found.target.name,
        "windows": [[window.region, window.label, window.start, window.end] for window in found.windows],
        "functions": found.functions,
        "blocks": [[block.start, block.code.hex(), block.function] for block in found.blocks],
        "kinds": found.kinds.tolist(),
        "ran": found.ran.tolist(),
        "cells": found.cells.tolist(),
    }
