"""Tables and progress bars on the terminal; silent where the output is JSON."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ptee_mcu.report.summary import Report

if TYPE_CHECKING:
    from ptee_mcu.compare import Comparison
    from ptee_mcu.firmware.tools import ToolStatus
    from ptee_mcu.target import Target

Advance = Callable[[int, int], None]  # (done, total)


class Console:
    """What commands print with: results on standard output, progress and remarks on standard error."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._out = RichConsole(file=sys.stdout, highlight=False)
        self._err = RichConsole(file=sys.stderr, highlight=False)

    def say(self, text: str) -> None:
        """A remark."""
        if not self._quiet:
            self._err.print(text, markup=False)

    def warn(self, text: str) -> None:
        """A warning; shown even where the output is JSON."""
        self._err.print(f"warning: {text}", markup=False, style="yellow")

    @contextmanager
    def progress(self, what: str) -> Iterator[Advance]:
        """A bar for something that may take over two seconds."""
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self._err, disable=self._quiet)
        with bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    def report(self, report: Report) -> None:
        """The table of a report."""
        title = f"{report.name}: {report.images:,} images, {report.of}"
        table = _table(title)
        for header in ("exit", "after", "fires at"):
            table.add_column(header, no_wrap=True)
        for header in ("share %", "agree %", "right %", "MACs", "cost", "instr."):
            table.add_column(header, justify="right", no_wrap=True)
        for row in report.rows:
            table.add_row(
                row.name, row.after or "", "" if row.threshold is None else _threshold(row.threshold),
                _percent(row.share), _percent(row.agreement), _percent(row.accuracy),
                _number(row.macs), f"{row.macs / report.backbone_macs:.3f}", _number(row.instructions),
            )  # fmt: skip
        table.add_section()
        table.add_row(
            "mean", "", "", "", _percent(report.agreement), _percent(report.accuracy),
            _number(report.mean_macs), f"{report.cost:.3f}", _number(report.mean_instructions),
        )  # fmt: skip
        self._out.print(table)
        for line in _remarks(report):
            self._out.print(line, markup=False, soft_wrap=True)

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
        table = _table()
        for header in ("name", "board", "core", "MHz", "flash", "SRAM", "emulated by"):
            table.add_column(header)
        for board in boards:
            table.add_row(
                board.name, board.title, board.cpu, f"{board.clock_hz / 1e6:g}", _kib(board.nbytes("flash")),
                _kib(board.nbytes("sram")), board.machine or "",
            )  # fmt: skip
        self._out.print(table)

    def tools(self, tools: Sequence["ToolStatus"]) -> None:
        """What is installed and what is missing."""
        table = _table()
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


def _remarks(report: Report) -> Iterator[str]:
    if report.full_accuracy is not None:
        yield f"without exits, the same images: {_percent(report.full_accuracy)} % accuracy in int8"
    if report.baseline is not None:
        known = report.baseline
        yield (
            f"without exits, all {known.images:,} test images: {_percent(known.int8_accuracy)} % in int8, "
            f"{_percent(known.float_accuracy)} % in float32"
        )
    yield (
        f"cost: mean {report.cost:.3f}, worst {report.worst_cost:.3f} of the backbone's {report.backbone_macs:,} MACs, "
        "every evaluated head charged"
    )
    flash = "" if report.flash_bytes is None else f"; linked: {report.flash_bytes:,} B of flash"
    ram = "" if report.ram_bytes is None else f", {report.ram_bytes:,} B of static RAM"
    yield f"memory: arena {report.arena_bytes:,} B, constants {report.weight_bytes:,} B{flash}{ram}"
    yield from (f"note: {note}" for note in report.notes)


def _table(title: str | None = None) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def _threshold(code: int) -> str:
    return "never" if code == 128 else str(code)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _number(value: float | None) -> str:
    """Four or more digits of a count, in millions where it has them."""
    if value is None:
        return "-"
    return f"{value / 1e6:,.3f} M" if value >= 1e6 else f"{value:,.0f}"


def _kib(nbytes: int) -> str:
    return f"{nbytes / 1024:,.0f} KiB"
