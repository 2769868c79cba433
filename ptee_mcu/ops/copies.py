"""Loops of memcpy where one run of bytes after another is copied, with the alignments that they come to have."""

from dataclasses import dataclass

import numpy as np

_LOOPS = ("copy", "byte", "block", "quad", "word", "tail", "misaligned", "head", "short", "short byte")


@dataclass(frozen=True, slots=True)
class Runs:
    """`times` runs of `nbytes`, a run `source_step` and `target_step` bytes after the one before it."""

    times: int
    nbytes: int
    source_step: int
    target_step: int
    source: int = 0
    target: int = 0


def copies(*all_runs: Runs) -> dict[str, int]:
    """How often the loops of memcpy run: 64 bytes a block, 16 a quad, up to 3 in a tail.

    Where neither end is a word boundary, `head` bytes lead up to one of the target; short runs go byte by byte.
    On Armv6-M words are copied only where both ends are at word boundaries of runs of 16 bytes or more; all others are
    counted in `byte`.
    Source: newlib 3.3.0, memcpy for Armv7-M, and the portable one.
    """
    found = dict.fromkeys(_LOOPS, 0)
    for runs in all_runs:
        at = np.arange(runs.times)
        source, target = (runs.source + at * runs.source_step) % 4, (runs.target + at * runs.target_step) % 4
        misaligned = (source | target) != 0
        short = misaligned & (runs.nbytes < 8)
        led = misaligned & ~short & (source != 0) & (target != 0)
        left = runs.nbytes - np.where(led, 4 - target, 0)
        bytewise = np.where(short, max(runs.nbytes - 3, 0), 0)
        left = np.where(short, runs.nbytes - bytewise, left)
        single = np.where(misaligned | (runs.nbytes < 16), runs.nbytes, runs.nbytes % 4)
        blocks, quads, words = left // 64, left % 64 // 16, left % 16 // 4
        counts = (runs.times, single, blocks, quads, words, left % 4 > 0, misaligned, led, short, bytewise)
        for name, count in zip(_LOOPS, counts, strict=True):
            found[name] += int(np.sum(count))
    return found
