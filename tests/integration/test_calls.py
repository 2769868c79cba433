"""Calls out of order while constants that the optimizer staged are under way."""

from dataclasses import replace

import numpy as np
import pytest
from integration.whole import optimized
from support.differential import inputs_for
from support.emitted import Instance, Library
from support.exits import residual_network
from support.tools import require

from ptee_mcu import boards
from ptee_mcu.plan.settings import Mode
from ptee_mcu.quant_graph import ALWAYS, NEVER, OperatingPoint
from ptee_mcu.sim import evaluate

OK, CONTINUE, DONE = 0, 1, 2
_PLAIN = residual_network("calls")
GRAPH = replace(
    _PLAIN,
    points=(OperatingPoint("never", (NEVER, NEVER)), OperatingPoint("second", (NEVER, ALWAYS))),
)
INPUTS = inputs_for(GRAPH, 3)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    require("gcc", "cmsis-nn")
    plan = optimized(GRAPH, boards.load("nrf52840_dk"), Mode.STAGED).plan
    return Library(plan, tmp_path_factory.mktemp("calls"))


@pytest.fixture
def net(library: Library) -> Instance:
    made = Instance(library)
    assert made.init() == OK
    return made


def answer(thresholds: tuple[int, int], row: int) -> tuple[int, list[int]]:
    found = evaluate(GRAPH, INPUTS[row : row + 1], thresholds=thresholds)
    return int(found.exit[0]), found.logits[0].tolist()


def said(net: Instance) -> tuple[int, list[int]]:
    return int(net.result.exit), net.logits()


def test_an_operating_point_holds_still_while_an_inference_is_under_way(net: Instance) -> None:
    net.give(INPUTS[0])
    assert net.step() == CONTINUE
    assert net.set_threshold(1, ALWAYS) == OK
    assert net.set_operating_point(1) == OK
    assert net.operating_point == 1
    assert net.run() == DONE
    assert said(net) == answer((NEVER, NEVER), 0)
    net.give(INPUTS[0])
    assert net.run() == DONE
    assert said(net) == answer((NEVER, ALWAYS), 0)


def test_an_input_in_the_middle_begins_again_at_the_point_chosen_then(net: Instance) -> None:
    net.give(INPUTS[0])
    assert [net.step(), net.step()] == [CONTINUE, CONTINUE]
    net.give(INPUTS[1])
    assert net.set_operating_point(1) == OK
    assert net.run() == DONE
    assert said(net) == answer((NEVER, ALWAYS), 1)


def test_a_step_after_an_exit_fired_is_refused_and_leaves_result_and_stage_alone(net: Instance) -> None:
    assert net.set_operating_point(1) == OK
    net.give(INPUTS[2])
    assert [net.step(), net.step()] == [CONTINUE, DONE]
    before, stage = said(net), net.stage.copy()
    ended = net.step()
    assert ended not in (OK, CONTINUE, DONE)
    assert net.run() == ended
    assert said(net) == before == answer((NEVER, ALWAYS), 2)
    np.testing.assert_array_equal(net.stage, stage)


def test_a_stage_and_an_arena_full_of_rubbish_between_inferences_change_nothing(net: Instance) -> None:
    for row, rubbish in ((0, 0x5A), (1, 0xFF), (0, 0x80)):
        net.stage[:] = rubbish
        net.arena[:] = rubbish
        net.give(INPUTS[row])
        assert net.run() == DONE
        assert said(net) == answer((NEVER, NEVER), row)
