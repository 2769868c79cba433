"""The command line: train, build, sim, run, compare, targets, data, doctor."""

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ptee_mcu import (
    __version__,
    cli_audit,
    cli_build,
    cli_data,
    cli_flash,
    cli_inspect,
    cli_profile,
    cli_targets,
    cli_train,
)
from ptee_mcu.errors import PteeError

# Heavy imports stay inside the commands: `ptee-mcu --help` and what needs no torch must start at once.

app = typer.Typer(
    help="Compiles early-exit int8 neural networks to C on CMSIS-NN, with a simulator that agrees to the last bit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(cli_data.app, name="data")
app.add_typer(cli_targets.app, name="targets")
app.command()(cli_build.build)
app.command()(cli_train.train)
app.command()(cli_profile.profile)
app.command()(cli_audit.audit)
app.command()(cli_inspect.inspect)
app.command()(cli_inspect.ops)
app.command()(cli_flash.flash)
app.command()(cli_flash.measure)

OUT = Annotated[Path, typer.Argument(help="Folder that `build` wrote.", metavar="OUT")]
INPUTS = Annotated[int | None, typer.Option(min=1, help="How many of the report images; all where left out.")]
POINT = Annotated[
    str | None,
    typer.Option("--operating-point", help="Name or number of an operating point.", metavar="NAME_OR_INDEX"),
]
AS_JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


class Place(StrEnum):
    """Where the C runs."""

    HOST = "host"
    QEMU = "qemu"


@app.command()
def sim(out: OUT, inputs: INPUTS = None, operating_point: POINT = None, as_json: AS_JSON = False) -> None:
    """Simulate a build on its report images: exits, labels, accuracy, agreement, cost."""
    from ptee_mcu.project import load_project
    from ptee_mcu.report.console import Console
    from ptee_mcu.simulate import simulate

    console = Console(quiet=as_json)
    project = load_project(out)
    report = simulate(project, inputs, console, point=operating_point)
    if as_json:
        print(json.dumps(report.as_json()))
    else:
        console.report(report)


@app.command()
def run(
    out: OUT,
    on: Annotated[Place, typer.Option(help="Where the C runs.")],
    inputs: INPUTS = None,
    operating_point: POINT = None,
    as_json: AS_JSON = False,
) -> None:
    """Run a build's C on its report images: exits, labels, accuracy; instructions under QEMU."""
    from ptee_mcu.execute import execute
    from ptee_mcu.project import load_project
    from ptee_mcu.report.console import Console

    console = Console(quiet=as_json)
    report = execute(load_project(out), on.value, inputs, console, point=operating_point)
    if as_json:
        print(json.dumps(report.as_json()))
    else:
        console.report(report)


@app.command()
def compare(
    out: OUT,
    on: Annotated[list[Place] | None, typer.Option(help="Where the C runs; may be repeated. [default: host]")] = None,
    inputs: INPUTS = None,
    force_exit: Annotated[
        str | None, typer.Option(help="An exit's number: leave there. `all`: one full pass that records every exit.")
    ] = None,
    operating_point: POINT = None,
    as_json: AS_JSON = False,
) -> None:
    """Compare every op's output of the C with the simulator, byte for byte; exit code 1 on any difference."""
    from ptee_mcu.compare import compare_project
    from ptee_mcu.project import load_project
    from ptee_mcu.report.console import Console

    console = Console(quiet=as_json)
    places = [place.value for place in on or [Place.HOST]]
    result = compare_project(load_project(out), places, inputs, force_exit, console, point=operating_point)
    if as_json:
        print(json.dumps(result.as_json()))
    else:
        console.comparison(result)
    if not result.equal:
        raise typer.Exit(1)


@app.command()
def doctor(
    cmsis_nn: Annotated[
        Path | None, typer.Option(help="Folder of a CMSIS-NN, or its version in the CMSIS-Pack cache, to check.")
    ] = None,
    as_json: AS_JSON = False,
) -> None:
    """Show what is installed, what is missing and how to get it."""
    from dataclasses import asdict

    from ptee_mcu.firmware.cmsis_nn import status
    from ptee_mcu.firmware.tools import survey
    from ptee_mcu.report.console import Console

    tools = (*survey(), *([status(cmsis_nn)] if cmsis_nn else []))
    if as_json:
        print(json.dumps([asdict(tool) | {"found": tool.found} for tool in tools]))
    else:
        Console().tools(tools)


def _version(show: bool) -> None:  # noqa: FBT001 - typer calls it so
    if show:
        print(f"ptee-mcu {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point: a user's mistake ends with its message and exit code 2, never with a traceback."""
    # Threads that spin while others hold the cores make small training steps forty times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except PteeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; what was there before is unchanged", file=sys.stderr)
        sys.exit(130)
