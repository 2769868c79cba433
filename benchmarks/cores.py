"""Every emulated core over three networks with early exits: bytes against the simulator, and instruction counts.

    python benchmarks/cores.py [--inputs 256] [--core NAME...]

Writes docs/benchmarks/cores.md; with --core only prints. Each network runs over all inputs once per exit forced and
once with every exit free. A quarter of an hour on two cores with 256 inputs. Exit code 1 where a value differs, 2 where
a tool is missing.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # A script's own folder comes first on its path; the checkout and the networks of its tests are meant.
    sys.path[0] = str(ROOT)
    sys.path.insert(1, str(ROOT / "tests"))

from benchmarks.core_cells import CORES, EXITS, LITTLE, NETWORKS, Cell, cells_of, measure
from ptee_mcu.errors import PteeError
from ptee_mcu.firmware.machines import machine

PAGE = ROOT / "docs" / "benchmarks" / "cores.md"
_INTRODUCTION = """\
# Cores

Made by `python benchmarks/cores.py --inputs {inputs}`. Every firmware ran in QEMU over {inputs} random inputs, once per
exit forced and once with every exit free (thresholds at which half of the inputs leave); logits, labels, confidences
and exits are compared with the simulator. Weights are random, heads are `pooled`; CMSIS-NN 4.0.0, gcc 12.2 at -O3.

| core | machine | kernels | values compared | differing |
| --- | --- | --- | ---: | ---: |
"""
_COUNTS = """
## Instructions up to each exit

One inference that evaluates every exit on its way; in brackets multiply-accumulates per instruction. `{little}` is the
network that fits the 16 KiB of the Cortex-M0. Instructions are not cycles: [cycles.md](../cycles.md).

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, writes the page where nothing was left out, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=256)
    parser.add_argument("--core", action="append", choices=CORES)
    chosen = parser.parse_args(arguments)
    found = []
    try:
        for core in chosen.core or CORES:
            for name in cells_of(core):
                found.append(measure(name, core, chosen.inputs))
                print(found[-1], flush=True)
    except PteeError as error:
        print(error, file=sys.stderr)
        return 2
    if not chosen.core:
        PAGE.write_text(page(found), encoding="utf-8")
    return int(any(cell.differing for cell in found))


def page(cells: Sequence[Cell]) -> str:
    """The page in Markdown."""
    text = _INTRODUCTION.format(inputs=cells[0].inputs)
    for core in dict.fromkeys(cell.core for cell in cells):
        of_core = [cell for cell in cells if cell.core == core]
        values, differing = sum(cell.values for cell in of_core), sum(cell.differing for cell in of_core)
        text += f"| {_title(core)} | {core} | {machine(core).isa.value} | {values:,} | {differing} |\n"
    text += _COUNTS.format(little=LITTLE)
    for name in NETWORKS:
        of_network = [cell for cell in cells if cell.network == name]
        blocks = ", ".join(EXITS[name].blocks) if name in EXITS else "block0, block1"
        exits = len(of_network[0].macs)
        text += f"### {name}, exits behind {blocks}\n\n"
        text += _line(["core", "machine", *(f"exit {i}" for i in range(exits - 1)), "final"])
        text += _line(["---", "---", *["---:"] * exits])
        for cell in of_network:
            text += _line([_title(cell.core), cell.core, *_counts(cell)])
        text += "\n"
    return text.rstrip("\n") + "\n"


def _counts(cell: Cell) -> Iterable[str]:
    for executed, macs in zip(cell.instructions, cell.macs, strict=True):
        yield f"{executed:,} ({macs / executed:.3f})"


def _title(core: str) -> str:
    on = machine(core)
    number = on.cpu.removeprefix("cortex-m")
    return f"Cortex-M{number}{' without DSP' if 'nodsp' in ' '.join(on.flags) else ''}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    sys.exit(main())
