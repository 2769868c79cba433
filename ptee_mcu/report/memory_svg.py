"""The picture of a plan's memory as one SVG file: every memory to scale, then arena and stage over time."""

from collections.abc import Iterator

from ptee_mcu.report.memory_map import Block, MemoryMap, RegionMap, What
from ptee_mcu.report.memory_time import arena_picture, axis_for, reach_words, stage_picture
from ptee_mcu.report.svg import FONT, GLYPH, colour, document, group, labelled, polygon, rectangle, text

_EDGE = 24.0
_GUTTER = 66.0  # for byte marks, left of plots
_ROOM = 900.0  # for steps, where they need no more
_STRIP = 7.0
_BAR = 28.0
_PARTS = 12  # constants named in a tooltip
_TEXTURES = {What.IMAGE_BOOT: "d", What.IMAGE_STAGED: "d"}
_SHORT = {
    What.IN_PLACE: "in place",
    What.IMAGE_BOOT: "image, boot",
    What.IMAGE_STAGED: "image, staged",
    What.BOOT: "loaded at boot",
}


def memory_svg(found: MemoryMap) -> str:
    """The picture as the text of an SVG file; words that show where the mouse rests name every block."""
    axis = axis_for(len(found.steps), _EDGE + _GUTTER, _ROOM)
    width = axis.left + axis.width + _EDGE
    y = _EDGE + 12
    title = f"Memory of {found.name} on {found.board}"
    parts = [text(_EDGE, y, title, "title")]
    y, legend = _legend(found, y + 14, width)
    parts.append(group("legend", legend))
    for region in found.regions:
        y, drawn = _region(found, region, y + 16, _ROOM + _GUTTER)
        parts.append(group(f"region-{region.name}", drawn))
    y, arena = arena_picture(found, axis, y + 26)
    y, stage = stage_picture(found, axis, y + 8)
    return document(width, y + _EDGE, title, [*parts, *arena, *stage], len(found.segments))


def _legend(found: MemoryMap, top: float, width: float) -> tuple[float, list[str]]:
    """Where it ends, and a swatch with words for every colour and texture in use."""
    entries = [(colour(i), f"exit {part.exit}{reach_words(part.reach)}") for i, part in enumerate(found.segments)]
    blocks = [block for region in found.regions for block in region.blocks]
    if any(each.minor for each in (*found.arena, *found.stage)) or any(block.head for block in blocks):
        entries.append(("h0", "head, scratch"))
    if any(block.what in _TEXTURES for block in blocks):
        entries.append(("d0", "image of what is copied"))
    entries.append(("input", "input"))
    if found.shared:
        entries.append(("shared", "written over an input"))
    entries += [(what.value, what.value) for what in _neutral(found)]
    x, y, parts = _EDGE, top, []
    for kind, words in entries:
        wide = 24 + GLYPH * len(words) + 16
        if x > _EDGE and x + wide > width - _EDGE:
            x, y = _EDGE, y + 20
        parts += [rectangle(x, y, 16, 12, f"b {kind}"), text(x + 22, y + 10, words)]
        x += wide
    return y + 20, parts


def _neutral(found: MemoryMap) -> Iterator[What]:
    """What lies in some memory and belongs to no segment, in the order of the definition."""
    shown = {block.what for region in found.regions for block in region.blocks if block.segment is None}
    return (what for what in What if what in shown)


def _region(found: MemoryMap, region: RegionMap, top: float, room: float) -> tuple[float, list[str]]:
    """Where it ends, and: a line of figures; the memory to scale; what is used of it, enlarged; the sums."""
    y = top + FONT
    where = f"{region.name} ({region.kind}, at 0x{region.base:08x})"
    parts = [text(_EDGE, y, f"{where}: {region.figures}", "head")]
    y += 7
    whole = max(region.nbytes, region.used)
    taken = room * region.used / whole
    used = f"{region.used:,} B used"
    parts += [
        rectangle(_EDGE, y, room * region.nbytes / whole, _STRIP, "strip", f"{region.nbytes:,} B in all"),
        rectangle(_EDGE, y, taken, _STRIP, "taken", used),
    ]
    y += _STRIP
    if not region.blocks:
        return y + 4, parts
    parts.append(polygon(((_EDGE, y), (_EDGE + taken, y), (_EDGE + room, y + 14), (_EDGE, y + 14)), "lens"))
    y += 14
    parts.append(group(f"blocks-{region.name}", _blocks(found, region, y, room)))
    y += _BAR + FONT + 5
    sums = {what: sum(b.nbytes for b in region.blocks if b.what is what) for what in What}
    words = ", ".join(f"{what.value} {nbytes:,} B" for what, nbytes in sums.items() if nbytes)
    parts.append(text(_EDGE, y, words, "quiet"))
    return y + 4, parts


def _blocks(found: MemoryMap, region: RegionMap, y: float, room: float) -> Iterator[str]:
    scale, x = room / region.used, _EDGE
    for block in region.blocks:
        kind, label = _kind(block), _label(found, block)
        yield labelled(x, y, scale * block.nbytes, _BAR, kind, _tooltip(found, block), label)
        x += scale * block.nbytes


def _kind(block: Block) -> str:
    if block.segment is None:
        return block.what.value
    return colour(block.segment, _TEXTURES.get(block.what, "h" if block.head else "c"))


def _label(found: MemoryMap, block: Block) -> str:
    if block.segment is None:
        return f"{block.what.value} {block.nbytes:,}"
    head = " head" if block.head else ""
    return f"{found.segments[block.segment].exit}{head}, {_SHORT[block.what]} {block.nbytes:,}"


def _tooltip(found: MemoryMap, block: Block) -> str:
    if block.segment is None:
        return f"{block.what.value}: {block.nbytes:,} B"
    of = f"{'head' if block.head else 'segment'} of exit {found.segments[block.segment].exit}"
    lines = [f"{block.what.value}, {of}: {block.nbytes:,} B"]
    lines += [f"{name} {nbytes:,} B" for name, nbytes in block.parts[:_PARTS]]
    if len(block.parts) > _PARTS:
        lines.append(f"and {len(block.parts) - _PARTS} more")
    return "\n".join(lines)
