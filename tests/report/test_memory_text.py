"""The memory as text: short, narrow, with the figures of the map."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from report.placed import mixed
from support.builder import small_network
from support.emitted import planned
from support.points import switched_network

from ptee_mcu.plan.used import Fixed
from ptee_mcu.report.memory_map import (
    Block,
    Held,
    MemoryMap,
    RegionMap,
    SegmentMap,
    Shared,
    What,
    arena_words,
    memory_map,
)
from ptee_mcu.report.memory_text import memory_text

FIXED = Fixed(code_bytes=1 << 21, static_bytes=400, stack_bytes=1 << 20)


@pytest.fixture(scope="module")
def found() -> MemoryMap:
    return memory_map(mixed(small_network()), FIXED)


def test_a_memory_has_a_bar_to_scale_and_its_figures(found: MemoryMap) -> None:
    flash = memory_text(found)[1]
    region = found.regions[0]
    assert flash.startswith("SSRAM1  [")
    assert flash.endswith(f"] {region.used:,} B of 4 MiB ({region.used / region.nbytes:.1%}), {region.free:,} B free")
    bar = flash[flash.index("[") + 1 : flash.index("]")]
    assert bar == ("c" * (len(bar) // 2) + "i").ljust(len(bar), ".")  # half of it is code; images show, however small


def test_what_lies_in_a_memory_stands_below_it(found: MemoryMap) -> None:
    lines = memory_text(found)
    assert lines[2].strip() == "c code 2,097,152 B, i images of what is copied 2,164 B"
    arena = f"a arena {found.arena_bytes:,} B"
    assert lines[4].strip().startswith(f"b loaded at boot 640 B, s stage 1,524 B, {arena}, v variables")


def test_arena_stage_and_the_widest_step_are_stated(found: MemoryMap) -> None:
    arena = (
        Held("a", 0, 90, 0, 3, 0),
        Held("b", 90, 5, 2, 2, 0),
        Held("c", 95, 7, 2, 9, 0),
        Held("d", 110, 6, 2, 3, 0),
    )
    shared = (Shared("c", "b", 0, 1, 2), Shared("x", "y", 0, 1, 3))
    lines = memory_text(replace(found, arena=(*arena, Held("e", 120, 99, 3, 3, 0)), shared=shared, widest=2), 200)
    assert f"arena {arena_words(found)}" in lines
    assert f"widest at step 2, {found.steps[2][0]}: a 90 B, c 7 B, d 6 B and 1 more; c over b" in lines
    assert "stage 1,524 B in SSRAM23, filled for early to 180 B, final to 1,524 B" in lines


def test_every_exit_says_where_its_constants_are_read(found: MemoryMap) -> None:
    lines = memory_text(found)
    assert lines[-2:] == [
        "exit early: loaded at boot in SSRAM23 640 B, staged 180 B",
        "exit final: staged 1,344 B",
    ]
    point = replace(planned(switched_network()).graph.points[1])
    plan = planned(switched_network())
    several = memory_text(memory_map(plan, Fixed()))
    assert point.reach is not None
    assert several[-1].startswith("exit final (12.5% enter): in place in SSRAM1 ")


def test_five_memories_and_many_exits_take_25_lines_at_most(found: MemoryMap) -> None:
    blocks = (Block(What.IN_PLACE, 1 << 20, 0), Block(What.BOOT, 1 << 20, 1))
    regions = (*found.regions, *(RegionMap(f"REGION_{i}", "sram", 0, 1 << 22, blocks) for i in range(3)))
    segments = tuple(SegmentMap(f"exit{i}", i, i, 0.5) for i in range(10))
    lines = memory_text(replace(found, regions=regions, segments=segments))
    assert len(lines) <= 25
    assert lines[-1] == "and 4 more exits"


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_no_line_is_longer_than_asked(found: MemoryMap, width: int) -> None:
    long = memory_text(replace(found, name="n" * 200), width)
    assert max(map(len, long)) <= width
    assert "".join(line.strip() for line in long).count("n" * 200) == 1
    assert not any(line.strip().startswith("B") for line in long)  # a number keeps its unit


def test_a_memory_that_is_too_small_fills_its_bar() -> None:
    plan = planned(small_network())
    lines = memory_text(memory_map(plan, Fixed(stack_bytes=plan.target.main_ram.nbytes)))
    assert "B too much" in lines[3]
    assert "." not in lines[3][lines[3].index("[") : lines[3].index("]")]


def test_the_text_is_plain_ascii(found: MemoryMap) -> None:
    assert all(line.isascii() for line in memory_text(found))


def test_the_text_of_the_small_network(golden: Callable[[str, str], None]) -> None:
    found = memory_map(mixed(small_network()), Fixed(code_bytes=21_000, static_bytes=400, stack_bytes=4096))
    golden("memory/small.txt", "\n".join(memory_text(found)) + "\n")
