"""The picture: valid XML that needs nothing else, every block inside, to scale, apart from what is alive with it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from xml.etree import ElementTree as ET

import pytest
from plan.test_make import resnet
from report.placed import mixed
from support.builder import Builder, small_network
from support.emitted import planned
from support.points import switched_network

from ptee_mcu.plan.plan import Plan
from ptee_mcu.plan.used import Fixed
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.report.memory_map import Held, MemoryMap, Shared, memory_map
from ptee_mcu.report.memory_svg import memory_svg
from ptee_mcu.tensor import HW

FIXED = Fixed(code_bytes=21_000, static_bytes=400, stack_bytes=4096)
SVG = "{http://www.w3.org/2000/svg}"
ROUNDING = 0.0021  # coordinates have three decimals


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    title: str
    kind: str

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    def overlaps(self, other: "Box") -> bool:
        across = self.x < other.right - ROUNDING and other.x < self.right - ROUNDING
        return across and self.y < other.bottom - ROUNDING and other.y < self.bottom - ROUNDING

    def holds(self, other: "Box") -> bool:
        sides = self.x <= other.x + ROUNDING and other.right <= self.right + ROUNDING
        return sides and self.y <= other.y + ROUNDING and other.bottom <= self.bottom + ROUNDING


def long_network(blocks: int) -> QuantGraph:
    """`blocks` convolutions in a row, an exit after each quarter."""
    b = Builder((1, 4, 4, 4))
    x = "input"
    for i in range(blocks):
        x = b.conv(x, 4, HW(1, 1))
        if (i + 1) % (blocks // 4) == 0 and i + 1 < blocks:
            b.exit(f"exit{i}", x)
    b.exit("final", x, final=True)
    return b.graph("long")


PLANS: dict[str, Callable[[], Plan]] = {
    "small, all ways": lambda: mixed(small_network()),
    "four exits, in place": lambda: planned(switched_network()),
    "ResNet-20, all ways": lambda: mixed(resnet(3, exits=True)),
    "300 steps": lambda: planned(long_network(290)),
}


@pytest.fixture(scope="module", params=PLANS.values(), ids=PLANS)
def found(request: pytest.FixtureRequest) -> MemoryMap:
    return memory_map(request.param(), FIXED)


def root_of(found: MemoryMap) -> ET.Element:
    return ET.fromstring(memory_svg(found))  # noqa: S314 - what this program wrote


def boxes(root: ET.Element, group: str) -> list[Box]:
    holder = next(g for g in root.iter(f"{SVG}g") if g.get("id") == group)
    return [
        Box(
            *(float(shape.get(side) or "") for side in ("x", "y", "width", "height")),
            shape.findtext(f"{SVG}title") or "",
            shape.get("class") or "",
        )
        for shape in holder.findall(f"{SVG}rect")
    ]


def frames(root: ET.Element) -> list[Box]:
    """Of the plots: arena, then stage."""
    shapes = [shape for shape in root.iter(f"{SVG}rect") if shape.get("class") == "frame"]
    return [Box(*(float(s.get(side) or "") for side in ("x", "y", "width", "height")), "", "") for s in shapes]


def test_everything_lies_inside_the_picture(found: MemoryMap) -> None:
    root = root_of(found)
    whole = Box(0, 0, float(root.get("width") or ""), float(root.get("height") or ""), "", "")
    for shape in root.findall(f".//{SVG}rect"):
        if shape.get("x") is not None:  # patterns have none
            sides = [float(shape.get(side) or "") for side in ("x", "y", "width", "height")]
            assert whole.holds(Box(*sides, "", "")), shape.attrib
            assert min(sides) >= 0
    for words in root.iter(f"{SVG}text"):
        x, y, length = float(words.get("x") or ""), float(words.get("y") or ""), len(words.text or "")
        assert 0 <= x <= whole.width
        assert 0 <= y <= whole.height
        if words.get("text-anchor") is None:
            assert x + 6.63 * length * (15 / 11 if words.get("class") == "title" else 1) <= whole.width, words.text
        if words.get("text-anchor") == "end" and words.get("transform") is None:
            assert x - 6.63 * length >= 0


def test_tensors_lie_at_their_bytes_during_their_steps(found: MemoryMap) -> None:
    root = root_of(found)
    frame, drawn = frames(root)[0], {box.title.split(": ")[0]: box for box in boxes(root, "arena")}
    step, byte = frame.width / len(found.steps), frame.height / found.arena_bytes
    assert set(drawn) == {held.name for held in found.arena}
    for held in found.arena:
        box = drawn[held.name]
        assert frame.holds(box)
        assert box.x == pytest.approx(frame.x + step * held.first, abs=ROUNDING)
        assert box.width == pytest.approx(step * (held.last - held.first + 1), abs=ROUNDING)
        assert box.bottom == pytest.approx(frame.bottom - byte * held.offset, abs=ROUNDING)
        assert box.height == pytest.approx(byte * held.nbytes, abs=ROUNDING)


def test_tensors_that_are_alive_together_cover_each_other_only_where_one_is_written_over_the_other(
    found: MemoryMap,
) -> None:
    permitted = {frozenset((each.output, each.source)) for each in found.shared}
    for one, other in combinations(boxes(root_of(found), "arena"), 2):
        pair = frozenset(box.title.split(": ")[0] for box in (one, other))
        assert one.overlaps(other) == (pair in permitted), pair


def test_what_is_written_over_an_input_is_marked_on_both() -> None:
    found = memory_map(planned(small_network()), FIXED)
    arena = (Held("a", 0, 64, 0, 2, 0), Held("b", 32, 64, 2, 4, 0), Held("c", 64, 64, 0, 1, 0))
    root = root_of(replace(found, arena=arena, shared=(Shared("b", "a", 32, 32, 2),)))
    a, b, c = boxes(root, "arena")
    assert [a.overlaps(b), a.overlaps(c), b.overlaps(c)] == [True, False, False]
    (mark,) = boxes(root, "shared")
    assert mark.title == "step 2 writes 32 B of b over a"
    assert a.holds(mark)
    assert b.holds(mark)
    assert (mark.right, mark.y) == pytest.approx((a.right, a.y), abs=ROUNDING)
    assert (mark.x, mark.bottom) == pytest.approx((b.x, b.bottom), abs=ROUNDING)


def test_blocks_of_a_memory_fill_its_bar_in_proportion(found: MemoryMap) -> None:
    root = root_of(found)
    for region in found.regions:
        drawn = boxes(root, f"blocks-{region.name}")
        scale = sum(box.width for box in drawn) / region.used
        assert len(drawn) == len(region.blocks)
        for box, block in zip(drawn, region.blocks, strict=True):
            assert box.width == pytest.approx(scale * block.nbytes, abs=ROUNDING)
            assert f"{block.nbytes:,} B" in box.title
        assert not any(one.overlaps(other) for one, other in combinations(drawn, 2))


def test_the_strip_shows_how_full_a_memory_is(found: MemoryMap) -> None:
    root = root_of(found)
    for region in found.regions:
        strip, taken = boxes(root, f"region-{region.name}")
        assert taken.width / strip.width == pytest.approx(region.used / region.nbytes, abs=1e-4)


def test_a_memory_that_is_too_small_is_shorter_than_what_it_should_hold() -> None:
    plan = planned(small_network())
    found = memory_map(plan, Fixed(stack_bytes=2 * plan.target.main_ram.nbytes))
    strip, taken = boxes(root_of(found), "region-SSRAM23")
    assert strip.width / taken.width == pytest.approx(0.5, abs=1e-3)


def test_staged_constants_stand_on_the_same_steps_as_the_arena() -> None:
    found = memory_map(mixed(resnet(3, exits=True)), FIXED)
    root = root_of(found)
    arena, stage = frames(root)
    assert (arena.x, arena.width) == (stage.x, stage.width)
    drawn = {box.title.split(": ")[0]: box for box in boxes(root, "stage")}
    assert set(drawn) == {held.name for held in found.stage}
    step, byte = stage.width / len(found.steps), stage.height / found.stage_bytes
    for held in found.stage:
        box = drawn[held.name]
        assert stage.holds(box)
        assert box.x == pytest.approx(stage.x + step * held.first, abs=ROUNDING)
        assert box.bottom == pytest.approx(stage.bottom - byte * held.offset, abs=ROUNDING)
        assert box.height == pytest.approx(byte * held.nbytes, abs=ROUNDING)


def test_lines_mark_size_and_lower_bound_and_every_exit(found: MemoryMap) -> None:
    loose = replace(found, lower_bound_bytes=3 * found.arena_bytes // 4)
    root = root_of(loose)
    frame = frames(root)[0]
    levels = {line.get("class"): float(line.get("y1") or "") for line in root.iter(f"{SVG}line")}
    assert levels["size"] == frame.y
    bound = frame.bottom - frame.height * loose.lower_bound_bytes / loose.arena_bytes
    assert levels["bound"] == pytest.approx(bound, abs=ROUNDING)
    step = frame.width / len(found.steps)
    marks = [float(line.get("x1") or "") for line in root.iter(f"{SVG}line") if line.get("class") == "exit"]
    wanted = [frame.x + step * (segment.last + 1) for segment in found.segments]
    assert marks[: len(wanted)] == pytest.approx(wanted, abs=ROUNDING)
    for i, (band, segment) in enumerate(zip(boxes(root, "segments"), found.segments, strict=True)):
        assert band.title.startswith(f"segment {i}, to exit {segment.exit}")
        assert band.title.endswith(f": steps {segment.first} to {segment.last}")


def test_every_step_has_a_cell_that_names_it(found: MemoryMap) -> None:
    cells = boxes(root_of(found), "steps")
    assert [cell.title for cell in cells] == [f"step {i}: {n} ({kind})" for i, (n, kind) in enumerate(found.steps)]
    assert all(cell.width >= 8 - ROUNDING for cell in cells)


def test_every_block_has_a_tooltip_and_a_style(found: MemoryMap) -> None:
    svg = memory_svg(found)
    root = ET.fromstring(svg)  # noqa: S314
    styled = set(re.findall(r"\.(\w+)\{", svg))
    legend = boxes(root, "legend")
    for shape in root.findall(f".//{SVG}rect"):
        kinds = (shape.get("class") or "").split()
        assert set(kinds) <= styled, kinds
        if kinds[:1] == ["b"] and not any(box.x == float(shape.get("x") or "") for box in legend):
            assert shape.findtext(f"{SVG}title"), shape.attrib


def test_no_two_parts_have_one_name(found: MemoryMap) -> None:
    names = re.findall(r' id="([^"]+)"', memory_svg(found))
    assert len(names) == len(set(names))


def test_a_label_stays_clear_of_what_is_written_over_its_tensor(found: MemoryMap) -> None:
    root = root_of(found)
    drawn = {box.title.split(": ")[0]: box for box in boxes(root, "arena")}
    group = next(g for g in root.iter(f"{SVG}g") if g.get("id") == "arena")
    ends = {
        (float(words.get("x") or ""), words.get("y")): float(words.get("x") or "") + 6.63 * len(words.text or "")
        for words in group.iter(f"{SVG}text")
    }
    for each in found.shared:
        over, under = drawn[each.output], drawn[each.source]
        middle = f"{under.y + under.height / 2 + 3.96:.3f}".rstrip("0").rstrip(".")
        assert ends.get((round(under.x + 3, 3), middle), 0.0) <= over.x + ROUNDING


def test_the_file_needs_nothing_else_and_runs_nothing(found: MemoryMap) -> None:
    svg = memory_svg(found)
    assert "<script" not in svg
    assert "href" not in svg
    assert "@import" not in svg
    assert re.findall(r"https?://[^\s\"]+", svg) == ["http://www.w3.org/2000/svg"]
    assert set(re.findall(r"url\(#(\w+)\)", svg)) == set(re.findall(r'<pattern id="(\w+)"', svg))
    assert "@media (prefers-color-scheme:dark)" in svg


def test_names_are_escaped_and_what_xml_cannot_hold_is_replaced() -> None:
    found = memory_map(planned(small_network()), FIXED)
    evil = replace(found, name='a<b>&"c"\x01', steps=(('<script x="&">', "conv2d\x0b"), *found.steps[1:]))
    root = root_of(evil)
    assert root.findtext(f"{SVG}title") == 'Memory of a<b>&"c"? on Arm MPS2+ AN386'
    assert boxes(root, "steps")[0].title == 'step 0: <script x="&"> (conv2d?)'
    assert not list(root.iter(f"{SVG}script"))


def test_equal_plans_give_equal_pictures() -> None:
    first, second = (memory_svg(memory_map(mixed(small_network()), FIXED)) for _ in range(2))
    assert first == second


def test_the_picture_of_the_small_network(golden: Callable[[str, str], None]) -> None:
    golden("memory/small.svg", memory_svg(memory_map(mixed(small_network()), FIXED)))
