"""What was found in a model file, for people and for programs: borders, ops, sizes, boards, attach points, JSON."""

from collections.abc import Iterator
from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

from ptee_mcu.frontends.listing import Border
from ptee_mcu.inspection import BoardFit, Inspection
from ptee_mcu.report.tables import number, percent, plain_table

_WIDEST_NAME = 48  # characters; converters of TensorFlow join the names of all that they fuse


def as_json(found: Inspection) -> dict[str, object]:
    """All fields; boards and points with what follows from them."""
    sizes, taps = found.sizes, {tap.tensor: tap.name for tap in found.taps}
    fields = asdict(found)
    del fields["taps"]
    return fields | {
        "supported": found.refused is None,
        "sizes": None
        if sizes is None
        else {
            "weight_bytes": sizes.weight_bytes,
            "arena_bytes": {isa.value: nbytes for isa, nbytes in sizes.arena_bytes},
            "boards": [asdict(board) | {"fits": board.fits} for board in sizes.boards],
        },
        "points": [asdict(point) | {"tap": taps.get(point.tensor)} for point in found.points],
    }


def summary(found: Inspection) -> Iterator[str]:
    """What the network is and what it takes, a line each."""
    yield f"{found.name}: {found.format}"
    for what, borders in (("input", found.inputs), ("output", found.outputs)):
        for border in borders:
            yield f"  {what:<11} {_border(border)}"
    yield f"  parameters  {_count(found.parameters)}"
    yield f"  MACs        {_count(found.macs)}"
    if found.stored_bytes is not None:
        yield f"  constants   {found.stored_bytes:,} B in the file"
    if found.sizes is not None:
        weights = f"{found.sizes.weight_bytes:,} B"
        yield f"  weights     {weights} of int8 constants, biases and rescale pairs included"
    if found.alive_bytes is not None:
        yield f"  RAM         at least {found.alive_bytes:,} B: int8 activations alive at once, in this order"
    if found.sizes is not None:
        arenas = ", ".join(f"{nbytes:,} B ({isa.value})" for isa, nbytes in found.sizes.arena_bytes)
        yield f"  arena       {arenas}: planned, scratch included"
    yield from (f"  note        {note}" for note in found.notes)
    if found.refused is not None:
        yield f"not supported: {found.refused}"


def op_table(found: Inspection) -> Table:
    """One row per kind of op."""
    table = plain_table("ops")
    table.add_column("op", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("supported", no_wrap=True)
    table.add_column("remark")
    for op in found.ops:
        table.add_row(escape(op.kind), f"{op.count:,}", "yes" if op.supported else "[red]no[/red]", escape(op.why))
    return table


def board_table(boards: tuple[BoardFit, ...]) -> Table:
    """One row per board, those that fit first, the smallest first."""
    table = plain_table("boards: bytes needed of those there")
    table.add_column("board", no_wrap=True)
    table.add_column("fits", no_wrap=True)
    for header in ("flash", "of", "%", "RAM", "of", "%"):
        table.add_column(header, justify="right", no_wrap=True)
    for fit in sorted(boards, key=lambda b: (not b.fits, b.emulated_only, b.flash_bytes + b.ram_bytes)):
        table.add_row(
            escape(fit.board), "yes" if fit.fits else "no",
            *_share(fit.needs_flash_bytes, fit.flash_bytes), *_share(fit.needs_ram_bytes, fit.ram_bytes),
        )  # fmt: skip
    return table


def point_table(found: Inspection) -> Table:
    """One row per place where an exit head can attach."""
    table = plain_table("attach points of exits")
    table.add_column("after", overflow="fold")
    table.add_column("shape", no_wrap=True)
    for header in ("MACs so far", "% of all", "alive B", "RAM so far B"):
        table.add_column(header, justify="right", no_wrap=True)
    points = {point.tensor: point for point in found.points}
    for tap in found.taps:
        point = points[tap.tensor]
        table.add_row(
                escape(_short(tap.name)), _shape(point.shape), number(point.macs), percent(point.share),
                f"{point.live_bytes:,}", f"{point.ram_bytes:,}",
            )  # fmt: skip
    return table


def remarks(found: Inspection) -> Iterator[str]:
    """What belongs beneath the tables."""
    if found.sizes is not None:
        yield "needed: constants and 32 KiB of code in the memory of code; arena and 4 KiB of stack in the largest RAM"
    if found.points:
        others = len(found.points) - len(found.taps)
        yield "alive: the tensor itself, which stays while a head reads it; RAM so far: the most alive at once up to it"
        if others:
            yield (
                f"further tensors that cut the network: {others} (vectors, single pixels, the input reshaped, "
                "what an elementwise op replaces; --json lists them)"
            )


def _border(border: Border) -> str:
    code = "" if border.scale is None else f", scale {border.scale:.9g}, zero point {border.zero_point}"
    return f"{_short(border.name)}: {border.dtype} {_shape(border.shape)}{code}"


def _share(needed: int, there: int) -> tuple[str, str, str]:
    return f"{needed:,}", f"{there:,}", f"{100 * needed / there:.1f}"


def _shape(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("?" if side is None else str(side) for side in shape) + ")"


def _short(name: str) -> str:
    if len(name) <= _WIDEST_NAME:
        return name
    half = _WIDEST_NAME // 2 - 1
    return f"{name[:half]}..{name[-half:]}"


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"
