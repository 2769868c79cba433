"""Arena and stage over time as parts of an SVG: steps from left to right, bytes from bottom to top."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ptee_mcu.report.memory_map import Held, MemoryMap, arena_words
from ptee_mcu.report.svg import FONT, GLYPH, colour, group, labelled, line, polygon, rectangle, shortened, text

ARENA_HEIGHT = 340.0
STAGE_HEIGHT = 130.0
_LEAST_STEP = 8.0  # width of a step
_BAND = 18.0
_LONGEST_NAME = 26


@dataclass(frozen=True, slots=True)
class Axis:
    """Where steps lie: step i begins at left + i * step."""

    left: float
    step: float
    count: int

    @property
    def width(self) -> float:
        """Of all steps."""
        return self.step * self.count

    def at(self, index: int) -> float:
        """Where a step begins."""
        return self.left + self.step * index


def axis_for(count: int, left: float, room: float) -> Axis:
    """Steps that fill `room`, or more of it where they would become too narrow."""
    return Axis(left, max(_LEAST_STEP, room / count), count)


def arena_picture(found: MemoryMap, axis: Axis, top: float) -> tuple[float, list[str]]:
    """Where it ends, and the arena with exit segments above and steps below."""
    y = top + FONT
    parts = [text(axis.left, y, f"arena over time: {arena_words(found)}", "head")]
    y += 10
    parts.append(group("segments", _bands(found, axis, y)))
    y += _BAND
    bottom = y + ARENA_HEIGHT
    parts += _plot(found, axis, y, ARENA_HEIGHT, found.arena_bytes)
    parts.append(group("arena", _held(found, found.arena, axis, bottom, ARENA_HEIGHT / found.arena_bytes)))
    parts.append(group("shared", _shared(found, axis, bottom, ARENA_HEIGHT / found.arena_bytes)))
    parts.append(line(axis.left, y, axis.left + axis.width, y, "size"))
    bound = bottom - ARENA_HEIGHT * found.lower_bound_bytes / found.arena_bytes
    parts.append(line(axis.left, bound, axis.left + axis.width, bound, "bound"))
    y, steps = _steps(found, axis, bottom + 3)
    return y, parts + steps


def stage_picture(found: MemoryMap, axis: Axis, top: float) -> tuple[float, list[str]]:
    """Where it ends, and what lies in the stage while each segment runs; nothing where there is none."""
    if not found.stage_bytes:
        return top, []
    y = top + FONT
    words = f"stage over time: {found.stage_bytes:,} B in {found.stage_region}, filled as segments are entered"
    parts = [text(axis.left, y, words, "head")]
    y += 10
    parts += _plot(found, axis, y, STAGE_HEIGHT, found.stage_bytes)
    bottom = y + STAGE_HEIGHT
    parts.append(group("stage", _held(found, found.stage, axis, bottom, STAGE_HEIGHT / found.stage_bytes)))
    return bottom + 10, parts


def reach_words(reach: float | None) -> str:
    """How many inputs enter a segment."""
    return "" if reach is None else f", {reach:.1%} enter"


def _bands(found: MemoryMap, axis: Axis, y: float) -> Iterator[str]:
    for i, part in enumerate(found.segments):
        words = f"exit {part.exit}{reach_words(part.reach)}"
        tooltip = f"segment {i}, to {words}: steps {part.first} to {part.last}"
        width = axis.step * (part.last - part.first + 1)
        yield labelled(axis.at(part.first), y, width, _BAND, colour(i), tooltip, words)


def _plot(found: MemoryMap, axis: Axis, top: float, height: float, nbytes: int) -> list[str]:
    """Grid, byte marks, and a line after the last step of every segment."""
    parts = []
    for mark in _marks(nbytes):
        y = top + height - height * mark / nbytes
        parts.append(line(axis.left, y, axis.left + axis.width, y, "grid"))
        words = f"{mark // 1024} KiB" if mark % 1024 == 0 and mark else f"{mark:,} B"
        parts.append(text(axis.left - 6, y + 4, words, "quiet", anchor="end"))
    for part in found.segments:
        x = axis.at(part.last + 1)
        parts.append(line(x, top, x, top + height, "exit"))
    return [*parts, rectangle(axis.left, top, axis.width, height, "frame")]


def _marks(nbytes: int) -> Sequence[int]:
    """Four to eight round numbers of bytes from 0 to `nbytes`."""
    step = 1
    while nbytes / step > 8:
        step *= 2
    return range(0, nbytes + 1, step)


def _held(found: MemoryMap, held: Sequence[Held], axis: Axis, bottom: float, scale: float) -> Iterator[str]:
    overwritten = {each.source for each in found.shared}
    for each in held:
        steps = f"step {each.first}" if each.first == each.last else f"steps {each.first} to {each.last}"
        exit_ = "" if each.segment is None else f"\nsegment of exit {found.segments[each.segment].exit}"
        tooltip = f"{each.name}: {each.nbytes:,} B\nbytes {each.offset:,} to {each.end:,}, {steps}{exit_}"
        width = axis.step * (each.last - each.first + 1)
        kind = colour(each.segment, "h" if each.minor else "c")
        y, height = bottom - scale * each.end, scale * each.nbytes
        covered = axis.step * (each.name in overwritten)
        yield labelled(axis.at(each.first), y, width, height, kind, tooltip, each.name, covered=covered)


def _shared(found: MemoryMap, axis: Axis, bottom: float, scale: float) -> Iterator[str]:
    for each in found.shared:
        tooltip = f"step {each.step} writes {each.nbytes:,} B of {each.output} over {each.source}"
        y, height = bottom - scale * (each.offset + each.nbytes), scale * each.nbytes
        yield rectangle(axis.at(each.step), y, axis.step, height, "shared", tooltip)


def _steps(found: MemoryMap, axis: Axis, top: float) -> tuple[float, list[str]]:
    """A cell per step, the mark of the widest, then names where they have room, else some numbers."""
    segment = [i for i, part in enumerate(found.segments) for _ in range(part.first, part.last + 1)]
    cells = [
        rectangle(axis.at(i), top, axis.step, 8, f"b {colour(segment[i])}", f"step {i}: {name} ({kind})")
        for i, (name, kind) in enumerate(found.steps)
    ]
    middle, y = axis.at(found.widest) + axis.step / 2, top + 10
    parts = [group("steps", cells), polygon(((middle, y), (middle - 5, y + 8), (middle + 5, y + 8)), "mark")]
    y += 20
    if axis.step >= FONT + 2:
        names = [shortened(f"{i} {name}", _LONGEST_NAME) for i, (name, _) in enumerate(found.steps)]
        parts += [text(axis.at(i) + axis.step / 2 + 4, y, name, turned=True) for i, name in enumerate(names)]
        y += 0.87 * GLYPH * max(map(len, names)) + 6
    else:
        every = next(n for n in (5, 10, 20, 50, 100) if n * axis.step > 5 * GLYPH or n == 100)
        parts += [
            text(axis.at(i) + axis.step / 2, y, str(i), "quiet", anchor="middle") for i in range(0, axis.count, every)
        ]
        y += 8
    widest = f"\u25b2 widest: step {found.widest}, {found.steps[found.widest][0]}"
    bound = f"dashed: lower bound, {found.lower_bound_bytes:,} B"
    parts.append(text(axis.left, y + FONT, f"{widest}; {bound}", "quiet"))
    return y + FONT + 14, parts
