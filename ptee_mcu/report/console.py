"""Tables and progress bars on the terminal; silent where the output is JSON."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ptee_mcu.report.boards import board_head, board_list, board_remarks, cache_table, memory_table
from ptee_mcu.report.summary import Report
from ptee_mcu.report.tables import exit_remarks, exit_table, plain_table, point_remarks, point_table

if TYPE_CHECKING:
    from ptee_mcu.compare import Comparison
    from ptee_mcu.firmware.tools import ToolStatus
    from ptee_mcu.target import Target

Advance = Callable[[int, int], None]  # (done, total)
_WIDEST = 10_000  # characters of a table


class Console:
    """What commands print with: results on standard output, progress and remarks on standard error."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._out = RichConsole(file=sys.stdout, highlight=False)
        self._err = RichConsole(file=sys.stderr, highlight=False)

    def say(self, text: str) -> None:
        """A remark."""
        if not self._quiet:
            self._err.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """A warning; shown even where the output is JSON."""
        self._err.print(f"warning: {text}", markup=False, style="yellow", soft_wrap=True)

    @contextmanager
    def progress(self, what: str) -> Iterator[Advance]:
        """A bar for something that may take over two seconds."""
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self._err, disable=self._quiet)
        with bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    def report(self, report: Report) -> None:
        """The tables of a report; at full width, so that no figure is cut off."""
        self._whole(exit_table(report))
        self._lines(exit_remarks(report))
        if report.points:
            self._whole(point_table(report))
            self._lines(point_remarks(report))

    def lines(self, lines: Iterable[str]) -> None:
        """Plain text as it is."""
        self._lines(lines)

    def comparison(self, result: "Comparison") -> None:
        """The outcome of a comparison."""
        where = " and ".join(result.places)
        self._out.print(
            f"{result.inputs:,} inputs on {where}: {result.bytes_compared:,} bytes compared with the simulator, "
            f"{result.mismatched_bytes:,} differ; {result.mismatched_exits:,} exits differ",
            markup=False,
            soft_wrap=True,
        )
        if result.first_mismatch:
            self._out.print(f"first difference: {result.first_mismatch}", markup=False, soft_wrap=True)

    def targets(self, boards: Sequence["Target"]) -> None:
        """The list of boards."""
        self._whole(board_list(boards))

    def target(self, board: "Target") -> None:
        """One board, each number with its source."""
        self._lines(board_head(board))
        self._whole(memory_table(board))
        if board.caches:
            self._whole(cache_table(board))
        self._lines(board_remarks(board))

    def tools(self, tools: Sequence["ToolStatus"]) -> None:
        """What is installed and what is missing."""
        table = plain_table()
        for header in ("tool", "version", "needed for", "how to get it"):
            table.add_column(header, overflow="fold")
        for tool in tools:
            table.add_row(
                tool.name,
                tool.version or "[red]missing[/red]",
                tool.needed_for,
                "" if tool.found else escape(tool.install),
            )
        self._out.print(table)

    def _whole(self, table: Table) -> None:
        """A table as wide as it needs to be, however narrow the terminal, or the 80 columns of a pipe."""
        table.width = Measurement.get(self._out, self._out.options.update(max_width=_WIDEST), table).maximum
        self._out.print(table, crop=False, no_wrap=True, overflow="ignore")

    def _lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._out.print(line, markup=False, soft_wrap=True)
