"""The command `build`: from a config to a C project on disk."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class Placing(StrEnum):
    """Who decides where constants lie; see docs/weight-placement.md."""

    AUTO = "auto"
    FLASH = "flash"
    BOOT = "boot"
    STAGED = "staged"
    GREEDY = "greedy"


class ProjectKind(StrEnum):
    """What is written around the library."""

    BARE = "bare"
    PACK = "pack"
    ZEPHYR = "zephyr"
    ARDUINO = "arduino"
    STM32CUBE = "stm32cube"


def build(
    config: Annotated[Path, typer.Argument(help="TOML file that describes the build.", metavar="CONFIG.toml")],
    *,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with data sets and weights; PTEE_DATA where left out.", envvar="PTEE_DATA"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; the build's name where left out.")] = None,
    max_disagreement: Annotated[
        list[str] | None,
        typer.Option(help="Answers that may differ from the backbone's, such as 1%; may be repeated.", metavar="SHARE"),
    ] = None,
    max_drop: Annotated[
        list[str] | None, typer.Option(help="Accuracy that may be lost, such as 1pp; needs labels.", metavar="SHARE")
    ] = None,
    mean_cost: Annotated[
        list[float] | None, typer.Option(help="Mean cost relative to the backbone, such as 0.6.", metavar="COST")
    ] = None,
    mean_cycles: Annotated[
        list[float] | None, typer.Option(help="Mean cycles on the board, all weights in flash.", metavar="N")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Board, or the path of its .toml, instead of the config's.", metavar="BOARD")
    ] = None,
    placement: Annotated[
        Placing | None, typer.Option(help="Where constants lie, instead of the config's target.placement.")
    ] = None,
    project: Annotated[
        ProjectKind | None, typer.Option(help="Also write a project around the library; `bare` builds and flashes.")
    ] = None,
    cmsis_nn: Annotated[
        Path | None, typer.Option(help="Folder of a CMSIS-NN, or its version in the CMSIS-Pack cache.")
    ] = None,
    crc: Annotated[bool, typer.Option("--crc", help="NAME_check: a CRC-32 over all constants, at init too.")] = False,
    yield_every_op: Annotated[
        bool, typer.Option("--yield-every-op", help="NAME_step_op: one op at a time, for control loops.")
    ] = False,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Say for each constant why it lies there, and what moving it costs."),
    ] = False,
    delta: Annotated[float | None, typer.Option(help="Probability that a certified limit may fail.")] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for checkpoints and features that is kept; beside OUT until it is written."),
    ] = None,
    disk_budget: Annotated[float, typer.Option(help="GiB that features of a network may take there.", min=0)] = 8.0,
    device: Annotated[str, typer.Option(help="What trains: cpu, cuda, mps or auto.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Compile a network: train or load, attach exits, quantize, choose thresholds, plan, emit C.

    The options that say what is allowed replace all of the config's; the first is the default operating point.
    """
    from ptee_mcu.config import load_config, with_asks, with_target
    from ptee_mcu.pipeline import build_project
    from ptee_mcu.report.console import Console
    from ptee_mcu.stages.placing import memory_lines, reasons
    from ptee_mcu.train.workspace import GIB, Workspace

    console = Console(quiet=as_json)
    asked = {
        "max_disagreement": max_disagreement, "max_drop": max_drop, "mean_cost": mean_cost, "mean_cycles": mean_cycles,
    }  # fmt: skip
    settings = with_asks(load_config(config), {name: limits for name, limits in asked.items() if limits}, delta)
    rules = (placement.value if placement else None, project.value if project else None)
    around: dict[str, Any] = {"cmsis_nn": cmsis_nn, "crc": crc or None, "yield_every_op": yield_every_op or None}
    settings = with_target(settings, target, *rules, **around)
    folder = out or Path(settings.build.name)
    beside_out = folder.resolve().with_name(f".{folder.resolve().name}.work")
    workspace = Workspace(work or beside_out, int(disk_budget * GIB), device, keep=work is not None)
    built = build_project(settings, beside=config.parent, data=data, out=folder, work=workspace, console=console)
    why = reasons(built.planned) if explain else []
    if as_json:
        print(json.dumps(built.report.as_json() | ({"placement": why} if explain else {})))
    else:
        console.report(built.report)
        console.lines(memory_lines(built.planned.plan, built.fixed))
        console.lines(why)
        console.say(f"wrote {folder}; next: ptee-mcu compare {folder} --on host")
