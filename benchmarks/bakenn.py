"""ResNet-8 without exits against BakeNN 1.0.0, at -O2 and -Os: instructions, flash and RAM, as ratios ours / BakeNN's.

    python benchmarks/bakenn.py [--json]

Both sides get the same network, weights and input, the same arm-none-eabi-gcc, flags, linker script, startup code and
emulated Cortex-M4 (mps2-an386), and CMSIS-NN 4.0.0. The network is MLPerf Tiny's with random weights and BatchNorm
statistics, its strided convolutions padded by 1 on every side: TensorFlow's uneven padding, which costs us nothing,
costs BakeNN 0.4 M instructions and 1,040 B of RAM in layers of its own. BakeNN runs as it does best: the CMSIS-NN
overlay for the Cortex-M4, weights of the last layer unpacked (packed, or through CMSIS-NN's fully connected layer, the
image grows by 640 to 840 B and saves less than 0.01 % of the instructions), compiled hosted (freestanding, every copy
in CMSIS-NN becomes a call).

What is counted
    instructions  executed by one inference, exact, from the call to the return: bknn_resnet8_infer; resnet8_run, which
                  also finds the label. Quantizing the input and copying it to where it is read are in neither.
    flash         .text, .rodata and .data of a whole linked image: startup code, a main that runs one inference, the
                  library, what of libc it uses. "library" is that less the same image with an empty main.
    RAM           .data and .bss of that image: arena, context, and input and output where they lie outside the arena.
    stack         deepest use below the call, measured in the run; part of neither flash nor RAM.

Before anything is compared, the output of each firmware must equal its own simulator's byte for byte, and the int8
logits of each must correlate with those of the float network by 0.95 or more.
"""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

if __name__ == "__main__":
    # A script's own folder comes first on its path, where this file would hide the package bakenn.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.bakenn_footprint import (
    METRICS,
    Footprint,
    bakenn_footprint,
    empty_flash_bytes,
    our_footprint,
)
from benchmarks.bakenn_resnet8 import bakenn_library, make_case, our_library
from ptee_mcu.errors import PteeError

LEVELS = ("-O2", "-Os")
TFLM_INSTRUCTIONS = 31_800_000  # at -O2 with the same CMSIS-NN 4.0.0: measured before, not measured here

Sides = tuple[Footprint, Footprint]  # ours, BakeNN's


def main() -> int:
    """Exit code; 2 where a tool is missing or a build or run fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    wants_json = parser.parse_args().json
    try:
        levels, empty = measure()
    except PteeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_table(levels, empty)
    if wants_json:
        print(json.dumps(as_json(levels), allow_nan=False))
    return 0


def measure() -> tuple[dict[str, Sides], dict[str, int]]:
    """Both sides per level, and the flash of an image without a network."""
    case = make_case()
    with TemporaryDirectory(prefix="ptee-bench-") as scratch:
        work = Path(scratch)
        say("compiling ResNet-8 with ptee-mcu")
        ours = our_library(case, work / "ours")
        say("compiling ResNet-8 with BakeNN, and its simulator on the input: about half a minute")
        theirs = bakenn_library(case, work / "bakenn")
        levels = {}
        for level in LEVELS:
            say(f"building and running both at {level}")
            levels[level] = (our_footprint(ours, level, work), bakenn_footprint(theirs, level, work))
        return levels, {level: empty_flash_bytes(level, work) for level in LEVELS}


def ratios(sides: Sides) -> dict[str, float]:
    """Ours / BakeNN's for every metric."""
    ours, theirs = sides
    return {metric: ours.of(metric) / theirs.of(metric) for metric in METRICS}


def worst(levels: dict[str, Sides]) -> dict[str, float]:
    """The larger ratio of the levels for every metric."""
    return {metric: max(ratios(sides)[metric] for sides in levels.values()) for metric in METRICS}


def as_json(levels: dict[str, Sides]) -> dict[str, object]:
    """What `--json` prints."""
    return {
        "ratio": worst(levels),
        "tflm_ratio": levels["-O2"][0].instructions / TFLM_INSTRUCTIONS,
        "levels": {
            level: {"ratio": ratios(sides), "ptee_mcu": sides[0].as_json(), "bakenn": sides[1].as_json()}
            for level, sides in levels.items()
        },
    }


def print_table(levels: dict[str, Sides], empty: dict[str, int]) -> None:
    """One line per level and metric, then the worse of the levels."""
    row = "{:<6}{:<14}{:>14}{:>14}{:>9}".format
    print(row("", "", "ptee-mcu", "BakeNN", "ratio"))
    for level, (ours, theirs) in levels.items():
        for metric in METRICS:
            mine, other = ours.of(metric), theirs.of(metric)
            print(row(level, metric, f"{mine:,}", f"{other:,}", f"{mine / other:.4f}"))
        mine, other = ours.flash_bytes - empty[level], theirs.flash_bytes - empty[level]
        print(row(level, "  library", f"{mine:,}", f"{other:,}", f"{mine / other:.4f}"))
        print(row(level, "stack", f"{ours.stack_bytes:,}", f"{theirs.stack_bytes:,}", ""))
    tflm = levels["-O2"][0].instructions / TFLM_INSTRUCTIONS
    print(f"\nTFLM with the same CMSIS-NN 4.0.0 at -O2, measured before: {TFLM_INSTRUCTIONS:,} instructions")
    print(f"ours / TFLM's: {tflm:.4f}")
    print("ours / BakeNN's, worse of the two levels: " + ", ".join(f"{m} {r:.4f}" for m, r in worst(levels).items()))
    above = [metric for metric, ratio in worst(levels).items() if ratio > 1] + (["TFLM's"] if tflm > 1 else [])
    if above:
        print(f"above 1: {', '.join(above)}")


def say(text: str) -> None:
    """Progress, apart from the results."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
