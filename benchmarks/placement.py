"""Where weights lie, and what that saves: all in flash, the first segments in RAM, and the optimizer's placement.

    python benchmarks/placement.py [--trace] [--json]

Writes docs/benchmarks/placement.md. Cycles are of the mean inference, in closed form. `--trace` builds the firmware of
the first and the last placement for every board, runs one inference through every layer in the emulator and prices
what was executed (docs/cycles.md); the page then shows both. Half a minute, with traces three minutes. Exit code 1
where the optimizer's placement is worse than another, or saves too little of the autoencoder on the Nucleo-L4R5ZI; 2
where a tool is missing.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # A script's own folder comes first on its path; the checkout is meant.
    sys.path[0] = str(ROOT)

from benchmarks.placement_cells import BOARDS, NETWORKS, Cell, cells
from ptee_mcu.errors import PteeError

PAGE = ROOT / "docs" / "benchmarks" / "placement.md"
LEAST_SAVED = 0.15  # of the autoencoder on the Nucleo-L4R5ZI
CLOSE = 0.05  # a closed form further from its trace is named
# Autoencoder, flash over RAM and cycles per weight byte. Source: MLPerf Tiny v1.2, closed division, Bosch, HALE, the
# systems and their _max_performance variants.
HALE = {"nucleo_l4r5zi": (1.23, 0.50), "nucleo_f746zg": (1.20, 0.23)}
_SAME = 1 + 1e-9  # sums in another order

_INTRODUCTION = """\
# What the placement of weights saves

Made by `python benchmarks/placement.py{option}`. Core cycles of the mean inference in closed form
([cycles.md](../cycles.md)), for three placements ([weight-placement.md](../weight-placement.md)): **flash**, every
constant read where the image holds it; **greedy**, constants loaded into on-chip RAM at boot in the order of
execution, while they fit; **ours**, the optimizer's. ResNet-20 has four `pooled2` heads behind layer1.0, layer1.1,
layer2.0 and layer3.0; 7, 16, 17, 15 and 45 % of the inputs leave at each exit ([ptee.md](ptee.md): seed 0, at most 1 %
disagreement). Weights are random. "constants in QSPI": the application is taken to fill the internal flash, which
leaves the external one for all constants; code still runs from the internal one. RAM for constants: what is loaded at
boot, and the stage that segments share; both beside the arena. Where they lie: KiB by memory. Gap: to the bound that
the solver proved.
"""
_HEAD = (
    "\n| network | board | flash | greedy | ours | against flash | against greedy | arena B | constants B "
    "| RAM for them B | of it stage B | ours lie in | gap | s |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|---:|\n"
)
_TRACED = """
## Against the trace

The firmware of both placements, built for the board at -O3 and linked by its own script, ran one random input through
every segment in the emulator; cycles per segment are priced from what was executed, and weighted by reach. What
remains between the two is the closed form's error; the trace's own (docs/cycles.md: -6 to +3 % on the Cortex-M4, +-30 %
on the M7, a bound only on the M0+) comes on top, and so do the waits of memories that are unsourced (below).

| network | board | flash, closed form | traced | error | ours, closed form | traced | error | saved | saved, traced |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|
"""
_NOTES = """
## How far to trust it

Published for the autoencoder of MLPerf Tiny, weights in flash and in RAM (Bosch HALE, v1.2), beside the cells above. An
engine that computes less for each byte gains more by the same waits; what a byte waits is the figure to compare. The
last column is what our autoencoder would save if a byte waited as long as published.

| board | flash / RAM, published | here | cycles per weight byte, published | here | saved | by the published waits |
|---|---:|---:|---:|---:|---:|---:|
{published}
- A layer gains by what it waits, and it waits where weights are read once (fully connected) or no cache holds them
  between two columns (im2col convolutions of the L4R5ZI, whose cache for data has 256 B, and of the F746, with 4 KB).
  The RP2040 keeps a layer of up to 16 KB in its cache and computes 9 to 16 cycles per multiply-accumulate: its
  convolutional networks gain little, although a byte of its flash costs 7 cycles, as much as one of QSPI.
- Unsourced waits, on which the cells of these boards stand: pico (56 cycles a line), QSPI of disco_f746ng (228),
  nrf52840_dk (2.5 a word, no cache for data). A line of SDRAM on disco_f746ng counts 32 cycles, without the latencies
  of row and column: what ours puts there would gain less. On both F746 boards a line of SRAM on its way into the cache
  counts nothing, so SRAM and TCM look alike.
- The emulated core is the board's own, but for pico: a Cortex-M3 executes its Armv6-M code there, which is the same
  code, priced as a Cortex-M0+.
- The closed form fetches a kernel's code anew for each layer; where a large cache still holds it, as on pico, that is
  too much: most of what its autoencoder is off.
- SDRAM and QSPI are memory only after start-up code has set up their controllers, before constants are loaded.
"""


def main() -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", action="store_true", help="check the closed form in the emulator")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    found = []
    try:
        for cell in cells(NETWORKS, BOARDS, traced=options.trace):
            found.append(cell)
            print(f"{cell.network}, {cell.board}: {percent(-cell.saved)} against flash", file=sys.stderr, flush=True)
    except PteeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    text = page(found)
    PAGE.write_text(text, encoding="utf-8")
    print(text)
    if options.json:
        print(json.dumps([asdict(cell) for cell in found], allow_nan=False))
    wrong = failures(found)
    for line in wrong:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if wrong else 0


def failures(found: Sequence[Cell]) -> list[str]:
    """What must hold and does not, a line each."""
    wrong = []
    for cell in found:
        for what, rival in (("all in flash", cell.flash), ("greedy", cell.greedy)):
            if cell.ours > rival * _SAME:
                wrong.append(f"{cell.network}, {cell.board}: ours {cell.ours:,.0f}, {what} {rival:,.0f}")
        if (cell.network, cell.board) == ("autoencoder", "nucleo_l4r5zi") and cell.saved < LEAST_SAVED:
            wrong.append(
                f"autoencoder, nucleo_l4r5zi: saves {100 * cell.saved:.1f} %, less than {100 * LEAST_SAVED:.0f} %"
            )
    return wrong


def page(found: Sequence[Cell]) -> str:
    """docs/benchmarks/placement.md; the traces where every cell has some."""
    traced = [cell for cell in found if cell.traced]
    parts = [_INTRODUCTION.format(option=" --trace" if traced else ""), _HEAD, *(map(_row, found))]
    if traced:
        parts += [_TRACED, *map(_traced_row, traced), "\n", _verdict(traced), "\n"]
    return "".join((*parts, _NOTES.format(published=_published(found))))


def _row(cell: Cell) -> str:
    gap = "optimal" if cell.gap < 1e-6 else f"{cell.gap:.2%}"
    return (
        f"| {cell.network} | {cell.board} | {cell.flash:,.0f} | {cell.greedy:,.0f} | **{cell.ours:,.0f}** "
        f"| {percent(-cell.saved)} | {percent(cell.ours / cell.greedy - 1)} | {cell.arena_bytes:,} "
        f"| {cell.constant_bytes:,} | {cell.loaded_bytes + cell.stage_bytes:,} | {cell.stage_bytes:,} | {cell.where} "
        f"| {gap} | {cell.seconds:.1f} |\n"
    )


def _traced_row(cell: Cell) -> str:
    assert cell.traced is not None
    (flash, ours), errors = cell.traced, cell.errors
    return (
        f"| {cell.network} | {cell.board} | {cell.flash:,.0f} | {flash:,.0f} | {percent(errors[0])} "
        f"| {cell.ours:,.0f} | {ours:,.0f} | {percent(errors[1])} "
        f"| {100 * cell.saved:.1f} % | {100 * (1 - ours / flash):.1f} % |\n"
    )


def _verdict(traced: Sequence[Cell]) -> str:
    errors = [(error, cell) for cell in traced for error in cell.errors]
    far = [f"{cell.network} on {cell.board} ({percent(error)})" for error, cell in errors if abs(error) > CLOSE]
    if far:
        return f"**Further than {100 * CLOSE:.0f} % from the trace: {', '.join(far)}.**"
    worst, cell = max(errors, key=lambda each: abs(each[0]))
    return (
        f"No cell is further than {100 * CLOSE:.0f} % from its trace; "
        f"the furthest: {cell.network} on {cell.board}, {percent(worst)}."
    )


def _published(found: Sequence[Cell]) -> str:
    rows = []
    for cell in found:
        if cell.network == "autoencoder" and cell.board in HALE:
            ratio, per_byte = HALE[cell.board]
            here, waits = (cell.flash - cell.ours) / cell.constant_bytes, per_byte * cell.constant_bytes
            rows.append(
                f"| {cell.board} | {ratio:.2f} | {cell.flash / cell.ours:.2f} | {per_byte:.2f} | {here:.2f} "
                f"| {100 * cell.saved:.1f} % | {100 * waits / (cell.ours + waits):.1f} % |\n"
            )
    return "".join(rows)


def percent(share: float) -> str:
    """With its sign."""
    return f"{100 * share:+.1f} %"


if __name__ == "__main__":
    sys.exit(main())
