"""A plan's memory as a few lines of plain text."""

import textwrap
from collections.abc import Iterator, Mapping

from ptee_mcu.report.memory_map import Block, MemoryMap, RegionMap, What, arena_words

_LETTERS = {
    What.CODE: "c",
    What.IN_PLACE: "w",
    What.IMAGE_BOOT: "i",
    What.IMAGE_STAGED: "i",
    What.BOOT: "b",
    What.STAGE: "s",
    What.ARENA: "a",
    What.VARIABLES: "v",
    What.STACK: "k",
}
_MEANINGS = {
    "c": "code", "w": "weights in place", "i": "images of what is copied", "b": "loaded at boot",
    "s": "stage", "a": "arena", "v": "variables", "k": "stack",
}  # fmt: skip
_SEGMENTS = 6  # named one by one
_TENSORS = 3
_BAR = (10, 40)  # least and most characters


def memory_text(found: MemoryMap, width: int = 100) -> list[str]:
    """A bar and figures per memory, arena beside its lower bound, stage, constants per exit segment.

    Args:
        found: what to show.
        width: no line is longer.
    """
    lines = [
        f"memory of {found.name} on {found.board}",
        *_regions(found, width),
        f"arena {arena_words(found)}",
        _widest(found),
        *_stage(found),
        *_segments(found),
    ]
    return [part for line in lines for part in _wrapped(line, width)]


def _wrapped(line: str, width: int) -> list[str]:
    """`line` in as many lines as it needs, all but the first indented further; a number keeps its unit."""
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    kept = textwrap.wrap(line.replace(" B", "\0B"), width, subsequent_indent=indent, break_on_hyphens=False)
    return [part.replace("\0", " ") for part in kept]


def _regions(found: MemoryMap, width: int) -> Iterator[str]:
    """A line per memory, and one more for what lies in it."""
    name = max(len(region.name) for region in found.regions)
    figures = [region.figures for region in found.regions]
    room = width - name - max(map(len, figures)) - 4
    bar = max(_BAR[0], min(_BAR[1], room))
    for region, words in zip(found.regions, figures, strict=True):
        yield f"{region.name:<{name}} [{_bar(region, bar)}] {words}"
        if region.blocks:
            sums = _by_letter(region)
            parts = (f"{letter} {_MEANINGS[letter]} {nbytes:,} B" for letter, nbytes in sums.items())
            yield " " * (name + 1) + ", ".join(parts)


def _bar(region: RegionMap, room: int) -> str:
    """Letters to scale, at least one for whatever is there; dots for what is free."""
    whole, text, end = max(region.nbytes, region.used), "", 0
    for letter, nbytes in _by_letter(region).items():
        end += nbytes
        text += letter * max(1, round(room * end / whole) - len(text))
    return text[:room].ljust(room, ".")


def _by_letter(region: RegionMap) -> Mapping[str, int]:
    sums: dict[str, int] = {}
    for block in region.blocks:
        sums[_LETTERS[block.what]] = sums.get(_LETTERS[block.what], 0) + block.nbytes
    return sums


def _widest(found: MemoryMap) -> str:
    live = [held for held in found.arena if held.first <= found.widest <= held.last]
    largest = sorted(live, key=lambda held: (-held.nbytes, held.name))
    words = ", ".join(f"{held.name} {held.nbytes:,} B" for held in largest[:_TENSORS])
    more = f" and {len(live) - _TENSORS} more" if len(live) > _TENSORS else ""
    over = "".join(f"; {each.output} over {each.source}" for each in found.shared if each.step == found.widest)
    return f"widest at step {found.widest}, {found.steps[found.widest][0]}: {words}{more}{over}"


def _stage(found: MemoryMap) -> Iterator[str]:
    if found.stage_bytes:
        fills = (max((h.end for h in found.stage if h.segment == i), default=0) for i in range(len(found.segments)))
        parts = (f"{part.exit} to {end:,} B" for part, end in zip(found.segments, fills, strict=True) if end)
        yield f"stage {found.stage_bytes:,} B in {found.stage_region}, filled for {', '.join(parts)}"


def _segments(found: MemoryMap) -> Iterator[str]:
    """Where the constants of every exit segment are read."""
    blocks = [(region.name, block) for region in found.regions for block in region.blocks]
    for i, part in enumerate(found.segments[:_SEGMENTS]):
        staged = sum(held.nbytes for held in found.stage if held.segment == i)
        reads = [*_read(blocks, i), *([f"staged {staged:,} B"] if staged else [])]
        reach = "" if part.reach is None else f" ({part.reach:.1%} enter)"
        yield f"exit {part.exit}{reach}: " + (", ".join(reads) or "no constants")
    if len(found.segments) > _SEGMENTS:
        yield f"and {len(found.segments) - _SEGMENTS} more exits"


def _read(blocks: list[tuple[str, Block]], segment: int) -> Iterator[str]:
    sums: dict[tuple[What, str], int] = {}
    for region, block in blocks:
        if block.segment == segment and block.what in (What.IN_PLACE, What.BOOT):
            key = (block.what, region)
            sums[key] = sums.get(key, 0) + block.nbytes
    for (what, region), nbytes in sums.items():
        yield f"{'in place' if what is What.IN_PLACE else 'loaded at boot'} in {region} {nbytes:,} B"
