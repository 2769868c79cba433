"""Waiting for memory in closed form: hand-computed misses, and those of traces on a board with a small flash cache."""

from pathlib import Path

import pytest
from support.builder import ONE, Builder
from support.targets import region, tiny_board
from support.tools import require

from benchmarks.traced_layers import trace_layers
from ptee_mcu import boards
from ptee_mcu.cycles.caches import Geometry
from ptee_mcu.cycles.stalls import activation_stalls, code_stalls, constant_stalls, evicted, misses
from ptee_mcu.cycles.steps import constant_cycles, copy_cycles, step_cost, step_work
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.placement import How, Placement, all_in_place
from ptee_mcu.plan.plan import Plan
from ptee_mcu.tensor import HW, Padding

LEAST = 500  # cycles: below, single lines that arrays share decide
SMALL = Geometry(sets=1, ways=32, line_bytes=8)  # 256 B, fully associative
L4R5 = boards.load("nucleo_l4r5zi")
FLASH, SRAM = L4R5.code_region, L4R5.main_ram


def test_a_stream_larger_than_the_cache_misses_on_every_pass() -> None:
    assert misses(804, 10, SMALL, 804) == 10 * 101


def test_a_stream_that_the_cache_holds_misses_on_its_first_pass_only() -> None:
    assert misses(124, 10, SMALL, 200) == 16


def test_less_than_a_pass_misses_less_than_all_lines() -> None:
    assert misses(804, 0.5, SMALL, 0) == 50.5


def test_a_stream_a_little_larger_than_a_cache_with_sets_overloads_some_of_them() -> None:
    two_way = Geometry(sets=64, ways=2, line_bytes=16)  # 2048 B
    assert evicted(two_way, 2048) == 0
    assert evicted(two_way, 2048 + 512) == 0.5
    assert evicted(two_way, 3072) == 1


def test_constants_wait_by_the_line_and_sram_does_not() -> None:
    assert constant_stalls(804, 804 * 3, FLASH, L4R5, working_set=804) == 3 * 101 * 5
    assert constant_stalls(804, 804 * 3, SRAM, L4R5, working_set=804) == 0
    assert activation_stalls(804, 804, SRAM, L4R5, working_set=804) == 0


def test_without_a_cache_every_load_waits() -> None:
    board = tiny_board(wait=3.0, more=(region("SLOW", "external", 1 << 30, 1 << 20, wait_cycles=10.0, line_bytes=4),))
    slow = board.region("SLOW")
    assert constant_stalls(64, 128, slow, board, working_set=64) == 32 * 10
    assert constant_stalls(64, 128, slow, board, working_set=64, width=1.0) == 128 * 10


def test_code_waits_by_the_line_of_its_cache() -> None:
    assert code_stalls(20, L4R5) == 20 * 5


def weighted_layers() -> Plan:
    """Weights that the flash cache holds and weights that it does not, in every kind of kernel."""
    b = Builder((1, 12, 12, 16))
    b.exit("early", "input", 2)
    wide = b.conv("input", 24, padding=Padding.same(1, 1), name="conv")
    made = [
        wide,
        b.conv(b.slice("input", (1, 12, 12, 2)), 3, HW(2, 2), name="small_conv"),
        b.conv(wide, 16, ONE, name="pointwise"),
        b.conv(b.concat(*["input"] * 12), 8, ONE, name="wide_pointwise"),
        b.depthwise(wide, padding=Padding.same(1, 1), name="depthwise"),
        b.depthwise(b.slice("input", (1, 12, 12, 8)), padding=Padding.same(1, 1), name="small_depthwise"),
    ]
    b.exit("final", b.concat(*(b.slice(x, (1, 1, 1, 1)) for x in made)), 2, final=True)
    return make_plan(b.graph(), L4R5)


def test_traced_waits_for_constants_are_the_predicted_ones(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm", "gcc", "cmsis-nn")
    plan = weighted_layers()
    traced = trace_layers(plan, tmp_path)
    compared = []
    for step in plan.steps:
        work = step_work(step, plan.graph, L4R5)
        found = sum(constant_cycles(step, work, role, FLASH, L4R5, SRAM) for role in work.traffic.constants)
        counted = sum(traced.data_stalls(step, f"{step.node.name}:{role}") for role in work.traffic.constants)
        if counted > LEAST:
            compared.append(step.node.name)
            assert found == pytest.approx(counted, rel=0.1), step.node.name
    assert {"conv", "wide_pointwise", "depthwise", "early.logits"} <= set(compared)


def test_what_the_cache_holds_waits_no_longer_than_its_first_pass(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm", "gcc", "cmsis-nn")
    plan = weighted_layers()
    traced = trace_layers(plan, tmp_path)
    for step in plan.steps:
        if step.node.name in {"small_conv", "pointwise", "small_depthwise"}:
            work = step_work(step, plan.graph, L4R5)
            found = sum(constant_cycles(step, work, role, FLASH, L4R5, SRAM) for role in work.traffic.constants)
            counted = sum(traced.data_stalls(step, f"{step.node.name}:{role}") for role in work.traffic.constants)
            # A line that two arrays share is missed once.
            assert abs(found - counted) <= 4 * FLASH.wait_cycles, step.node.name


def test_a_step_waits_only_for_the_constants_that_lie_in_flash() -> None:
    plan = weighted_layers()
    step = next(step for step in plan.steps if step.node.name == "conv")
    flash = all_in_place(plan.graph, L4R5)
    loaded = {**flash, "conv:weights": Placement(How.BOOT, SRAM.name, FLASH.name)}
    slow = step_cost(step, plan.graph, L4R5, flash, SRAM.name)
    fast = step_cost(step, plan.graph, L4R5, loaded, SRAM.name)
    work = step_work(step, plan.graph, L4R5)
    weights = constant_cycles(step, work, "weights", FLASH, L4R5, SRAM)
    assert slow.cycles.total - fast.cycles.total == pytest.approx(weights)
    assert slow.cycles.compute == fast.cycles.compute
    moved = work.traffic.constants["weights"].nbytes
    assert slow.bytes_read[FLASH.name] - fast.bytes_read[FLASH.name] == moved
    assert fast.bytes_read[SRAM.name] - slow.bytes_read[SRAM.name] == moved


def test_a_copy_waits_once_per_line_of_its_source() -> None:
    from_flash, from_sram = copy_cycles(4096, FLASH, L4R5), copy_cycles(4096, SRAM, L4R5)
    assert from_flash - from_sram == pytest.approx(512 * 5, rel=0.01)
    assert 2.0 < from_sram / 1024 < 5.0  # cycles per word: a load, a store, and a share of the loop
