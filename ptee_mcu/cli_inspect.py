"""The commands `ptee-mcu inspect` and `ptee-mcu ops`: what is in a model file, and which ops there are."""

import json
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

AS_JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
_WIDE, _NARROW = 100, 80  # columns where there is no terminal, and the fewest that the tables need


def inspect(
    model: Annotated[
        str,
        typer.Argument(
            help="A .tflite, .onnx, .pt2, .keras or .h5 file, a SavedModel folder, or the name of a built-in network.",
            metavar="MODEL",
        ),
    ],
    as_json: AS_JSON = False,
) -> None:
    """Show what a model file holds: ops supported or not and why, sizes, boards it fits, where exits can attach."""
    from ptee_mcu.inspection import inspect as inspected
    from ptee_mcu.report import inspect as report

    found = inspected(model)
    if as_json:
        print(json.dumps(report.as_json(found)))
        return
    console = _console()
    for line in report.summary(found):
        console.print(line, markup=False, soft_wrap=not console.is_terminal)
    console.print(report.op_table(found))
    if found.sizes is not None:
        console.print(report.board_table(found.sizes.boards))
    if found.taps:
        console.print(report.point_table(found))
    for line in report.remarks(found):
        console.print(line, markup=False, soft_wrap=not console.is_terminal)


def ops(
    as_json: AS_JSON = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/operators.md.")] = False,
) -> None:
    """Show the operators: float and int8 ones, the C they call, their limits, and what of each format becomes them."""
    from ptee_mcu.report import operators

    table = operators.collect()
    if as_json:
        print(json.dumps(operators.as_json(table)))
    elif markdown:
        print(operators.markdown(table), end="")
    else:
        console = _console()
        for each in operators.tables(table):
            console.print(each)


def _console() -> "Console":
    """As wide as the terminal; what is read by a program is not wrapped but in the cells of tables."""
    from rich.console import Console

    return Console(highlight=False, width=max(get_terminal_size((_WIDE, 24)).columns, _NARROW))
