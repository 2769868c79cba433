"""Calls and selections from interrupts, and audits of the answers that early exits gave."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from ctypes import byref, c_uint32
from pathlib import Path

import pytest
from emit.test_api import Status
from support.anytime import CLOCK, FULL, Anytime, Stats, answer_of, found, started
from support.emitted import Library, written
from support.placed import MODES, placed
from support.points import CODES, switched_network

from ptee_mcu.firmware import build
from ptee_mcu.quant_graph import ALWAYS, NEVER
from ptee_mcu.sim import evaluate


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


@pytest.mark.parametrize("mode", ["flash", "staged", "mixed"])
def test_no_way_to_end_an_inference_leaves_its_buffers_or_what_c_defines(mode: str, tmp_path: Path) -> None:
    plan = placed(switched_network(), MODES[mode])
    project = written(plan, tmp_path / "project", yield_every_op=True)
    driver = build.CSources(own=(Path(__file__).with_name("anytime.c"),), include_dirs=(project,))
    program = build.compile_host(build.sources_in(project) + driver, tmp_path / "program", optimize="-O1")
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
