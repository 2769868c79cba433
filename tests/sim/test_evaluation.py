"""The batched simulator: survivors, batches, records; and that one inference in the planned arena says the same."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.builder import Builder, small_network
from support.graphs import codes_for, networks

from ptee_mcu.errors import ConfigError, DataError
from ptee_mcu.quant_graph import ALWAYS, NEVER, QConfidence, QExit, QuantGraph
from ptee_mcu.sim import Evaluation, evaluate
from ptee_mcu.sim.kernels import KERNELS
from ptee_mcu.tensor import Int8

some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def plainly(graph: QuantGraph, x: Int8) -> dict[str, Int8]:
    """Every tensor of every input, node by node."""
    values = {graph.input: x}
    for node in graph.nodes:
        inputs = [values[tensor] for tensor in node.inputs]
        values[node.output] = KERNELS[type(node.op)](node.op, inputs, graph.tensors[node.output])
    return values


def expected_exits(graph: QuantGraph, values: dict[str, Int8], thresholds: Sequence[int]) -> list[int]:
    exits = []
    for i in range(len(values[graph.input])):
        codes = [int(values[e.rule.tensor][i, 0]) for e in graph.exits if e.rule is not None]
        fired = [exit_ for exit_, (code, limit) in enumerate(zip(codes, thresholds, strict=True)) if code >= limit]
        exits.append(fired[0] if fired else len(graph.exits) - 1)
    return exits


@some
@given(networks(), st.integers(1, 9))
def test_each_input_is_answered_by_the_first_exit_that_fires(graph: QuantGraph, batch: int) -> None:
    x = codes_for(graph, 20)
    values, found = plainly(graph, x), evaluate(graph, x, batch=batch, record=True)
    assert found.exit.tolist() == expected_exits(graph, values, graph.point.thresholds)
    for i, exit_ in enumerate(found.exit):
        leave = graph.exits[exit_]
        np.testing.assert_array_equal(found.logits[i], values[leave.logits][i])
        assert found.label[i] == values[leave.logits][i].tolist().index(max(values[leave.logits][i]))
        assert found.confidence[i] == (0 if leave.rule is None else values[leave.rule.tensor][i, 0])


@some
@given(networks(), st.integers(1, 9))
def test_a_segment_is_entered_by_the_inputs_that_left_at_no_earlier_exit(graph: QuantGraph, batch: int) -> None:
    x = codes_for(graph, 20)
    values, found = plainly(graph, x), evaluate(graph, x, batch=batch, record=True)
    assert list(found.tensors) == [node.output for part in graph.segments() for node in part]
    for s, part in enumerate(graph.segments()):
        np.testing.assert_array_equal(found.reached[s], np.flatnonzero(found.exit >= s))
        for node in part:
            np.testing.assert_array_equal(found.tensors[node.output], values[node.output][found.reached[s]])


@some
@given(networks())
def test_a_full_pass_shows_what_every_exit_says_of_every_input(graph: QuantGraph) -> None:
    x = codes_for(graph, 20)
    values, found = plainly(graph, x), evaluate(graph, x, full=True, record=True)
    assert found.labels is not None
    assert found.confidences is not None
    assert found.exit_logits is not None
    assert found.confidences.shape == (len(graph.exits) - 1, len(x))
    for e, leave in enumerate(graph.exits):
        np.testing.assert_array_equal(found.exit_logits[e], values[leave.logits])
        np.testing.assert_array_equal(found.labels[e], values[leave.logits].argmax(axis=1))
        if leave.rule is not None:
            np.testing.assert_array_equal(found.confidences[e], values[leave.rule.tensor][:, 0])
    for node in graph.nodes:
        np.testing.assert_array_equal(found.tensors[node.output], values[node.output])
    assert all(len(rows) == len(x) for rows in found.reached)


@some
@given(networks())
def test_the_answers_of_a_full_pass_are_those_of_an_ordinary_one(graph: QuantGraph) -> None:
    x = codes_for(graph, 20)
    assert_same_answers(evaluate(graph, x, full=True), evaluate(graph, x))


def assert_same_answers(one: Evaluation, other: Evaluation) -> None:
    for name in ("exit", "label", "logits", "confidence"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize("batch", [1, 7, 50, 1000])
def test_answers_do_not_depend_on_the_batch(batch: int) -> None:
    graph = small_network()
    x = codes_for(graph, 50)
    whole, parts = evaluate(graph, x, record=True), evaluate(graph, x, batch=batch, record=True)
    assert_same_answers(whole, parts)
    for name, tensor in whole.tensors.items():
        np.testing.assert_array_equal(parts.tensors[name], tensor)


@pytest.mark.parametrize(("threshold", "exit_"), [(NEVER, 1), (ALWAYS, 0)])
def test_the_ends_of_the_threshold_fire_never_and_always(threshold: int, exit_: int) -> None:
    b = Builder((1, 2, 2, 1))
    # Confidences saturate at both ends: 127 must not reach 128, and -128 must reach -128.
    b.exits.append(QExit("early", b.linear("input", 2), QConfidence(b.linear("input", 1, gain=30.0))))
    b.exit("final", "input", 2, final=True)
    graph = b.graph(thresholds=[threshold])
    x = codes_for(graph, 300)
    found = evaluate(graph, x, full=True)
    assert found.confidences is not None
    assert {-128, 127} <= set(found.confidences[0].tolist())
    assert set(found.exit.tolist()) == {exit_}


def test_thresholds_given_replace_those_of_the_default_point() -> None:
    graph = small_network(thresholds=(ALWAYS,))
    x = codes_for(graph, 5)
    assert evaluate(graph, x).exit.tolist() == [0] * 5
    assert evaluate(graph, x, thresholds=[NEVER]).exit.tolist() == [1] * 5


def test_exits_that_never_fire_leave_the_network_without_exits() -> None:
    graph = small_network()
    x = codes_for(graph, 9)
    values = plainly(graph, x)
    found = evaluate(graph, x, thresholds=[NEVER])
    np.testing.assert_array_equal(found.logits, values[graph.exits[-1].logits])
    assert found.confidence.tolist() == [0] * 9


def test_a_segment_that_nobody_enters_records_no_rows() -> None:
    graph = small_network(thresholds=(ALWAYS,))
    found = evaluate(graph, codes_for(graph, 5), record=True)
    assert found.reached[1].size == 0
    assert found.tensors["deep.conv:0"].shape == (0, *graph.tensors["deep.conv:0"].shape[1:])


def test_of_equal_logits_the_lowest_label_wins() -> None:
    b = Builder((1, 1, 1, 1))
    b.exits.append(QExit("final", b.linear("input", 5, gain=30.0)))
    graph = b.graph()
    found = evaluate(graph, codes_for(graph, 200))
    ties = [i for i, row in enumerate(found.logits) if (row == row.max()).sum() > 1]
    assert ties
    assert all(found.label[i] == np.flatnonzero(found.logits[i] == found.logits[i].max())[0] for i in ties)


def test_only_the_tensors_asked_for_are_recorded() -> None:
    graph = small_network()
    x = codes_for(graph, 4)
    assert list(evaluate(graph, x).tensors) == []
    assert list(evaluate(graph, x, record=frozenset({"block.add:0"})).tensors) == ["block.add:0"]


def test_results_cannot_be_written() -> None:
    graph = small_network()
    found = evaluate(graph, codes_for(graph, 4), full=True, record=True)
    whole = (found.exit, found.label, found.logits, found.confidence)
    full = (found.labels, found.confidences, found.exit_logits)
    for array in (*whole, *full, *found.reached, *found.tensors.values()):
        assert array is not None
        assert not array.flags.writeable


def test_progress_hears_how_many_inputs_are_finished() -> None:
    graph = small_network()
    heard: list[int] = []
    evaluate(graph, codes_for(graph, 25), batch=10, progress=heard.append)
    assert heard == [10, 20, 25]


@pytest.mark.parametrize(
    "x",
    [np.zeros((4, 8, 8, 3), np.uint8), np.zeros((4, 8, 8), np.int8), np.zeros((0, 8, 8, 3), np.int8)],
    ids=["uint8", "no channels", "none"],
)
def test_inputs_that_are_no_codes_of_the_network_are_refused(x: Int8) -> None:
    with pytest.raises(DataError, match=r"small: inputs are u?int8 \(.*\), int8 \(N, 8, 8, 3\) is expected"):
        evaluate(small_network(), x)


def test_a_batch_of_no_inputs_is_refused() -> None:
    graph = small_network()
    with pytest.raises(ConfigError, match="batch of 0 inputs"):
        evaluate(graph, codes_for(graph, 2), batch=0)


def test_too_few_thresholds_are_refused() -> None:
    graph = small_network()
    with pytest.raises(ConfigError, match="small: 0 thresholds for 1 exits with a rule"):
        evaluate(graph, codes_for(graph, 2), thresholds=[])


@pytest.mark.parametrize("threshold", [-129, 129])
def test_a_threshold_outside_its_range_is_refused(threshold: int) -> None:
    graph = small_network()
    with pytest.raises(ConfigError, match=rf"exit early has threshold {threshold}, outside \[-128, 128\]"):
        evaluate(graph, codes_for(graph, 2), thresholds=[threshold])


def test_recording_what_no_node_makes_is_refused() -> None:
    graph = small_network()
    with pytest.raises(ConfigError, match="small: no node makes input"):
        evaluate(graph, codes_for(graph, 2), record=frozenset({"input"}))
