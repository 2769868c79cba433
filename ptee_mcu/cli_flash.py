"""The commands `ptee-mcu flash` and `ptee-mcu measure`: a build on a board, or on the emulator that stands for it."""

import json
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from ptee_mcu.firmware.app_kind import App, Output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ptee_mcu.firmware.apps import Bare
    from ptee_mcu.firmware.machines import Machine
    from ptee_mcu.firmware.measure import Measured
    from ptee_mcu.firmware.port import Descriptor
    from ptee_mcu.firmware.selftest import SelfTest
    from ptee_mcu.firmware.uart import Uart
    from ptee_mcu.onboard import Agreement
    from ptee_mcu.project import Project
    from ptee_mcu.tensor import Int8

OUT = Annotated[Path, typer.Argument(help="Folder that `build` wrote.", metavar="OUT")]
MACHINE = Annotated[str | None, typer.Option(help="Emulated machine; the board's where left out.")]
TIMEOUT = Annotated[float, typer.Option(help="Seconds that an answer may take.", min=0)]
AS_JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class Place(StrEnum):
    """What is programmed."""

    BOARD = "board"
    QEMU = "qemu"


def flash(
    out: OUT,
    board: Annotated[str | None, typer.Option(help="Board that OUT was built for; checked.", metavar="NAME")] = None,
    on: Annotated[Place, typer.Option(help="What is programmed.")] = Place.BOARD,
    app: Annotated[App, typer.Option(help="What it is programmed with.")] = App.SELFTEST,
    over: Annotated[Output, typer.Option(help="How the self-test answers.")] = Output.SEMIHOSTING,
    port: Annotated[
        str | None, typer.Option(help="Serial device of the board, for --over uart.", metavar="DEV")
    ] = None,
    machine: MACHINE = None,
    uid: Annotated[str | None, typer.Option(help="Debug probe, where several are connected.", metavar="ID")] = None,
    timeout: TIMEOUT = 60,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the commands that would be run.")] = False,
    as_json: AS_JSON = False,
) -> None:
    """Program a board with the self-test and show its answer; exit code 1 where it fails."""
    from ptee_mcu.errors import ConfigError
    from ptee_mcu.firmware import flash as programming
    from ptee_mcu.onboard import bare_of, require_board
    from ptee_mcu.project import load_project

    project = load_project(out)
    require_board(project, board)
    if on is Place.QEMU and app is App.MEASURE:
        raise ConfigError("an emulator keeps no program", hint=f"ptee-mcu measure {out} --port qemu")
    with TemporaryDirectory() as work:
        if on is Place.QEMU and not dry_run:
            emulator = _machine(project, machine)
            bare = bare_of(project, Path(work))
            found, made = programming.selftest_on_qemu(bare, emulator, output=over, timeout_s=timeout)
            same = "the board's own program" if made.same else "the board's program with its memories moved"
            _answer(found, f"{emulator.name}: {same}", emulated=True, as_json=as_json)
        elif on is Place.QEMU:
            print(f"qemu-system-arm -M {_machine(project, machine).name}, with {app.value} of {project.name}")
        else:
            _program(project, Path(work), app, over, port, uid, timeout, dry_run=dry_run, as_json=as_json)


def _program(
    project: "Project",
    work: Path,
    app: App,
    over: Output,
    port: str | None,
    uid: str | None,
    timeout: float,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    from ptee_mcu.emit_project import FOLDER
    from ptee_mcu.errors import ConfigError
    from ptee_mcu.firmware import flash as programming
    from ptee_mcu.firmware.apps import for_board
    from ptee_mcu.onboard import bare_of

    target = project.plan.target
    programming.require_bootable(target)
    served = app is App.SELFTEST and over is Output.SEMIHOSTING
    elf = project.folder / FOLDER / "build" / f"{app.value}.elf"
    found = programming.ways(target, elf, timeout_s=timeout, uid=uid, run=served)
    if dry_run:
        for command in (*(found.pyocd or ()), *found.others):
            print(programming.shown(command))
        if found.pyocd is None:
            programming.require_pyocd(target, found)
        return
    if app is App.SELFTEST and over is Output.UART and port is None:
        raise ConfigError("--over uart reads a serial device", hint="name it: --port /dev/ttyACM0")
    commands = programming.require_pyocd(target, found)
    bare = bare_of(project, work)
    elf.parent.mkdir(parents=True, exist_ok=True)
    for_board(bare, app, elf, output=over, uart=_console(bare, served=served))
    for command in (*(found.pyocd or ()), *found.others):
        typer.echo(programming.shown(command), err=True)
    if app is App.MEASURE:
        programming.program(target, commands, timeout_s=timeout)
        typer.echo(f"next: ptee-mcu measure {project.folder} --port DEV", err=True)
    else:
        answer = programming.selftest_on_board(target, elf, commands, console=port, timeout_s=timeout)
        _answer(answer, target.name, emulated=False, as_json=as_json)


def measure(
    out: OUT,
    port: Annotated[
        str, typer.Option(help="Serial device of a board with `flash --app measure`, or qemu.", metavar="DEV")
    ],
    inputs: Annotated[
        Path | None, typer.Option(help="Archive with x, uint8 pixels or int8 codes; the report images where left out.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="How many of them; all where left out.", min=1)] = None,
    exit_: Annotated[
        int | None, typer.Option("--exit", help="Leave there; by the default operating point where left out.", min=0)
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Write exits, labels, logits and cycles as .npz.")] = None,
    baud: Annotated[int, typer.Option(help="Speed of the device, BOARD_BAUD of the firmware.")] = 115_200,
    machine: MACHINE = None,
    timeout: TIMEOUT = 30,
    as_json: AS_JSON = False,
) -> None:
    """Send inputs to a board and show its cycles; exit code 1 where an answer is not the simulator's."""
    from ptee_mcu.onboard import agreement, load_inputs, save_measured
    from ptee_mcu.project import load_project
    from ptee_mcu.report.console import Console

    project = load_project(out)
    emulator = _machine(project, machine) if port == Place.QEMU.value else None
    chosen = (load_inputs(inputs, project.plan.graph) if inputs else project.inputs).head(count)
    codes = project.codes(chosen)
    with (
        Console(quiet=as_json).progress(f"measuring on {port}") as advance,
        _line(project, emulator, port, baud) as line,
    ):
        found = _measured(line, codes, project.name, exit_, timeout, advance, emulator)
    same = agreement(project.plan, codes, found, leave=exit_)
    if save is not None:
        save_measured(found, save)
    if as_json:
        print(json.dumps({"emulated": emulator is not None} | _facts(found, same)))
    else:
        _show(found, same, "cycles" if emulator is None else "instructions")
    if same.differing:
        raise typer.Exit(1)


@contextmanager
def _line(project: "Project", emulator: "Machine | None", port: str, baud: int) -> "Iterator[Descriptor]":
    from ptee_mcu.firmware import port as ports
    from ptee_mcu.firmware.apps import for_machine
    from ptee_mcu.firmware.flash import require_uart
    from ptee_mcu.onboard import bare_of

    if emulator is None:
        with ports.device(port, baud=baud) as line:
            yield line
        return
    with TemporaryDirectory() as work:
        bare, elf = bare_of(project, Path(work)), Path(work) / "measure.elf"
        made = for_machine(bare, App.MEASURE, elf, emulator, output=Output.UART, uart=require_uart(emulator))
        with ports.emulated(made.elf, emulator) as line:
            yield line


def _measured(
    line: "Descriptor",
    codes: "Int8",
    name: str,
    leave: int | None,
    timeout: float,
    advance: "Callable[[int, int], None]",
    emulator: "Machine | None",
) -> "Measured":
    """With instructions in the place of cycles where it is emulated."""
    from dataclasses import replace

    import numpy as np

    from ptee_mcu.firmware.measure import measure as measure_over
    from ptee_mcu.firmware.port import instructions

    found = measure_over(line, codes, name=name, leave=leave, timeout_s=timeout, progress=advance)
    if emulator is None:
        return found
    return replace(found, cycles=np.array([instructions(emulator, int(n)) for n in found.cycles], np.int64))


def _facts(found: "Measured", same: "Agreement") -> dict[str, object]:
    from dataclasses import asdict

    return {
        "device": asdict(found.device),
        "inputs": same.inputs,
        "differing_inputs": same.differing,
        "differing_bytes": same.differing_bytes,
        "first_difference": same.first,
        "mean_cycles_by_exit": found.mean_cycles,
        "cycles": found.cycles.tolist(),
        "exits": found.exits.tolist(),
        "labels": found.labels.tolist(),
        "stack_bytes": found.stack_bytes,
        "retries": found.retries,
    }


def _show(found: "Measured", same: "Agreement", unit: str) -> None:
    print(f"{same.inputs:,} inputs: {same.differing:,} differ from the simulator")
    if same.first:
        print(f"first difference: {same.first}")
    for leave, mean in found.mean_cycles.items():
        count = int((found.exits == leave).sum())
        print(f"exit {leave}: {count:,} inputs, {mean:,.0f} {unit} on average by {found.device.counter}")
    print(f"deepest stack {found.stack_bytes:,} B, {found.retries} frames sent again")


def _machine(project: "Project", name: str | None) -> "Machine":
    from ptee_mcu.execute import emulator
    from ptee_mcu.firmware.machines import machine

    return machine(name) if name is not None else emulator(project.plan)


def _console(bare: "Bare", *, served: bool) -> "Uart":
    from ptee_mcu.errors import FirmwareError
    from ptee_mcu.firmware.apps import OWN_BOARD
    from ptee_mcu.firmware.uart import NONE, of_board

    if served:
        return NONE
    found = of_board(bare.target)
    if found.driver is None and not (bare.folder / OWN_BOARD).is_file():
        raise FirmwareError(
            f"{bare.target.name}: there is no UART driver for this board",
            hint=f"build with --project bare; define uart_init, uart_putc and uart_getc in OUT/bare/{OWN_BOARD}",
        )
    return found


def _answer(found: "SelfTest", where: str, *, emulated: bool, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print(json.dumps({**asdict(found), "faults": found.faults, "where": where, "emulated": emulated}))
    else:
        unit = "instructions" if emulated else "cycles"
        for case in found.cases:
            how = "free" if case.leave is None else f"made to leave at {case.leave}"
            said = "PASS" if case.fault is None else f"FAIL: {case.fault}"
            print(f"input {case.input}, {how}: exit {case.exit}, label {case.label}, {case.cycles:,} {unit}, {said}")
        print(f"stack {found.stack_used:,} of {found.stack_bytes:,} B; {unit} by {found.counter}")
        print(f"{'PASS' if found.passed else 'FAIL'} on {where}")
        for fault in found.faults:
            print(f"  {fault}")
    if not found.passed:
        raise typer.Exit(1)
