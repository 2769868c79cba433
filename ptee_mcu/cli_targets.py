"""The commands `ptee-mcu targets`: list the boards, show one with every number and its source."""

import json
from typing import Annotated

import typer

app = typer.Typer(
    help="Boards: which there are, and what is known of each.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

AS_JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@app.callback()
def list_(context: typer.Context, as_json: AS_JSON = False) -> None:
    """List the boards; `show` prints one."""
    from ptee_mcu import boards
    from ptee_mcu.report.boards import as_json as facts
    from ptee_mcu.report.console import Console

    context.obj = as_json
    if context.invoked_subcommand is not None:
        return
    known = [boards.load(name) for name in boards.names()]
    if as_json:
        print(json.dumps([facts(board) for board in known]))
    else:
        Console().targets(known)


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A board of `ptee-mcu targets`, or a .toml path.", metavar="NAME")],
    as_json: AS_JSON = False,
) -> None:
    """Show a board: memories, caches, clock, energy, emulator, debuggers, each number with its source."""
    from ptee_mcu import boards
    from ptee_mcu.report.boards import as_json as facts
    from ptee_mcu.report.console import Console

    board = boards.load(name)
    if as_json or context.obj:
        print(json.dumps(facts(board)))
    else:
        Console().target(board)
