"""Answers before the end: ops one by one, the best so far, budgets, selections and calls from interrupts."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from ctypes import byref, c_uint32
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from emit.test_api import Status
from support.anytime import CLOCK, Anytime, Stats, clock
from support.emitted import Library, planned, written
from support.placed import MODES, placed
from support.points import CODES, switched_network

from ptee_mcu.emit import emit
from ptee_mcu.emit_anytime import first_ops, segment_cycles
from ptee_mcu.emit_view import make_view
from ptee_mcu.firmware import build
from ptee_mcu.firmware.cmsis_nn import SourceSet
from ptee_mcu.plan.plan import Plan
from ptee_mcu.quant_graph import ALWAYS, NEVER
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import Int8

FULL = (NEVER, NEVER, NEVER)
DMA = Path(__file__).parents[1] / "firmware" / "fake_dma.c"


@pytest.fixture(scope="module", params=["in place", "staged"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    graph = switched_network()
    folder = tmp_path_factory.mktemp("anytime")
    if request.param == "staged":
        return Library(placed(graph, MODES["staged"]), folder, DMA, yield_every_op=True)
    return Library(planned(graph), folder, yield_every_op=True)


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The same network without NAME_step_op."""
    return Library(planned(switched_network()), tmp_path_factory.mktemp("segments"))


def started(library: Library, thresholds: tuple[int, ...] | None = None) -> Anytime:
    net = Anytime(library)
    assert net.init() == Status.OK
    for leave, threshold in enumerate(thresholds or ()):
        assert net.set_threshold(leave, threshold) == Status.OK
    return net


@pytest.fixture
def net(library: Library) -> Anytime:
    return started(library)


@pytest.fixture
def whole(segments: Library) -> Anytime:
    return started(segments, FULL)


@pytest.fixture
def cycles(segments: Library) -> tuple[int, ...]:
    return segment_cycles(segments.plan)


def answer_of(codes: Int8, thresholds: tuple[int, ...]) -> tuple[int, int, list[int]]:
    """Exit, label and logits that the simulator finds."""
    wanted = evaluate(switched_network(), codes[None] if codes.ndim == 3 else codes, thresholds=thresholds)
    return int(wanted.exit[0]), int(wanted.label[0]), wanted.logits[0].tolist()


def found(net: Anytime) -> tuple[int, int, list[int]]:
    return net.result.exit, net.result.label, net.logits()


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


def test_the_table_of_cycles_is_that_of_the_plan(segments: Library, cycles: tuple[int, ...]) -> None:
    text = str(emit(segments.plan, cmsis_nn=SourceSet("none", {})).files["switched.c"])
    line = next(line for line in text.splitlines() if "segment_cycles[SWITCHED_EXITS]" in line)
    assert line.endswith("{" + ", ".join(f"UINT32_C({count})" for count in cycles) + "};")
    assert all(count > 0 for count in cycles)


@pytest.mark.parametrize("start", [0, 2**32 - 40])
def test_a_segment_is_run_only_where_its_worst_case_fits_what_is_left(
    whole: Anytime, cycles: tuple[int, ...], start: int
) -> None:
    ends = list(accumulate(cycles, initial=start))
    for fits in range(1, 4):
        whole.give(CODES[0])
        assert whole.run_until(sum(cycles[:fits]), clock(*ends)) == Status.DEADLINE
        assert (whole.result.exit, whole.result.fired) == (fits - 1, False)
        assert bool(whole.result.logits) is False
        whole.give(CODES[0])
        one_short = sum(cycles[:fits]) - 1
        status = whole.run_until(one_short, clock(*ends))
        assert status == (Status.DEADLINE if fits > 1 else Status.NO_ANSWER)
        assert whole.best() == (Status.OK if fits > 1 else Status.NO_ANSWER)
    whole.give(CODES[0])
    assert whole.run_until(sum(cycles), clock(*ends)) == Status.DONE
    assert found(whole) == answer_of(CODES[0], FULL)


def test_another_budget_goes_on_where_the_deadline_was(whole: Anytime, cycles: tuple[int, ...]) -> None:
    whole.give(CODES[1])
    assert whole.run_until(cycles[0], clock(0, cycles[0])) == Status.DEADLINE
    first = whole.answer
    assert whole.run_until(0, clock(0)) == Status.DEADLINE
    assert whole.answer == first
    assert whole.run_until(sum(cycles), clock(0, 1, 2, 3)) == Status.DONE
    assert found(whole) == answer_of(CODES[1], FULL)


def test_time_lost_elsewhere_counts_against_the_budget(whole: Anytime, cycles: tuple[int, ...]) -> None:
    whole.give(CODES[1])
    late = 10 * sum(cycles)
    assert whole.run_until(sum(cycles), clock(0, late)) == Status.DEADLINE
    assert whole.result.exit == 0


def test_a_counter_that_stands_still_over_a_segment_is_found(whole: Anytime, cycles: tuple[int, ...]) -> None:
    whole.give(CODES[2])
    assert whole.run_until(sum(cycles), clock(5)) == Status.STUCK_COUNTER
    assert whole.result.exit == 0
    assert whole.run_until(sum(cycles), clock(5, 6, 6)) == Status.STUCK_COUNTER
    assert whole.result.exit == 2
    assert whole.run() == Status.DONE
    assert found(whole) == answer_of(CODES[2], FULL)


def test_measured_cycles_replace_the_model_where_they_are_more(whole: Anytime, cycles: tuple[int, ...]) -> None:
    slow = 3 * max(cycles) + 1
    whole.give(CODES[0])
    assert whole.measure(clock(0, slow, 0, 1, 0, 1, 0, 1), 50) == Status.OK
    raised = (slow * 150 + 99) // 100
    whole.give(CODES[0])
    assert whole.run_until(raised - 1, clock(0, 1, 2, 3)) == Status.NO_ANSWER
    assert whole.run_until(raised, clock(0, raised)) == Status.DEADLINE
    assert whole.run_until(cycles[1], clock(0, cycles[1])) == Status.DEADLINE
    assert whole.result.exit == 1
    assert whole.init() == Status.OK
    assert whole.set_threshold(0, NEVER) == Status.OK
    whole.give(CODES[0])
    assert whole.run_until(cycles[0], clock(0, cycles[0])) == Status.DEADLINE


def test_a_margin_beyond_all_counters_leaves_nothing_that_fits(whole: Anytime) -> None:
    whole.give(CODES[0])
    assert whole.measure(clock(0, 2**31, 0, 2**31, 0, 2**31, 0, 2**31), 2**32 - 1) == Status.OK
    whole.give(CODES[0])
    assert whole.run_until(2**32 - 2, clock(0, 1, 2, 3)) == Status.NO_ANSWER


def test_measuring_wants_a_counter_that_moves_and_a_fresh_input(whole: Anytime) -> None:
    assert whole.measure(clock(0), 0) == Status.NO_INPUT
    whole.give(CODES[0])
    assert whole.measure(clock(0), 0) == Status.STUCK_COUNTER
    whole.give(CODES[0])
    assert whole.step() == Status.CONTINUE
    assert whole.measure(clock(*range(9)), 0) == Status.ENDED
    whole.give(CODES[0])
    assert whole.measure(clock(*range(9)), 0) == Status.OK
    assert whole.run() == Status.ENDED


def test_what_was_begun_op_by_op_cannot_be_measured(library: Library) -> None:
    net = started(library)
    net.give(CODES[0])
    assert net.step_op() == Status.YIELD
    assert net.measure(clock(*range(9)), 0) == Status.ENDED
    net.give(CODES[0])
    assert net.measure(clock(*range(9)), 0) == Status.OK


def test_budgets_and_measurements_refuse_null(whole: Anytime) -> None:
    whole.give(CODES[0])
    assert whole.call("run_until", whole.context, 1, None, whole.context) == Status.NULL
    assert whole.call("measure", whole.context, None, 0) == Status.NULL
    assert whole.call("measure", None, whole.context, 0) != Status.OK
    assert whole.run() == Status.DONE


def test_calls_from_an_interrupt_are_refused_and_disturb_nothing(library: Library) -> None:
    net = started(library, FULL)
    answers: list[int] = []

    def interrupt() -> int:
        if len(answers) < 30:
            other = Anytime.__new__(Anytime)
            other.library, other.context, other.result = library, net.context, type(net.result)()
            answers.extend([other.run(), other.step(), other.step_op(), other.audit(Stats())])
            answers.append(Status.OK if other.has_input() else Status.REENTERED)
            answers.append(other.call("run_until", *refused(other)))
        return len(answers)

    net.give(CODES[3])
    assert net.step() == Status.CONTINUE
    calls = [0]

    def now() -> int:
        calls[0] += 1
        return interrupt() if calls[0] > 1 else 0  # the first moment is asked for before the context is claimed

    assert net.run_until(2**32 - 1, now) == Status.DONE
    assert Counter(answers) == Counter({Status.REENTERED: len(answers)})
    assert found(net) == answer_of(CODES[3], FULL)


def refused(net: Anytime) -> tuple[object, ...]:
    return net.context, c_uint32(1), CLOCK(lambda: 0), byref(net.result)


def test_a_selection_from_an_interrupt_holds_from_the_next_input_on(library: Library) -> None:
    plan = library.plan
    net = started(library)
    assert net.set_operating_point(0) == Status.OK
    for codes in CODES[:10]:
        net.set_operating_point(0)
        net.give(codes)
        moments = iter(range(100))

        def now(moments: Iterator[int] = moments) -> int:
            moment = next(moments)
            if moment:
                assert net.set_operating_point(2) == Status.OK
                assert net.set_threshold(2, ALWAYS) == Status.OK
            return moment

        assert net.run_until(2**32 - 1, now) == Status.DONE
        assert found(net) == answer_of(codes, plan.graph.points[0].thresholds)
        net.give(codes)
        assert net.run() == Status.DONE
        assert found(net) == answer_of(codes, (NEVER, NEVER, ALWAYS))


def xorshift(state: int) -> int:
    state ^= state << 13 & 0xFFFFFFFF
    state ^= state >> 17
    return (state ^ state << 5) & 0xFFFFFFFF


@pytest.mark.parametrize("share", [0, 20000, 65536])
def test_audits_are_drawn_by_a_known_generator_and_count_agreement_with_the_last_exit(
    library: Library, share: int
) -> None:
    thresholds = (5, 3, 0)
    net, stats = started(library, thresholds), Stats()
    assert net.audit_begin(stats, share, 7) == Status.OK
    early, full = (evaluate(library.plan.graph, CODES, thresholds=t) for t in (thresholds, FULL))
    wanted: tuple[list[int], list[int], list[int]] = ([0] * 4, [0] * 4, [0] * 4)
    state = 7
    for i, codes in enumerate(CODES):
        net.give(codes)
        assert net.run() == Status.DONE
        state = xorshift(state)
        drawn = state >> 16 < share
        assert net.audit(stats) == (Status.DONE if drawn else Status.OK)
        assert net.audit(stats) == Status.NO_ANSWER
        exit_ = int(early.exit[i])
        wanted[0][exit_] += 1
        wanted[1][exit_] += drawn
        wanted[2][exit_] += drawn and bool(early.label[i] == full.label[i])
    assert stats.counts == wanted
    assert (sum(wanted[1]) == 0) == (share == 0)


def test_there_is_nothing_to_audit_before_an_exit_fired(net: Anytime) -> None:
    stats = Stats()
    assert net.audit_begin(stats, 65536, 0) == Status.OK
    assert net.audit(stats) == Status.NO_ANSWER
    net.set_threshold(0, NEVER)
    net.give(CODES[0])
    assert net.audit(stats) == Status.NO_ANSWER
    assert net.step() == Status.CONTINUE
    assert net.audit(stats) == Status.NO_ANSWER
    assert stats.counts[0] == [0] * 4
    assert net.run() == Status.DONE
    assert net.audit(stats) == Status.DONE


def test_an_audit_refuses_null_and_a_share_above_one(net: Anytime) -> None:
    stats = Stats()
    assert net.audit_begin(stats, 65537, 1) == Status.BAD_THRESHOLD
    assert net.call("audit_begin", None, 1, 1) == Status.NULL
    assert net.call("audit", net.context, None) == Status.NULL
    assert net.call("audit", None, stats) == Status.NULL
    assert Anytime(net.library).audit(stats) == Status.NOT_INITIALIZED


def test_an_input_after_an_audit_starts_afresh(net: Anytime) -> None:
    stats = Stats()
    net.audit_begin(stats, 65536, 1)
    for codes in CODES[:10]:
        net.give(codes)
        assert net.run() == Status.DONE
        assert found(net) == answer_of(codes, net.library.plan.graph.point.thresholds)
        assert net.audit(stats) == Status.DONE
        assert net.best() == Status.NO_ANSWER
        assert net.run() == Status.ENDED


def plan_without_rates() -> Plan:
    plan = planned(switched_network())
    return replace(plan, target=replace(plan.target, cpu="cortex-m23"))


def test_a_core_without_rates_fits_no_budget_until_it_was_measured(tmp_path: Path) -> None:
    plan = plan_without_rates()
    assert segment_cycles(plan) == (2**32 - 1,) * 4
    net = started(Library(plan, tmp_path), FULL)
    net.give(CODES[0])
    assert net.run_until(2**32 - 2, clock(0, 1)) == Status.NO_ANSWER
    assert net.measure(clock(0, 100, 0, 100, 0, 100, 0, 100), 10) == Status.OK
    net.give(CODES[0])
    assert net.run_until(110, clock(0, 110)) == Status.DEADLINE
    np.testing.assert_equal(net.result.exit, 0)


@pytest.mark.parametrize("mode", ["flash", "staged", "mixed"])
def test_no_way_to_end_an_inference_leaves_its_buffers_or_what_c_defines(mode: str, tmp_path: Path) -> None:
    plan = placed(switched_network(), MODES[mode])
    project = written(plan, tmp_path / "project", yield_every_op=True)
    driver = build.CSources(own=(Path(__file__).with_name("anytime.c"),), include_dirs=(project,))
    program = build.compile_host(build.sources_in(project) + driver, tmp_path / "program", optimize="-O1")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
