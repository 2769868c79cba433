import ctypes
from collections.abc import Callable
from dataclasses import replace
from enum import IntEnum
from pathlib import Path

import numpy as np
import pytest
from support.builder import Builder, small_network
from support.emitted import Instance, Library, planned
from support.placed import MODES, placed

from ptee_mcu.quant_graph import ALWAYS, NEVER
from ptee_mcu.tensor import Int8

Status = IntEnum(
    "Status",
    "OK CONTINUE DONE YIELD DEADLINE NO_INPUT NULL ARENA_TOO_SMALL ARENA_MISALIGNED SCRATCH_TOO_SMALL KERNEL "
    "BAD_EXIT BAD_THRESHOLD ENDED NOT_INITIALIZED BAD_POINT REENTERED STAGE_TOO_SMALL STAGE_MISALIGNED CORRUPT "
    "GUARD_BROKEN NO_ANSWER STUCK_COUNTER",
    start=0,
)
CODES: Int8 = np.random.default_rng(3).integers(-128, 128, (1, 8, 8, 3)).astype(np.int8)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(planned(small_network("small", preprocess=True)), tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A network without early exits, on features."""
    b = Builder((1, 6))
    b.exit("final", "input", 3, final=True)
    return Library(planned(b.graph("plain")), tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The same network with every constant in a stage."""
    plan = placed(small_network("staged", preprocess=True), MODES["staged"])
    return Library(plan, tmp_path_factory.mktemp("staged"))


@pytest.fixture
def net(library: Library) -> Instance:
    instance = Instance(library)
    assert instance.init() == Status.OK
    return instance


def test_the_first_status_is_zero_and_the_order_is_that_of_the_header() -> None:
    header = (Path(__file__).parents[2] / "templates" / "runtime" / "ptee_runtime.h").read_text()
    names = [line.split("/*")[0] for line in header.split("typedef enum {")[1].split("}")[0].splitlines()]
    found = [name.split("=")[0].strip(" ,").removeprefix("PTEE_") for name in names if name.strip()]
    assert found == [status.name for status in Status]


def test_init_refuses_null(library: Library) -> None:
    instance = Instance(library)
    assert library.init(None, instance.arena.ctypes.data, instance.arena.nbytes) == Status.NULL
    assert library.init(instance.context, None, instance.arena.nbytes) == Status.NULL


@pytest.mark.parametrize("shift", [1, 2, 4, 8, 15])
def test_init_refuses_a_misaligned_arena(library: Library, shift: int) -> None:
    instance = Instance(library)
    address = instance.arena.ctypes.data + shift
    assert library.init(instance.context, address, instance.arena.nbytes) == Status.ARENA_MISALIGNED


def test_init_refuses_an_arena_one_byte_too_small(library: Library) -> None:
    instance = Instance(library)
    size = instance.arena.nbytes - 1
    assert library.init(instance.context, instance.arena.ctypes.data, size) == Status.ARENA_TOO_SMALL


def test_init_takes_a_larger_arena(library: Library) -> None:
    instance = Instance(library)
    assert library.init(instance.context, instance.arena.ctypes.data, instance.arena.nbytes + 1000) == Status.OK


def test_init_refuses_a_stage_that_is_null_misaligned_or_too_small_and_takes_a_larger_one(staged: Library) -> None:
    one = Instance(staged)
    arena, at, nbytes = (one.arena.ctypes.data, one.arena.nbytes), one.stage.ctypes.data, one.stage.nbytes
    assert staged.init(one.context, *arena, None, nbytes) == Status.NULL
    for shift in (1, 2, 3):
        assert staged.init(one.context, *arena, at + shift, nbytes) == Status.STAGE_MISALIGNED
    assert staged.init(one.context, *arena, at, nbytes - 1) == Status.STAGE_TOO_SMALL
    assert one.step() == Status.NOT_INITIALIZED
    assert staged.init(one.context, *arena, at, nbytes + 100) == Status.OK


def test_init_looks_at_the_arena_of_a_staged_network_too(staged: Library) -> None:
    one = Instance(staged)
    arena, stage = (one.arena.ctypes.data, one.arena.nbytes), (one.stage.ctypes.data, one.stage.nbytes)
    assert staged.init(None, *arena, *stage) == Status.NULL
    assert staged.init(one.context, None, one.arena.nbytes, *stage) == Status.NULL
    assert staged.init(one.context, arena[0] + 4, arena[1], *stage) == Status.ARENA_MISALIGNED
    assert staged.init(one.context, arena[0], arena[1] - 1, *stage) == Status.ARENA_TOO_SMALL


def test_init_asks_the_linked_library_for_its_scratch(tmp_path: Path) -> None:
    plan = planned(small_network("starved"))
    steps = tuple(
        replace(step, counts=replace(step.counts, scratch_bytes=step.counts.scratch_bytes - 4))
        if step.node.name == "deep.conv"
        else step
        for step in plan.steps
    )
    assert Instance(Library(replace(plan, steps=steps), tmp_path)).init() == Status.SCRATCH_TOO_SMALL


def test_a_context_whose_init_failed_is_not_initialized(net: Instance) -> None:
    net.give(CODES)
    assert net.library.init(net.context, net.arena.ctypes.data + 1, net.arena.nbytes) == Status.ARENA_MISALIGNED
    assert net.step() == Status.NOT_INITIALIZED


def test_nothing_works_before_init(library: Library) -> None:
    instance = Instance(library)
    assert not library.input(instance.context)
    assert instance.step() == Status.NOT_INITIALIZED
    assert instance.run() == Status.NOT_INITIALIZED
    assert instance.set_threshold(0, 0) == Status.NOT_INITIALIZED
    assert instance.set_operating_point(0) == Status.NOT_INITIALIZED
    assert instance.operating_point == -1
    assert instance.give_pixels(np.zeros(192, np.uint8)) == Status.NOT_INITIALIZED


def test_every_function_refuses_null(net: Instance) -> None:
    library = net.library
    net.give(CODES)
    assert not library.input(None)
    assert library.step(None, ctypes.byref(net.result)) == Status.NULL
    assert library.step(net.context, None) == Status.NULL
    assert library.run(None, ctypes.byref(net.result)) == Status.NULL
    assert library.run(net.context, None) == Status.NULL
    assert library.set_threshold(None, 0, 0) == Status.NULL
    assert library.set_operating_point(None, 0) == Status.NULL
    assert library.operating_point(None) == -1
    assert library.input_u8(None, None) == Status.NULL
    assert library.input_u8(net.context, None) == Status.NULL
    assert net.run() == Status.DONE  # and the input that was given is still there


@pytest.mark.parametrize("call", [Instance.step, Instance.run])
def test_run_and_step_want_an_input(net: Instance, call: Callable[[Instance], int]) -> None:
    assert call(net) == Status.NO_INPUT
    net.give(CODES)
    assert call(net) in {Status.DONE, Status.CONTINUE}


@pytest.mark.parametrize("call", [Instance.step, Instance.run])
def test_after_the_end_both_say_so_until_a_new_input(net: Instance, call: Callable[[Instance], int]) -> None:
    net.give(CODES)
    assert net.run() == Status.DONE
    assert call(net) == Status.ENDED
    assert call(net) == Status.ENDED
    net.give(CODES)
    assert net.run() == Status.DONE


def test_a_refused_call_leaves_the_result_alone(net: Instance) -> None:
    net.result.label = 77
    assert net.step() == Status.NO_INPUT
    assert net.result.label == 77


def test_thresholds_have_a_range(net: Instance) -> None:
    assert net.set_threshold(0, ALWAYS) == Status.OK
    assert net.set_threshold(0, NEVER) == Status.OK
    for value in (ALWAYS - 1, NEVER + 1, 2**31 - 1, -(2**31)):
        assert net.set_threshold(0, value) == Status.BAD_THRESHOLD


@pytest.mark.parametrize("leave", [1, 2, 2**32 - 1])
def test_the_final_exit_and_those_beyond_have_no_threshold(net: Instance, leave: int) -> None:
    assert net.set_threshold(leave, 0) == Status.BAD_EXIT


def test_always_fires_the_first_exit_and_never_the_last(net: Instance) -> None:
    net.set_threshold(0, ALWAYS)
    net.give(CODES)
    assert (net.run(), net.result.exit, net.result.fired) == (Status.DONE, 0, True)
    net.set_threshold(0, NEVER)
    net.give(CODES)
    assert (net.run(), net.result.exit, net.result.fired) == (Status.DONE, 1, True)
    assert net.result.confidence == 0


def test_an_exit_fires_at_exactly_its_threshold(net: Instance) -> None:
    net.set_threshold(0, NEVER)
    net.give(CODES)
    assert net.step() == Status.CONTINUE
    code = net.result.confidence
    net.give(CODES)
    for threshold, fires in ((code, True), (code + 1, False)):
        net.set_threshold(0, threshold)
        net.give(CODES)
        assert net.step() == (Status.DONE if fires else Status.CONTINUE)
        assert net.result.fired == fires


def test_step_describes_an_exit_that_did_not_fire(net: Instance) -> None:
    net.set_threshold(0, ALWAYS)
    net.give(CODES)
    assert net.step() == Status.DONE
    fired = (net.result.exit, net.result.label, net.result.confidence, net.logits())
    net.set_threshold(0, NEVER)
    net.give(CODES)
    assert net.step() == Status.CONTINUE
    assert (net.result.exit, net.result.label, net.result.confidence, net.logits()) == fired
    assert not net.result.fired


def test_run_goes_on_from_where_step_got_to(net: Instance) -> None:
    net.set_threshold(0, NEVER)
    net.give(CODES)
    assert net.run() == Status.DONE
    whole = (net.result.exit, net.result.label, net.logits())
    net.give(CODES)
    assert net.step() == Status.CONTINUE
    assert net.run() == Status.DONE
    assert (net.result.exit, net.result.label, net.logits()) == whole


def test_a_new_input_ends_an_inference_under_way(net: Instance) -> None:
    net.set_threshold(0, NEVER)
    net.give(CODES)
    assert net.step() == Status.CONTINUE
    net.give(CODES)
    assert net.step() == Status.CONTINUE
    assert net.result.exit == 0


def test_the_label_is_the_first_of_the_largest_logits(net: Instance) -> None:
    random = np.random.default_rng(5)
    for _ in range(20):
        net.give(random.integers(-128, 128, CODES.shape).astype(np.int8))
        assert net.run() == Status.DONE
        assert net.result.label == int(np.argmax(net.logits()))


def test_two_contexts_do_not_disturb_each_other(library: Library) -> None:
    random = np.random.default_rng(6)
    inputs = random.integers(-128, 128, (2, *CODES.shape[1:])).astype(np.int8)
    alone = []
    for codes in inputs:
        one = Instance(library)
        one.init()
        one.set_threshold(0, NEVER)
        one.give(codes)
        one.run()
        alone.append(one.logits())
    first, second = Instance(library), Instance(library)
    for instance, codes in zip((first, second), inputs, strict=True):
        instance.init()
        instance.set_threshold(0, NEVER)
        instance.give(codes)
    first.step(), second.step(), second.step(), first.step()
    assert [first.logits(), second.logits()] == alone


def test_pixels_go_through_the_table_of_their_channel(net: Instance) -> None:
    pixels = np.random.default_rng(8).integers(0, 256, CODES.shape).astype(np.uint8)
    assert net.give_pixels(pixels) == Status.OK
    place = net.library.plan.arena["input"]
    written = net.arena[place.offset : place.end].view(np.int8).reshape(CODES.shape)
    np.testing.assert_array_equal(written, net.library.plan.graph.input_codes(pixels))
    assert net.run() == Status.DONE


def test_the_input_points_to_its_planned_place(net: Instance) -> None:
    address = ctypes.cast(net.library.input(net.context), ctypes.c_void_p).value
    assert address == net.arena.ctypes.data + net.library.plan.arena["input"].offset


def test_bytes_beyond_the_arena_are_left_alone(net: Instance) -> None:
    net.set_threshold(0, NEVER)
    net.give(CODES)
    assert net.run() == Status.DONE
    start = net.arena.ctypes.data - net.memory.ctypes.data
    outside = np.delete(net.memory, np.s_[start : start + net.arena.nbytes])
    assert (outside == 0xA5).all()


def test_a_network_without_early_exits_has_one_segment_and_no_threshold(plain: Library) -> None:
    net = Instance(plain)
    assert net.init() == Status.OK
    assert net.set_threshold(0, 0) == Status.BAD_EXIT
    assert net.step() == Status.NO_INPUT
    net.give(np.arange(6, dtype=np.int8))
    assert (net.step(), net.result.exit, net.result.fired) == (Status.DONE, 0, True)
    assert net.step() == Status.ENDED
