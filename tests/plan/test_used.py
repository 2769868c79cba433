"""Bytes, time and energy of a plan against numbers worked out by hand."""

from dataclasses import replace

import pytest
from report.placed import cost_of, mixed
from support.builder import small_network
from support.emitted import planned
from support.points import switched_network

from ptee_mcu.plan.placement import constants
from ptee_mcu.plan.plan import Plan, Slot
from ptee_mcu.plan.used import Fixed, live_bytes, used_by, widest_step
from ptee_mcu.target import Energy

FIXED = Fixed(code_bytes=10_000, static_bytes=100, stack_bytes=2000)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return mixed(small_network())


def powered(plan: Plan, energy: Energy | None) -> Plan:
    return replace(plan, target=replace(plan.target, clock_hz=1_000_000, energy=energy))


def test_the_image_holds_code_and_every_constant_once_wherever_it_is_read(plan: Plan) -> None:
    nbytes = sum(-(-c.nbytes // 4) * 4 for c in constants(plan.graph))
    for each in (plan, planned(plan.graph)):
        assert used_by(each, cost_of(each, {}), FIXED).flash_bytes == 10_000 + nbytes
    assert used_by(plan, cost_of(plan, {}), Fixed()).flash_bytes == nbytes


def test_ram_holds_arena_stage_constants_loaded_at_boot_variables_and_stack(plan: Plan) -> None:
    used = used_by(plan, cost_of(plan, {}), FIXED)
    boot = sum(c.nbytes for c in constants(plan.graph) if c.segment == 0 and not c.head)
    assert plan.stage is not None
    assert (used.arena_bytes, used.stage_bytes, used.boot_bytes) == (plan.arena_bytes, plan.stage.nbytes, boot)
    assert used.ram_bytes == plan.arena_bytes + plan.stage.nbytes + boot + 100 + 2000
    bare = planned(plan.graph)
    assert used_by(bare, cost_of(bare, {}), FIXED).ram_bytes == bare.arena_bytes + 2100


def test_milliseconds_and_microjoules_follow_from_cycles_clock_and_power(plan: Plan) -> None:
    board = powered(plan, Energy(None, None, 20.0, "invented"))
    used = used_by(board, cost_of(board, {"stem.conv": 40_000, "final.logits": 10_000}), FIXED)
    assert (used.mean_ms, used.worst_ms) == (50.0, 50.0)
    assert used.energy_uj == 50.0 * 20.0
    regulated = powered(plan, Energy(10.0, 1.8, None, "invented"))
    assert used_by(regulated, cost_of(plan, {"stem.conv": 2000}), FIXED).energy_uj == pytest.approx(2 * 18.0)


def test_energy_is_unknown_where_the_power_is(plan: Plan) -> None:
    for energy in (None, Energy(10.0, None, None, "no voltage")):
        board = powered(plan, energy)
        assert used_by(board, cost_of(board, {"stem.conv": 1}), FIXED).energy_uj is None


def test_nodes_that_are_left_out_take_neither_bytes_nor_cycles() -> None:
    plan = planned(switched_network())
    used = used_by(plan, cost_of(plan, {}, other=1000), FIXED, kept=["one", "a.pool", "a.logits"])
    assert used.worst_ms == 1e3 * 3000 / plan.target.clock_hz
    left = [c for c in constants(plan.graph) if c.name.split(":")[0] in ("one", "a.logits")]
    assert used.constant_bytes == sum(-(-c.nbytes // 4) * 4 for c in left)
    slots = [plan.arena[n] for n in ("input", "one:0", "scratch:one", "a.pool:0", "a.logits:0") if n in plan.arena]
    assert max(slot.end for slot in slots) <= used.arena_bytes <= plan.arena_bytes


def test_bytes_that_two_slots_share_are_held_once() -> None:
    plan = planned(small_network())
    arena = dict.fromkeys(plan.arena, Slot(0, 8, 0, 0)) | {"input": Slot(0, 8, 0, 9), "stem.conv:0": Slot(4, 10, 3, 3)}
    shared = replace(plan, arena=arena)
    assert [live_bytes(shared, i) for i in (0, 3, 9, 10)] == [8, 16, 8, 0]
    assert widest_step(shared).index == 3


def test_the_widest_step_holds_as_much_as_the_lower_bound() -> None:
    plan = planned(small_network())
    assert live_bytes(plan, widest_step(plan).index) == plan.lower_bound_bytes
