"""The command `ptee-mcu audit`: what counts from a device say of its live disagreement."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ptee_mcu.audit import Audit


def audit(
    out: Annotated[Path, typer.Argument(help="Folder that `build` wrote.", metavar="OUT")],
    *,
    stats: Annotated[
        str,
        typer.Option(
            help="The counts of NAME_stats: a JSON file with lists `audited` and `agreed`, or agreed/audited per exit.",
            metavar="FILE|A/N,...",
        ),
    ],
    operating_point: Annotated[
        str | None,
        typer.Option(help="The point in force on the device; the default one where left out.", metavar="NAME_OR_INDEX"),
    ] = None,
    delta: Annotated[float, typer.Option(help="Probability that an interval may miss.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Bound the live disagreement by what a device counted; exit code 1 where its operating point is broken."""
    from ptee_mcu.audit import Verdict, read_counts
    from ptee_mcu.audit import audit as audited
    from ptee_mcu.operating_point import plan_at
    from ptee_mcu.project import load_project

    graph = plan_at(load_project(out).plan, operating_point).graph
    result = audited(graph, graph.point, read_counts(stats), delta=delta)
    if as_json:
        print(json.dumps(result.as_json()))
    else:
        _show(result)
    if result.verdict is Verdict.BROKEN:
        raise typer.Exit(1)


def _show(result: "Audit") -> None:
    from rich.console import Console
    from rich.markup import escape

    from ptee_mcu.report.tables import plain_table

    table = plain_table(f"disagreement at {escape(result.point)}, confidence {100 * result.confidence:g} %")
    table.add_column("exit", no_wrap=True)
    for header in ("audited", "disagreed", "from %", "to %"):
        table.add_column(header, justify="right", no_wrap=True)
    for name, seen in (*result.exits.items(), ("all", result.overall)):
        numbers = (f"{seen.audited:,}", f"{seen.disagreed:,}", f"{100 * seen.low:.3f}", f"{100 * seen.high:.3f}")
        table.add_row(escape(name), *numbers)
    console = Console(highlight=False, width=120)
    console.print(table)
    console.print(_sentence(result), markup=False, soft_wrap=True)


def _sentence(result: "Audit") -> str:
    if result.limit is None or result.verdict is None:
        return f"{result.point} sets no limit on the disagreement: no verdict"
    text = f"{result.limit_is} limit {100 * result.limit:.3g} %: {result.verdict}"
    return text if result.needed is None else f"{text}; at this rate about {result.needed:,} audits would decide"
