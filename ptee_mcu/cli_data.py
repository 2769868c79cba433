"""The commands `ptee-mcu data`: list the known data sets, fetch their official files."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Data sets: which there are, where they are, their official files.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

DATA = Annotated[
    Path | None,
    typer.Option(help="Folder with data sets; PTEE_DATA where left out.", metavar="DIR", envvar="PTEE_DATA"),
]
AS_JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@app.command("list")
def list_(data: DATA = None, as_json: AS_JSON = False) -> None:
    """List the data sets that a config may name, and where they are."""
    from ptee_mcu.data import SOURCES, data_folder, located
    from ptee_mcu.data.official import OFFICIAL
    from ptee_mcu.data.sources import OWN

    folder = data_folder(data)
    rows = [
        {
            "name": source.name,
            "about": source.about,
            "place": os.path.normpath(place) if (place := located(source, folder)) else None,
            "embedded": source.embedded,
            "fetchable": source.name in OFFICIAL,
        }
        for source in SOURCES.values()
    ]
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        state = "with the package" if row["embedded"] else row["place"] or "not here: ptee-mcu data fetch"
        print(f"{row['name']:<14} {row['about']:<60} {state}")
    print(f"or {OWN}")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A data set of `ptee-mcu data list`.", metavar="NAME")],
    data: DATA = None,
    as_json: AS_JSON = False,
) -> None:
    """Download a data set's official files, verify and unpack them; go on where an earlier try ended."""
    from ptee_mcu.data import SOURCES
    from ptee_mcu.data.fetch import fetch as fetch_files
    from ptee_mcu.data.official import official
    from ptee_mcu.errors import DataError
    from ptee_mcu.report.console import Console

    if name in SOURCES and SOURCES[name].embedded:
        print("[]" if as_json else f"{name}: comes with the package, there is nothing to fetch")
        return
    official(name)  # a name that is not known is said first
    if data is None:
        raise DataError(
            f"{name}: no folder to put it in: neither --data nor PTEE_DATA is given",
            hint=f"ptee-mcu data fetch {name} --data data",
        )
    files = fetch_files(name, data, Console(quiet=as_json).progress)
    if as_json:
        print(json.dumps([{"path": str(file.path), "new": file.new} for file in files]))
        return
    for file in files:
        print(f"{file.path}: {'downloaded and verified' if file.new else 'already there and right'}")
