"""The byte matrix of CMSIS-NN releases: every op in every case, on the host and on emulated cores, per release.

    python benchmarks/releases.py [DIR...]
    make releases CMSIS_NN="DIR..."

Each DIR is an unpacked CMSIS-NN, or a version in the CMSIS-Pack cache; the carried release is always in. Writes
docs/benchmarks/releases.md. Half a minute a release. Exit code 1 where a byte differs, 2 where a tool is missing or a
release is not supported.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # A script's own folder comes first on its path; the checkout and the networks of its tests are meant.
    sys.path[0] = str(ROOT)
    sys.path.insert(1, str(ROOT / "tests"))

from benchmarks.release_cells import CORES, COUNTED, Cell, Row, measure
from ptee_mcu.errors import PteeError
from ptee_mcu.firmware.machines import machine

PAGE = ROOT / "docs" / "benchmarks" / "releases.md"
_INTRODUCTION = """\
# CMSIS-NN releases, byte for byte

Made by `make releases CMSIS_NN="DIR..."` ([what the releases differ in](../cmsis-nn-releases.md)). One network holds
every case of every op that tests/ops has; every output that may lie over its input lies as close over it as a plan may
ever lay it. {nbytes:,} bytes are compared with the simulator per cell, {in_place} ops work in place; a cell is the
number of bytes that differ. The emitted text is the same in every row.

"""
_SOURCES = """
Sources: SHA-256 over paths and bytes of all headers and C files of Include/ and Source/. A tree with another hash has
not been checked; `ptee-mcu doctor --cmsis-nn DIR` prints the first twelve digits of a tree's.

"""
_COUNTS = """
Instructions of one inference of ResNet-8 (random weights, gcc at -O3):

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, writes the page, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="DIR")
    folders = parser.parse_args(arguments).folders
    rows = []
    try:
        for folder in (None, *folders):
            rows.append(measure(folder))
            print(rows[-1].release, {core: cell.differing for core, cell in rows[-1].cells.items()}, flush=True)
    except PteeError as error:
        print(error, file=sys.stderr)
        return 2
    PAGE.write_text(page(rows, datetime.now(UTC).date().isoformat()), encoding="utf-8")
    return int(any(cell.differing for row in rows for cell in row.cells.values()))


def page(rows: Sequence[Row], date: str) -> str:
    """The page in Markdown; the first row is the carried release."""
    first: Cell = rows[0].cells[CORES[0]]
    titles = [core if core == "host" else f"{machine(core).cpu} ({machine(core).isa.value})" for core in CORES]
    text = _INTRODUCTION.format(nbytes=first.nbytes, in_place=first.in_place)
    text += _table(
        ["release", "checked", *titles],
        [
            [row.release, _checked(i, date), *(str(row.cells[core].differing) for core in CORES)]
            for i, row in enumerate(rows)
        ],
    )
    text += _SOURCES + _table(
        ["release", "C files", "SHA-256"], [[row.release, str(row.files), f"`{row.sha256}`"] for row in rows]
    )
    text += _COUNTS + _table(
        ["release", *(machine(core).cpu for core in COUNTED)],
        [[row.release, *(f"{row.instructions[core]:,}" for core in COUNTED)] for row in rows],
    )
    return text


def _checked(index: int, date: str) -> str:
    return "in CI" if index == 0 else f"on {date}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
