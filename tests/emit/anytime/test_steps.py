"""Answers before the end: ops one by one, and the best answer so far."""

from pathlib import Path

import pytest
from emit.test_api import Status
from support.anytime import DMA, FULL, Anytime, Stats, answer_of, clock, found, started
from support.emitted import Library
from support.placed import MODES, placed
from support.points import CODES, switched_network

from ptee_mcu.emit import emit
from ptee_mcu.emit_anytime import first_ops
from ptee_mcu.emit_view import make_view
from ptee_mcu.firmware.cmsis_nn import SourceSet
from ptee_mcu.quant_graph import ALWAYS, NEVER


@pytest.mark.parametrize("thresholds", [(0, 0, 0), FULL, (ALWAYS, 0, 0), (NEVER, 3, -2)])
def test_ops_one_by_one_yield_between_exits_and_answer_as_the_simulator(
    library: Library, thresholds: tuple[int, ...]
) -> None:
    net = started(library, thresholds)
    starts = first_ops(make_view(library.plan, library.plan.graph.name))
    for codes in CODES[:12]:
        net.give(codes)
        wanted = answer_of(codes, thresholds)
        for exit_ in range(wanted[0] + 1):
            for _ in range(starts[exit_], starts[exit_ + 1] - 1):
                assert net.step_op() == Status.YIELD
            assert net.step_op() == (Status.DONE if exit_ == wanted[0] else Status.CONTINUE)
            assert net.result.exit == exit_
        assert found(net) == wanted
        assert net.step_op() == Status.ENDED


@pytest.mark.parametrize("finish", ["run", "step", "run_until"])
@pytest.mark.parametrize("thresholds", [FULL, (2, NEVER, 0)])
def test_every_call_finishes_what_step_op_began_anywhere(
    library: Library, finish: str, thresholds: tuple[int, ...]
) -> None:
    net = started(library, thresholds)
    ops = len(library.plan.steps)
    for count in range(ops + 1):
        codes = CODES[count]
        net.give(codes)
        status = Status.YIELD
        for _ in range(count):
            if status != Status.DONE:
                status = net.step_op()
        while status != Status.DONE:
            until = finish == "run_until"
            status = net.run_until(2**32 - 1, clock(*range(9))) if until else getattr(net, finish)()
            assert status in {Status.CONTINUE, Status.DONE}
        assert found(net) == answer_of(codes, thresholds)


def test_copies_are_begun_and_ended_in_pairs_where_ops_and_runs_take_turns(tmp_path: Path) -> None:
    library = Library(placed(switched_network(), MODES["staged"]), tmp_path, DMA, yield_every_op=True)
    net = started(library, (NEVER, NEVER, 0))
    for count in range(len(library.plan.steps)):
        net.give(CODES[count])
        for _ in range(count):
            net.step_op()
        net.run()
    net.give(CODES[0])  # ends what is under way
    assert int(library.c.dma_late()) == 0


def test_a_library_without_the_option_has_no_step_op(segments: Library) -> None:
    assert not hasattr(segments.c, "switched_step_op")
    text = str(emit(segments.plan, cmsis_nn=SourceSet("none", {})).files["switched.h"])
    assert "step_op" not in text


def test_the_best_answer_is_that_of_the_latest_exit(net: Anytime) -> None:
    for codes in CODES[:8]:
        net.give(codes)
        assert net.best() == Status.NO_ANSWER
        status = Status.CONTINUE
        while status == Status.CONTINUE:
            status = Status(net.step())
            assert net.best() == Status.OK
            assert net.best_answer == net.answer
            assert not net.found.logits
        net.give(codes)
        assert net.run() == Status.DONE
        assert (net.best(), net.best_answer) == (Status.OK, net.answer)


def test_the_best_answer_stays_while_ops_of_the_next_segment_run(library: Library) -> None:
    net = started(library, FULL)
    net.give(CODES[0])
    assert net.step() == Status.CONTINUE
    first = net.answer
    assert net.step_op() == Status.YIELD
    assert (net.best(), net.best_answer) == (Status.OK, first)
    assert net.run() == Status.DONE


def test_best_refuses_null_and_what_was_not_initialized(library: Library) -> None:
    net = Anytime(library)
    assert net.best() == Status.NOT_INITIALIZED
    assert net.call("best", net.context, None) == Status.NULL
    assert net.call("best", None, net.context) == Status.NULL


def test_a_bit_that_flips_in_a_context_never_makes_an_exit_that_does_not_exist(library: Library) -> None:
    net, stats = started(library), Stats()
    net.give(CODES[0])
    assert net.run() == Status.DONE
    clean = net.context.raw
    for bit in range(8 * 200):
        changed = bytearray(clean)
        changed[bit // 8] ^= 1 << bit % 8
        net.context.raw = bytes(changed)
        if net.best() == Status.OK:
            assert net.found.exit < 4
    net.context.raw = clean
    assert net.audit_begin(stats, 0, 1) == Status.OK
    assert net.audit(stats) == Status.OK
