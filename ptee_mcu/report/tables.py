"""The tables and remarks of a report as rich tables and lines of text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ptee_mcu.quant_graph import NEVER
from ptee_mcu.report.points import PointRow
from ptee_mcu.report.summary import Report
from ptee_mcu.report.timing import Timing

if TYPE_CHECKING:
    from ptee_mcu.firmware.checks import Checks

_SCORES = {"softmax": "softmax", "confidence": "sigmoid"}  # what a probability is read from, as papers call it
_NOMINAL = "nominal: PTEEnet's own figure, which charges the last head alone; for comparison with papers only"


def plain_table(title: str | None = None) -> Table:
    """An empty table in the one style there is."""
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def exit_table(report: Report) -> Table:
    """One row per exit under the point reported on, and the mean."""
    nominal = report.nominal_cost is not None
    table = plain_table(escape(f"{report.name}: {report.images:,} images, {report.of}"))
    for header in ("exit", "after", "fires at"):
        table.add_column(header, no_wrap=True)
    costs = ("cost", "nominal") if nominal else ("cost",)
    timed = ("ms",) if report.timing else ()
    for header in ("share %", "agree %", "right %", "MACs", *costs, *timed, "instr."):
        table.add_column(header, justify="right", no_wrap=True)
    for row in report.rows:
        table.add_row(
            escape(row.name), escape(row.after or ""), "" if row.threshold is None else _threshold(row.threshold),
            percent(row.share), percent(row.agreement), percent(row.accuracy), number(row.macs),
            f"{row.macs / report.backbone_macs:.3f}", *([_cost(row.nominal)] if nominal else []),
            *([_ms(report.timing.ms(row.cycles or 0.0))] if report.timing else []), number(row.instructions),
        )  # fmt: skip
    table.add_section()
    table.add_row(
        "mean", "", "", "", percent(report.agreement), percent(report.accuracy), number(report.mean_macs),
        f"{report.cost:.3f}", *([_cost(report.nominal_cost)] if nominal else []),
        *([_ms(report.timing.ms(report.timing.mean))] if report.timing else []), number(report.mean_instructions),
    )  # fmt: skip
    return table


def point_table(report: Report) -> Table:
    """One row per operating point."""
    table = plain_table("operating points, on the same images")
    for header in ("point", "asked", "certified"):
        table.add_column(header, no_wrap=True)
    timed = report.timing is not None
    for header in ("agree %", "right %", "cost", "worst", *(("ms", "worst ms") if timed else ()), "exit shares %"):
        table.add_column(header, justify="right", no_wrap=True)
    for row in report.points:
        table.add_row(
            ("* " if row.default else "  ") + escape(row.name), _asked(row), _certified(row), percent(row.agreement),
            percent(row.accuracy), _cost(row.cost), _cost(row.worst_cost),
            *([_ms(row.mean_ms), _ms(row.worst_ms)] if timed else []),
            " / ".join(f"{100 * share:.1f}" for share in row.shares),
        )  # fmt: skip
    return table


def exit_remarks(report: Report) -> Iterator[str]:
    """What belongs beneath the table of exits."""
    if report.nominal_cost is not None:
        yield _NOMINAL
    if report.full_accuracy is not None:
        yield f"without exits, the same images: {percent(report.full_accuracy)} % accuracy in int8"
    if report.baseline is not None:
        known = report.baseline
        yield (
            f"without exits, all {known.images:,} held-out images (for thresholds and report): "
            f"{percent(known.int8_accuracy)} % in int8"
            + ("" if known.float_accuracy is None else f", {percent(known.float_accuracy)} % in float32")
        )
    yield (
        f"cost: mean {report.cost:.3f}, worst {report.worst_cost:.3f} of the backbone's {report.backbone_macs:,} MACs, "
        "every evaluated head charged"
    )
    yield from _per_exit(report)
    if report.timing is not None:
        yield from _times(report.timing)
    flash = "" if report.flash_bytes is None else f"; linked: {report.flash_bytes:,} B of flash"
    ram = "" if report.ram_bytes is None else f", {report.ram_bytes:,} B of static RAM"
    yield f"memory: arena {report.arena_bytes:,} B, constants {report.weight_bytes:,} B{flash}{ram}"
    if report.checks is not None:
        yield from _checks(report.name, report.checks)
    yield from (f"note: {note}" for note in report.notes)


def point_remarks(report: Report) -> Iterator[str]:
    """What belongs beneath the table of operating points."""
    yield "*: the default; agree: with the network's own final exit; right: against labels"
    if any(row.certified for row in report.points):
        yield (
            "certified: with that probability over the choosing images, all certified points together keep what was "
            "asked on new images from the same source"
        )
    yield from (f"note: {row.name}: {row.note}" for row in report.points if row.note is not None)


def percent(share: float | None) -> str:
    """A fraction in percent; "-" where unknown."""
    return "-" if share is None else f"{100 * share:.2f}"


def number(value: float | None) -> str:
    """Four or more digits of a count, in millions where it has them; "-" where unknown."""
    if value is None:
        return "-"
    return f"{value / 1e6:,.3f} M" if value >= 1e6 else f"{value:,.0f}"


def _per_exit(report: Report) -> Iterator[str]:
    """One line per exit: the risk of those that left there, how far its probabilities can be believed."""
    for row, risk in zip(report.rows, report.risks or [None] * len(report.rows), strict=True):
        parts = []
        if risk is not None:
            rates = f"{percent(risk.disagree)} % of them disagree, {percent(risk.wrong)} % are wrong"
            parts.append(f"{risk.count:,} left here, {rates}" if risk.count else "nobody left here")
        parts += [
            f"{_SCORES[each.score.value]} temperature {each.temperature:.2f}, "
            f"ECE {percent(each.ece_before)} -> {percent(each.ece_after)} %"
            for each in report.reliability
            if each.exit == row.name
        ]
        if parts:
            yield f"{row.name}: " + "; ".join(parts)


def _times(timing: Timing) -> Iterator[str]:
    """Time and energy, what placing the constants saved, how far to trust the figures."""
    ms = timing.ms
    yield (
        f"time on {timing.board} at {timing.clock_hz / 1e6:g} MHz: mean {_ms(ms(timing.mean))} ms "
        f"({number(timing.mean)} cycles), 95th percentile {_ms(ms(timing.percentile_95))} ms, worst "
        f"{_ms(ms(timing.worst))} ms; with all constants in flash the mean is {_ms(ms(timing.in_flash))} ms"
    )
    energy = (
        "unknown"
        if timing.energy_uj is None
        else f"{timing.energy_uj:,.4g} uJ" + (" (from a power without a source)" if timing.energy_unsourced else "")
    )
    boot = f"; loading constants before main takes {_ms(ms(timing.boot))} ms, once" if timing.boot else ""
    yield f"energy of the mean inference: {energy}{boot}"
    bar = "unknown" if timing.error is None else f"{timing.error[0]:+g} to {timing.error[1]:+g} %"
    yield f"cycles are computed, not measured on hardware; {timing.core}: error {bar}, checked against {timing.checked}"
    if timing.traced:
        off = 100 * (timing.full[-1] / timing.traced[-1] - 1)
        yield (
            f"a full pass: {number(timing.full[-1])} cycles in closed form, {number(timing.traced[-1])} by trace of "
            f"the firmware ({off:+.1f} %)"
        )


def _checks(name: str, checks: "Checks") -> Iterator[str]:
    """The deepest stack, computed and painted, and what the audit of the code says."""
    computed = {each.function: each.nbytes for each in checks.stacks}
    if checks.worst is None:
        yield f"stack: no bound: {checks.unbounded}"
    else:
        run = computed[f"{name}_run"]
        more = f", {checks.worst.function} {checks.worst.nbytes:,} B" if checks.worst.nbytes > run else ""
        yield (
            f"stack at worst: {name}_run {run:,} B{more}, of {checks.reserved_bytes:,} B reserved for the application; "
            f"interrupts and its counter of cycles come on top"
        )
    if checks.painted:
        seen = ", ".join(f"{each.function} {each.nbytes:,} B" for each in checks.painted)
        yield f"stack painted in the emulator: {seen}"
    if checks.clean:
        yield (
            f"audit of {checks.audit.functions} functions: no heap, no floating point, no recursion, no call through a "
            "pointer but of the counter of cycles"
        )
    yield from (f"audit: {problem}" for problem in checks.problems())


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}" if value < 10 else f"{value:,.1f}"


def _threshold(code: int) -> str:
    return "never" if code == NEVER else str(code)


def _cost(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _asked(row: PointRow) -> str:
    if row.asked is None:
        return "-"
    match row.quantity:
        case "disagreement":
            return f"disagreement {100 * row.asked:.4g} %"
        case "drop":
            return f"drop {100 * row.asked:.4g} pp"
        case "mean_cost":
            return f"mean cost {row.asked:.4g}"
        case _:
            return f"{row.quantity.replace('_', ' ')} {row.asked:,.0f}"


def _certified(row: PointRow) -> str:
    return "not certified" if row.delta is None else f"at {100 * (1 - row.delta):.4g} %"
