"""The commands `ptee-mcu inspect` and `ptee-mcu ops`: what is in a model file, and which ops there are."""

import json
from typing import Annotated

import typer

AS_JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
_WIDTH = 200  # columns of the tables, however narrow the terminal


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
    from rich.console import Console

    from ptee_mcu.inspection import inspect as inspected
    from ptee_mcu.report import inspect as report

    found = inspected(model)
    if as_json:
        print(json.dumps(report.as_json(found)))
        return
    console = Console(highlight=False, width=_WIDTH)
    for line in report.summary(found):
        console.print(line, markup=False, soft_wrap=True)
    console.print(report.op_table(found))
    if found.sizes is not None:
        console.print(report.board_table(found.sizes.boards))
    if found.taps:
        console.print(report.point_table(found))
    for line in report.remarks(found):
        console.print(line, markup=False, soft_wrap=True)


def ops(
    as_json: AS_JSON = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/operators.md.")] = False,
) -> None:
    """Show the operators: float and int8 ones, the C they call, their limits, and what of each format becomes them."""
    from rich.console import Console

    from ptee_mcu.report import operators

    table = operators.collect()
    if as_json:
        print(json.dumps(operators.as_json(table)))
    elif markdown:
        print(operators.markdown(table), end="")
    else:
        console = Console(highlight=False, width=_WIDTH)
        for each in operators.tables(table):
            console.print(each)
