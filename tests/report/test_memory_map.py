"""The data of both pictures: every byte of a plan stands in it once, where the plan puts it."""

from dataclasses import replace

import pytest
from report.placed import cost_of, mixed
from support.builder import small_network
from support.emitted import planned
from support.points import switched_network

from ptee_mcu.plan.placement import How, constants
from ptee_mcu.plan.plan import Plan, Slot
from ptee_mcu.plan.used import Fixed, used_by
from ptee_mcu.report.memory_map import MemoryMap, Shared, What, arena_words, memory_map

FIXED = Fixed(code_bytes=21_000, static_bytes=400, stack_bytes=4096)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return mixed(small_network())


@pytest.fixture(scope="module")
def found(plan: Plan) -> MemoryMap:
    return memory_map(plan, FIXED)


def bytes_of(plan: Plan, how: How, segment: int, *, head: bool) -> int:
    chosen = [c for c in constants(plan.graph) if plan.placements[c.name].how is how]
    return sum(-(-c.nbytes // 4) * 4 for c in chosen if (c.segment, c.head) == (segment, head))


def test_flash_holds_code_constants_in_place_and_images_of_the_rest(plan: Plan, found: MemoryMap) -> None:
    flash = found.regions[0]
    assert flash.name == "SSRAM1"
    assert [(b.what, b.nbytes, b.segment, b.head) for b in flash.blocks] == [
        (What.CODE, 21_000, None, False),
        (What.IMAGE_BOOT, bytes_of(plan, How.BOOT, 0, head=False), 0, False),
        (What.IMAGE_STAGED, bytes_of(plan, How.STAGED, 0, head=True), 0, True),
        (What.IMAGE_STAGED, bytes_of(plan, How.STAGED, 1, head=False), 1, False),
    ]


def test_ram_holds_what_is_loaded_stage_arena_variables_and_stack(plan: Plan, found: MemoryMap) -> None:
    assert plan.stage is not None
    assert [(b.what, b.nbytes, b.segment) for b in found.regions[1].blocks] == [
        (What.BOOT, bytes_of(plan, How.BOOT, 0, head=False), 0),
        (What.STAGE, plan.stage.nbytes, None),
        (What.ARENA, plan.arena_bytes, None),
        (What.VARIABLES, 400, None),
        (What.STACK, 4096, None),
    ]


def test_all_regions_together_hold_what_the_plan_takes(plan: Plan, found: MemoryMap) -> None:
    used = used_by(plan, cost_of(plan, {}), FIXED)
    assert [region.used for region in found.regions] == [used.flash_bytes, used.ram_bytes]
    assert all(region.free == region.nbytes - region.used for region in found.regions)


def test_constants_that_nothing_moves_stand_in_flash_by_segment_heads_apart() -> None:
    plan = planned(switched_network())
    blocks = memory_map(plan, Fixed()).regions[0].blocks
    assert {b.what for b in blocks} == {What.IN_PLACE}
    assert [(b.segment, b.head) for b in blocks] == [
        (0, False), (0, True), (1, False), (1, True), (2, False), (2, True), (3, False),
    ]  # fmt: skip
    assert blocks[1].parts[0] == ("a.logits:weights", 64)
    assert [nbytes for _, nbytes in blocks[1].parts] == sorted((n for _, n in blocks[1].parts), reverse=True)
    assert sum(b.nbytes for b in blocks) == sum(
        bytes_of(plan, How.IN_PLACE, i, head=h) for i in range(4) for h in (0, 1)
    )


def test_every_slot_is_a_piece_of_the_arena_with_its_writer(plan: Plan, found: MemoryMap) -> None:
    assert {(h.name, h.offset, h.nbytes, h.first, h.last) for h in found.arena} == {
        (name, s.offset, s.nbytes, s.first, s.last) for name, s in plan.arena.items()
    }
    held = {h.name: h for h in found.arena}
    assert held["input"].segment is None
    assert (held["block.add:0"].segment, held["deep.conv:0"].segment) == (0, 1)
    assert held["scratch:deep.conv"].minor
    assert not held["deep.conv:0"].minor


def test_a_staged_constant_is_held_while_its_segment_or_its_head_runs(plan: Plan, found: MemoryMap) -> None:
    at = {step.node.name: step.index for step in plan.steps}
    held = {h.name: h for h in found.stage}
    head = held["early.confidence:weights"]
    assert (head.first, head.last, head.minor) == (at["early.pool"] + 1, at["early.confidence"], True)
    deep = held["deep.conv:weights"]
    assert (deep.first, deep.last, deep.segment) == (at["early.confidence"] + 1, len(plan.steps) - 1, 1)
    assert all(plan.placements[name].offset == h.offset for name, h in held.items())
    assert found.stage_bytes == max(h.end for h in found.stage)


def test_segments_span_their_steps_and_say_who_enters(plan: Plan) -> None:
    point = replace(plan.graph.point, reach=(1.0, 0.25))
    found = memory_map(replace(plan, graph=replace(plan.graph, points=(point,))), Fixed())
    assert [(s.exit, s.reach) for s in found.segments] == [("early", 1.0), ("final", 0.25)]
    assert found.segments[0].last + 1 == found.segments[1].first
    assert found.segments[1].last == len(found.steps) - 1
    assert [s.reach for s in memory_map(plan, Fixed()).segments] == [None, None]


def test_a_memory_that_is_too_small_says_by_how_much(plan: Plan) -> None:
    full = Fixed(stack_bytes=plan.target.main_ram.nbytes)
    ram = memory_map(plan, full).regions[1]
    assert ram.free == ram.nbytes - ram.used < 0
    assert ram.figures == f"{ram.used:,} B of 4 MiB (100.1%), {ram.used - ram.nbytes:,} B too much"


def test_an_output_that_is_written_over_an_input_shares_the_bytes_of_both_at_its_step(plan: Plan) -> None:
    at = {step.node.name: step.index for step in plan.steps}
    first = at["block.add"]
    arena = {name: replace(slot, offset=10_000 * (i + 1)) for i, (name, slot) in enumerate(plan.arena.items())}
    arena["stem.conv:0"] = Slot(64, 512, at["stem.conv"], first)
    arena["block.add:0"] = Slot(32, 512, first, plan.arena["block.add:0"].last)
    found = memory_map(replace(plan, arena=arena), Fixed())
    assert found.shared == (Shared("block.add:0", "stem.conv:0", 64, 480, first),)


def test_the_arena_is_compared_with_its_lower_bound(found: MemoryMap) -> None:
    equal = replace(found, arena_bytes=1536, lower_bound_bytes=1536)
    assert arena_words(equal) == "1,536 B in SSRAM23, equal to its lower bound"
    loose = replace(equal, lower_bound_bytes=1500)
    assert arena_words(loose) == "1,536 B in SSRAM23, 36 B (2.4%) above its lower bound"
