"""One inference in the planned arena: the batched simulator's answer, and a wrong one where the plan is wrong."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.builder import small_network
from support.emitted import planned
from support.graphs import codes_for, networks

from ptee_mcu.errors import ConfigError, DataError
from ptee_mcu.plan.overlap import distances
from ptee_mcu.plan.plan import Plan
from ptee_mcu.quant_graph import ALWAYS, NEVER, QuantGraph
from ptee_mcu.sim import evaluate, run


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(networks())
def test_one_inference_in_the_arena_says_what_the_batch_says(graph: QuantGraph) -> None:
    plan, x = planned(graph), codes_for(graph, 4)
    batch = evaluate(graph, x, record=True)
    for i in range(len(x)):
        trace = run(plan, x[i : i + 1])
        assert (trace.exit, trace.label, trace.confidence) == (batch.exit[i], batch.label[i], batch.confidence[i])
        np.testing.assert_array_equal(trace.logits, batch.logits[i])
        steps = [(step.segment, step.node) for step in plan.steps if step.segment <= trace.exit]
        assert trace.executed == tuple(node.name for _, node in steps)
        assert list(trace.tensors) == [node.output for _, node in steps]
        for s, node in steps:
            row = int(np.searchsorted(batch.reached[s], i))
            np.testing.assert_array_equal(trace.tensors[node.output][0], batch.tensors[node.output][row])


def moved(plan: Plan, tensor: str, onto: str) -> Plan:
    """The plan with one slot laid over another."""
    slot = replace(plan.arena[tensor], offset=plan.arena[onto].offset)
    return replace(plan, arena={**plan.arena, tensor: slot}, arena_bytes=2 * plan.arena_bytes)


@pytest.mark.parametrize(
    ("tensor", "onto"),
    [
        ("block.depthwise:0", "stem.conv:0"),
        ("scratch:stem.conv", "input"),
        ("scratch:stem.conv", "stem.conv:0"),
        ("early.logits:0", "block.add:0"),
    ],
    ids=["an output over its input", "scratch over the input", "scratch over the output", "a head over the trunk"],
)
def test_a_slot_laid_over_one_that_is_alive_changes_the_answer(tensor: str, onto: str) -> None:
    plan = planned(small_network(thresholds=(NEVER - 1,)))
    x = codes_for(plan.graph, 1)
    wrong = run(moved(plan, tensor, onto), x)
    right = run(plan, x)
    assert any((wrong.tensors[name] != right.tensors[name]).any() for name in right.tensors)


def test_an_output_over_its_input_reads_it_first_at_the_distance_its_kernel_permits_and_no_closer() -> None:
    plan = planned(small_network(thresholds=(NEVER - 1,)))
    x = codes_for(plan.graph, 1)
    node = next(step.node for step in plan.steps if step.node.name == "block.depthwise")
    distance = distances(plan.graph, node, plan.target.isa)["stem.conv:0"]
    right = run(plan, x).tensors["block.depthwise:0"]
    for closer, same in ((0, True), (1, False)):
        slots = dict(plan.arena)
        slots["stem.conv:0"] = replace(slots["stem.conv:0"], offset=plan.arena_bytes + distance - closer)
        slots["block.depthwise:0"] = replace(slots["block.depthwise:0"], offset=plan.arena_bytes)
        found = run(replace(plan, arena=slots, arena_bytes=4 * plan.arena_bytes), x)
        assert bool((found.tensors["block.depthwise:0"] == right).all()) is same


def test_an_inference_stops_at_the_exit_that_fires() -> None:
    plan = planned(small_network(thresholds=(ALWAYS,)))
    x = codes_for(plan.graph, 1)
    early, full = run(plan, x), run(plan, x, thresholds=[NEVER - 1])
    assert (early.exit, full.exit) == (0, 1)
    assert early.executed[-1] == "early.confidence"
    assert full.executed[: len(early.executed)] == early.executed
    assert full.executed[-1] == "final.logits"


def test_the_head_of_an_exit_that_cannot_fire_does_not_run() -> None:
    plan = planned(small_network(thresholds=(NEVER - 1,)))
    x = codes_for(plan.graph, 1)
    full, lean = run(plan, x), run(plan, x, thresholds=[NEVER])
    head = ("early.pool", "early.logits", "early.confidence")
    assert full.executed == tuple(step.node.name for step in plan.steps)
    assert lean.executed == tuple(name for name in full.executed if name not in head)
    assert (lean.exit, lean.label, lean.confidence) == (full.exit, full.label, full.confidence)
    for name, tensor in lean.tensors.items():
        np.testing.assert_array_equal(tensor, full.tensors[name])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(networks(), st.data())
def test_leaving_heads_out_changes_no_byte_of_the_rest(graph: QuantGraph, data: st.DataObject) -> None:
    plan, x = planned(graph), codes_for(graph, 2)
    early = graph.points[0].thresholds
    thresholds = [NEVER if data.draw(st.booleans()) else threshold for threshold in early]
    batch = evaluate(graph, x, thresholds=thresholds, record=True)
    left_out = graph.skipped(thresholds)
    for i in range(len(x)):
        trace = run(plan, x[i : i + 1], thresholds=thresholds)
        assert (trace.exit, trace.label, trace.confidence) == (batch.exit[i], batch.label[i], batch.confidence[i])
        steps = [(step.segment, step.node) for step in plan.steps if step.segment <= trace.exit]
        assert trace.executed == tuple(node.name for _, node in steps if node.name not in left_out)
        for s, node in steps:
            if node.output in trace.tensors:
                row = int(np.searchsorted(batch.reached[s], i))
                np.testing.assert_array_equal(trace.tensors[node.output][0], batch.tensors[node.output][row])


def test_a_trace_cannot_be_written() -> None:
    plan = planned(small_network())
    trace = run(plan, codes_for(plan.graph, 1))
    assert not trace.logits.flags.writeable
    assert not any(tensor.flags.writeable for tensor in trace.tensors.values())


def test_an_input_of_another_shape_is_refused() -> None:
    plan = planned(small_network())
    with pytest.raises(DataError, match=r"small: input is int8 \(2, 8, 8, 3\), int8 \(1, 8, 8, 3\) is expected"):
        run(plan, codes_for(plan.graph, 2))


def test_thresholds_that_do_not_fit_are_refused() -> None:
    plan = planned(small_network())
    with pytest.raises(ConfigError, match="2 thresholds for 1 exits"):
        run(plan, codes_for(plan.graph, 1), thresholds=[0, 0])
