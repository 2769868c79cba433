from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from time import perf_counter

import pytest
from hypothesis import given, settings
from plan.staircase import overlapping
from support.builder import Builder, small_network
from support.graphs import networks
from support.targets import tiny_board

from ptee_mcu import boards
from ptee_mcu.errors import DoesNotFitError, VerifyError
from ptee_mcu.isa import Isa
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.plan import Slot, verify_plan
from ptee_mcu.quant_graph import QConfidence, QExit, QuantGraph
from ptee_mcu.target import Target
from ptee_mcu.tensor import HW, Padding

BOARD = boards.load("mps2_an386")
SAME = Padding.same(1, 1)


def resnet(blocks: int, *, exits: bool = False) -> QuantGraph:
    """ResNet on 32x32x3 with `blocks` per stage of 16, 32, 64 channels: 1 is MLPerf Tiny's ResNet-8."""
    b = Builder((1, 32, 32, 3))
    x = b.conv("input", 16, padding=SAME)
    for stage, width in enumerate((16, 32, 64)):
        for block in range(blocks):
            stride = HW(2, 2) if stage and block == 0 else HW(1, 1)
            y = b.conv(b.conv(x, width, stride=stride, padding=SAME), width, padding=SAME)
            x = b.add(y, x if stride == HW(1, 1) else b.conv(x, width, HW(1, 1), stride=stride))
        if exits and stage < 2:
            b.exit(f"exit{stage}", b.avg_pool(x, HW(4, 4), HW(4, 4)), 10)
    b.exit("final", b.avg_pool(x, HW(8, 8), HW(8, 8)), 10, final=True)
    return b.graph("resnet")


def board(sram: int, flash: int = 1 << 22, isa: Isa = Isa.DSP) -> Target:
    return tiny_board(flash=flash, sram=sram, isa=isa)


def test_resnet8_needs_two_feature_maps_a_row_and_two_pixels_more_and_one_scratch_buffer() -> None:
    plan = make_plan(resnet(1), BOARD)
    verify_plan(plan)
    assert plan.arena_bytes == plan.lower_bound_bytes == 2 * 16384 + (32 + 2) * 16 + 576


def test_early_exits_cost_resnet8_no_arena() -> None:
    plan = make_plan(resnet(1, exits=True), BOARD)
    verify_plan(plan)
    assert plan.arena_bytes == make_plan(resnet(1), BOARD).arena_bytes


def test_a_sum_lies_over_one_of_its_terms_and_a_convolution_over_its_input() -> None:
    plan = make_plan(resnet(1), BOARD)
    assert {"add", "conv2d"} <= overlapping(plan)


def test_resnet110_is_planned_at_its_lower_bound_in_five_seconds() -> None:
    graph = resnet(18)
    start = perf_counter()
    plan = make_plan(graph, BOARD)
    assert perf_counter() - start < 5
    assert plan.arena_bytes == plan.lower_bound_bytes


def test_steps_follow_the_segments() -> None:
    plan = make_plan(small_network(), BOARD)
    assert [step.index for step in plan.steps] == list(range(len(plan.steps)))
    for segment, part in enumerate(plan.graph.segments()):
        assert {step.node.name for step in plan.segment_steps(segment)} == {node.name for node in part}
    assert [step.segment for step in plan.steps] == sorted(step.segment for step in plan.steps)
    assert plan.segment_steps(0)[-1].node.name == "early.confidence"


def test_a_tensor_lives_until_its_last_use_in_any_segment() -> None:
    plan = make_plan(small_network(), BOARD)
    at = {step.node.name: step.index for step in plan.steps}
    shared = plan.arena["block.add:0"]
    assert (shared.first, shared.last) == (at["block.add"], max(at["deep.conv"], at["shortcut.slice"]))
    assert plan.arena["input"].first == 0
    assert plan.arena["input"].last == at["stem.conv"]


def test_what_an_exit_reads_lives_to_the_end_of_its_segment() -> None:
    plan = make_plan(small_network(), BOARD)
    for i, leave in enumerate(plan.graph.exits):
        end = plan.segment_steps(i)[-1].index
        assert all(plan.arena[tensor].last >= end for tensor in leave.tensors)


def test_the_input_is_overlapped_once_it_is_dead() -> None:
    plan = make_plan(resnet(1), BOARD)
    held = plan.arena["input"]
    assert any(s.offset < held.end and held.offset < s.end for n, s in plan.arena.items() if n != "input")


@pytest.mark.parametrize("isa", Isa)
def test_scratch_covers_the_target_and_the_host(isa: Isa) -> None:
    graph = small_network()
    plan = make_plan(graph, board(1 << 20, isa=isa))
    for step in plan.steps:
        inputs = [graph.tensors[t] for t in step.node.inputs]
        output = graph.tensors[step.node.output]
        wanted = max(step.node.op.counts(inputs, output, i).scratch_bytes for i in (isa, Isa.SCALAR))
        assert step.counts.scratch_bytes == wanted
        assert (plan.arena[step.scratch].nbytes if wanted else 0) == wanted


def test_two_plans_of_one_graph_are_equal() -> None:
    first, second = (make_plan(small_network(), BOARD) for _ in range(2))
    assert first.arena == second.arena
    assert first.arena_bytes == second.arena_bytes


def test_macs_of_an_exit_include_every_head_on_the_way() -> None:
    plan = make_plan(resnet(1, exits=True), BOARD)
    assert sum(plan.graph.segment_macs()) == plan.graph.exit_macs()[-1]
    assert all(a < b for a, b in pairwise(plan.graph.exit_macs()))


@given(networks())
@settings(max_examples=50)
def test_every_plan_keeps_its_contract(graph: QuantGraph) -> None:
    plan = make_plan(graph, BOARD)
    verify_plan(plan)
    assert plan.arena_bytes >= plan.lower_bound_bytes


def test_an_arena_larger_than_the_sram_names_the_node_and_both_numbers() -> None:
    with pytest.raises(DoesNotFitError, match=r"conv2d_2: .* 33888 B; tiny_board has 33887 B of SRAM"):
        make_plan(resnet(1), board(33887))


def test_constants_larger_than_the_flash_name_both_numbers() -> None:
    graph = resnet(1)
    nbytes = make_plan(graph, BOARD).weight_bytes
    with pytest.raises(
        DoesNotFitError, match=rf"resnet: its constants need {nbytes} B; tiny_board has 1000 B of flash"
    ):
        make_plan(graph, board(1 << 20, 1000))


def test_an_exit_without_a_node_of_its_own_is_refused() -> None:
    graph = small_network()
    early = graph.exits[0]
    again = QExit("again", early.logits, QConfidence(early.tensors[1]))
    doubled = replace(graph, exits=(early, again, graph.exits[1]))
    with pytest.raises(VerifyError, match="exit again adds no node"):
        make_plan(doubled, BOARD)


TOO_CLOSE = r"stem.conv:0: lies over input and starts 0 B before it; its kernel needs \d+ B"
BROKEN: dict[str, tuple[str, Callable[[Slot, int], Slot], str]] = {
    "shares": ("block.depthwise:0", lambda s, _: replace(s, offset=0), "share arena bytes"),
    "too close": ("stem.conv:0", lambda s, _: replace(s, offset=0), TOO_CLOSE),
    "outside": ("input", lambda s, total: replace(s, offset=total), "in an arena of"),
    "too small": ("input", lambda s, _: replace(s, nbytes=s.nbytes - 4), "input: slot of 188 B for 192 B"),
    "dies early": ("block.add:0", lambda s, _: replace(s, last=s.first), "block.add:0: not alive at step"),
    "exit dies early": ("early.logits:0", lambda s, _: replace(s, last=s.first), "overwritten before exit early"),
    "scratch": ("scratch:deep.conv", lambda s, _: replace(s, nbytes=4), "deep.conv: scratch slot is smaller than"),
}


ALIVE_TOGETHER = {  # by message: whose offset is taken
    "share arena bytes": "stem.conv:0",
    TOO_CLOSE: "input",
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN)
def test_verify_plan_names_what_is_broken(case: tuple[str, Callable[[Slot, int], Slot], str]) -> None:
    name, change, message = case
    plan = make_plan(small_network(), BOARD)
    slots: dict[str, Slot] = {**plan.arena, name: change(plan.arena[name], plan.arena_bytes)}
    if message in ALIVE_TOGETHER:
        slots[name] = replace(slots[name], offset=slots[ALIVE_TOGETHER[message]].offset)
    with pytest.raises(VerifyError, match=message):
        verify_plan(replace(plan, arena=slots))
