"""The order of nodes within a segment: as narrow as the best of all topological orders, exits and heads in place."""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice, product
from math import prod

import pytest
from hypothesis import HealthCheck, assume, given, settings
from support.builder import Builder, small_network
from support.graphs import networks

from ptee_mcu import boards
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Counts
from ptee_mcu.plan import order as searching
from ptee_mcu.plan.arena import lower_bound
from ptee_mcu.plan.lifetimes import tensor_lifetimes, tensor_overlaps
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.order import execution_order
from ptee_mcu.plan.plan import Step, verify_plan
from ptee_mcu.quant_graph import NEVER, QNode, QuantGraph
from ptee_mcu.tensor import HW, Padding

BOARD = boards.load("mps2_an386")
Run = list[tuple[int, QNode]]


def counts(graph: QuantGraph, node: QNode) -> Counts:
    return node.op.counts([graph.tensors[t] for t in node.inputs], graph.tensors[node.output], Isa.DSP)


def ordered(graph: QuantGraph) -> Run:
    scratch = {node.name: counts(graph, node).scratch_bytes for node in graph.nodes}
    return list(execution_order(graph, Isa.DSP, scratch))


def width(graph: QuantGraph, order: Run) -> int:
    """Bytes of the widest step."""
    steps = [Step(i, segment, node, counts(graph, node)) for i, (segment, node) in enumerate(order)]
    lifetimes = tensor_lifetimes(graph, steps)
    return lower_bound(lifetimes, tensor_overlaps(graph, steps, lifetimes, Isa.DSP))


def runs(graph: QuantGraph) -> list[Run]:
    """What may be put in another order: consecutive nodes of a segment, its trunk apart from its head."""
    heads = graph.skipped((NEVER,) * (len(graph.exits) - 1))
    nodes = [(segment, node) for segment, part in enumerate(graph.segments()) for node in part]
    return [list(run) for _, run in groupby(nodes, lambda entry: (entry[0], entry[1].name in heads))]


def topological(run: Sequence[tuple[int, QNode]]) -> Iterator[Run]:
    """All orders in which every node follows what it reads."""
    if not run:
        yield []
    for entry in run:
        rest = [other for other in run if other is not entry]
        if not {node.output for _, node in rest} & set(entry[1].inputs):
            yield from ([entry, *tail] for tail in topological(rest))


def branches(count: int) -> QuantGraph:
    """A wide tensor and a narrow one from each of `count` branches; only one order keeps one wide tensor at a time."""
    b = Builder((1, 8, 8, 2))
    wide = [b.conv("input", 16 + i, HW(1, 1), name=f"wide{i}") for i in range(count)]
    narrow = [b.avg_pool(x, HW(8, 8), HW(1, 1), name=f"narrow{i}") for i, x in enumerate(wide)]
    b.exit("final", b.concat(*narrow), final=True)
    return b.graph()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(networks())
def test_the_order_found_is_as_narrow_as_the_best_of_all_topological_orders(graph: QuantGraph) -> None:
    every = [list(islice(topological(run), 200)) for run in runs(graph)]
    assume(prod(map(len, every)) < 200)
    best = min(width(graph, [entry for run in choice for entry in run]) for choice in product(*every))
    assert width(graph, ordered(graph)) == best


@given(networks())
@settings(max_examples=40, deadline=None)
def test_the_order_found_permutes_each_run_and_nothing_else(graph: QuantGraph) -> None:
    found = ordered(graph)
    for run in runs(graph):
        here, found = found[: len(run)], found[len(run) :]
        assert {node.name for _, node in here} == {node.name for _, node in run}
        assert {segment for segment, _ in here} == {segment for segment, _ in run}
    assert not found


def test_one_branch_ends_before_the_next_begins() -> None:
    graph = branches(3)
    names = [node.name for _, node in ordered(graph)]
    assert all(abs(names.index(f"wide{i}") - names.index(f"narrow{i}")) == 1 for i in range(3))
    plan = make_plan(graph, BOARD)
    verify_plan(plan)
    assert plan.arena_optimal
    assert plan.arena_bytes < 2 * 16 * 64


def test_a_graph_whose_order_is_as_good_as_any_keeps_it() -> None:
    graph = small_network()
    assert [node.name for _, node in ordered(graph)] == [n.name for part in graph.segments() for n in part]


def test_no_node_of_a_head_runs_before_the_trunk_though_it_would_free_the_input() -> None:
    b = Builder((1, 8, 8, 2))
    wide = b.conv("input", 16, padding=Padding.same(1, 1), name="wide")
    ends = [b.avg_pool(x, HW(8, 8), HW(1, 1), name=f"pool{i}") for i, x in enumerate(("input", wide))]
    b.exit("early", b.concat(*ends, name="both"))
    b.exit("final", b.avg_pool(wide, HW(4, 4), HW(4, 4), name="deep"), final=True)
    graph = b.graph()
    order = ordered(graph)
    assert order[0][1].name == "wide"
    assert width(graph, [order[1], order[0], *order[2:]]) < width(graph, order)


def test_where_there_are_too_many_orders_a_beam_finds_one(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = branches(5)
    exact = width(graph, ordered(graph))
    monkeypatch.setattr(searching, "_STATES", 3)
    found = ordered(graph)
    assert width(graph, found) == exact
    assert {node.name for _, node in found} == {node.name for node in graph.nodes}
