"""The command `build`: from a config to a C project on disk."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptee_mcu.errors import ConfigError
from ptee_mcu.plan.settings import Mode
from ptee_mcu.project_kind import ProjectKind

if TYPE_CHECKING:
    from ptee_mcu.config import Config


def build(
    config: Annotated[
        Path | None, typer.Argument(help="TOML file that describes the build.", metavar="CONFIG.toml")
    ] = None,
    *,
    model: Annotated[
        Path | None,
        typer.Option(help="Model file to compile as it is, instead of a config: .tflite, .onnx, .keras, .h5, .pt2."),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="With --model, of floats: .npy of network inputs (N, height, width, channels)."),
    ] = None,
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
        Mode | None, typer.Option(help="Where constants lie, instead of the config's target.placement.")
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
    from ptee_mcu.config import with_asks, with_target
    from ptee_mcu.pipeline import build_file, build_project
    from ptee_mcu.report.console import Console
    from ptee_mcu.stages.placing import memory_lines, reasons
    from ptee_mcu.train.workspace import GIB, Workspace

    console = Console(quiet=as_json)
    asked = {
        "max_disagreement": max_disagreement, "max_drop": max_drop, "mean_cost": mean_cost, "mean_cycles": mean_cycles,
    }  # fmt: skip
    settings = with_asks(
        _config(config, model, calibration), {name: limits for name, limits in asked.items() if limits}, delta
    )
    settings = with_target(
        settings,
        board=target,
        placement=placement,
        project=project,
        cmsis_nn=cmsis_nn,
        crc=crc,
        yield_every_op=yield_every_op,
    )
    folder = out or Path(settings.build.name)
    beside_out = folder.resolve().with_name(f".{folder.resolve().name}.work")
    workspace = Workspace(work or beside_out, int(disk_budget * GIB), device, keep=work is not None)
    beside = Path() if config is None else config.parent
    if settings.data is None:
        built = build_file(settings, beside=beside, data=data, out=folder, console=console)
    else:
        built = build_project(settings, beside=beside, data=data, out=folder, work=workspace, console=console)
    why = reasons(built.planned) if explain else []
    if as_json:
        print(json.dumps(built.report.as_json() | ({"placement": why} if explain else {})))
    else:
        console.report(built.report)
        console.lines(memory_lines(built.planned.plan, built.fixed))
        console.lines(why)
        console.say(f"wrote {folder}; next: ptee-mcu compare {folder} --on host")


def _config(path: Path | None, model: Path | None, calibration: Path | None) -> "Config":
    """The config at `path`, or one that compiles the file `model` as it is.

    Raises:
        ConfigError: where not exactly one of the two is given.
    """
    from ptee_mcu.config import load_config, of_model_file

    if (path is None) == (model is None):
        raise ConfigError(
            f"{'neither a config nor' if path is None else 'both a config and'} --model is given: build needs one",
            hint="ptee-mcu build CONFIG.toml, or ptee-mcu build --model FILE --target BOARD --out OUT",
        )
    if path is None:
        assert model is not None
        return of_model_file(model, calibration)
    if calibration is not None:
        raise ConfigError("--calibration goes with --model", hint="a config names its inputs under quantize.inputs")
    return load_config(path)
