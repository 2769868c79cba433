from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from exits.branched import attached
from exits.networks import two_blocks
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from passes.networks import Net
from support.builder import Builder
from support.graphs import networks

from ptee_mcu.exits.cuts import AttachPoint, alive_bytes, attach_points, taps_of
from ptee_mcu.exits.heads import attach, find_head
from ptee_mcu.graph import Graph, NodeLike, needed
from ptee_mcu.isa import Isa
from ptee_mcu.ops import Add, AvgPool2d, Concat, Dropout, Flatten, MaxPool2d, Reshape
from ptee_mcu.plan.arena import lower_bound
from ptee_mcu.plan.lifetimes import tensor_lifetimes, tensor_overlaps
from ptee_mcu.plan.plan import Step
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import HW, Padding

_SAME = HW(1, 1)


def connected(nodes: Sequence[NodeLike], source: str, sink: str, *, without: str) -> bool:
    """Whether a path from `source` to `sink` is left where the tensor `without` is gone."""
    reached = {source} - {without}
    for node in nodes:
        if node.output != without and reached & set(node.inputs):
            reached.add(node.output)
    return sink in reached


def cuts_by_force(nodes: Sequence[NodeLike], source: str, sink: str) -> list[str]:
    path = needed(nodes, [sink])
    return [
        node.output for node in path if node.output != sink and not connected(path, source, sink, without=node.output)
    ]


@st.composite
def float_networks(draw: DrawFn) -> Graph:
    """Any of chain, branch and join over maps of one size, some of which nothing reads; a pool and a Linear at last."""
    net = Net((1, 4, 4, 2), draw(st.integers(0, 99)))
    maps = ["x"]
    for _ in range(draw(st.integers(1, 12))):
        x = draw(st.sampled_from(maps[-3:]))
        made = draw(st.sampled_from(["conv", "norm", "relu", "dropout", "add", "pool"]))
        match made:
            case "add":
                maps.append(net.add(Add(), x, draw(st.sampled_from(maps))))
            case "pool":
                maps.append(net.add(MaxPool2d(HW(3, 3), _SAME, Padding.same(1, 1)), x))
            case "dropout":
                maps.append(net.add(Dropout(), x))
            case "conv":
                maps.append(net.conv(x, 2, 2))
            case "norm":
                maps.append(net.norm(x, 2))
            case _:
                maps.append(net.relu(x))
    pooled = net.add(AvgPool2d(HW(4, 4), HW(4, 4)), maps[-1])
    return net.graph(net.linear(pooled, 3, 2))


@given(float_networks())
def test_the_points_of_a_float_network_are_the_tensors_that_disconnect_it(graph: Graph) -> None:
    assert [p.tensor for p in attach_points(graph)] == cuts_by_force(graph.nodes, graph.input, graph.exits[-1].logits)


@given(networks())
def test_the_points_of_an_int8_network_are_the_tensors_that_disconnect_it(graph: QuantGraph) -> None:
    assert [p.tensor for p in attach_points(graph)] == cuts_by_force(graph.nodes, graph.input, graph.exits[-1].logits)


@given(networks())
def test_no_arena_for_this_order_is_smaller_than_what_is_alive(graph: QuantGraph) -> None:
    path = needed(graph.nodes, [graph.exits[-1].logits])
    alone = replace(graph, nodes=path, exits=graph.exits[-1:])
    counts = [n.op.counts([graph.tensors[t] for t in n.inputs], graph.tensors[n.output], Isa.SCALAR) for n in path]
    steps = tuple(Step(i, 0, node, count) for i, (node, count) in enumerate(zip(path, counts, strict=True)))
    lives = tensor_lifetimes(alone, steps)
    shapes = {name: tensor.shape for name, tensor in graph.tensors.items()}
    least = lower_bound(lives, tensor_overlaps(alone, steps, lives, Isa.SCALAR))
    assert max(alive_bytes(graph.input, path, shapes)) <= least


@given(networks())
def test_the_last_point_lies_below_the_whole_network(graph: QuantGraph) -> None:
    points = attach_points(graph)
    assert list(accumulate((p.macs for p in points), max)) == [p.macs for p in points]
    assert all(p.macs == graph.macs(needed(graph.nodes, [p.tensor])) for p in points)
    assert all(0.0 <= p.share <= 1.0 for p in points)
    assert all(p.live_bytes <= p.ram_bytes for p in points)


def test_a_point_says_what_lies_before_it() -> None:
    graph = two_blocks()
    first = attach_points(graph)[0]
    macs = 16 * 20 * 3 * 4 * 9
    whole = macs + 8 * 10 * 4 * 8 * 9 + 8 * 5
    assert first == AttachPoint(
        name=graph.nodes[0].name, tensor=graph.nodes[0].output, shape=(1, 16, 20, 4), macs=macs, share=macs / whole,
        live_bytes=16 * 20 * 4, ram_bytes=16 * 20 * 4, heads=True,
    )  # fmt: skip


def test_what_a_shortcut_keeps_alive_is_needed_at_every_later_point() -> None:
    net = Net((1, 8, 8, 2))
    stem = net.conv("x", 4, 2)
    inner = net.conv(net.conv(stem, 4, 4), 4, 4)
    joined = net.add(Add(), inner, stem)
    graph = net.graph(net.linear(net.add(AvgPool2d(HW(8, 8), HW(8, 8)), joined), 3, 4))
    points = {p.tensor: p for p in attach_points(graph)}
    assert inner not in points
    assert points[stem].ram_bytes == 8 * 8 * 4
    assert points[joined].ram_bytes == 2 * 8 * 8 * 4
    assert points[joined].live_bytes == 8 * 8 * 4


def test_both_inputs_of_a_concatenation_are_no_points_and_its_output_is_one() -> None:
    net = Net((1, 4, 4, 2))
    one, other = net.conv("x", 2, 2), net.conv("x", 2, 2)
    both = net.add(Concat(), one, other)
    graph = net.graph(net.linear(net.add(Flatten(), both), 3, 64))
    assert [p.tensor for p in attach_points(graph)] == [both, graph.nodes[-2].output]


def test_vectors_are_points_that_heads_cannot_read() -> None:
    net = Net((1, 12))
    hidden = net.relu(net.linear("x", 8, 12))
    graph = net.graph(net.linear(hidden, 3, 8))
    assert [(p.tensor, p.heads) for p in attach_points(graph)] == [(graph.nodes[0].output, False), (hidden, False)]
    assert taps_of(graph) == ()


def test_heads_that_are_there_already_change_no_point() -> None:
    assert attach_points(attached()) == attach_points(two_blocks())


def test_a_network_without_multiplications_has_shares_of_zero() -> None:
    net = Net((1, 4, 4, 3))
    pooled = net.add(MaxPool2d(HW(2, 2), HW(2, 2)), "x")
    graph = net.graph(net.add(AvgPool2d(HW(2, 2), HW(2, 2)), pooled))
    assert [(p.tensor, p.share) for p in attach_points(graph)] == [(pooled, 0.0)]


def test_a_network_of_one_layer_has_no_points() -> None:
    net = Net((1, 4))
    assert attach_points(net.graph(net.linear("x", 3, 4))) == ()


def test_taps_are_the_last_of_each_chain_of_elementwise_ops() -> None:
    graph = two_blocks()
    assert [tap.tensor for tap in taps_of(graph)] == [tap.tensor for tap in graph.taps]
    assert all(graph.producer(tap.tensor) is graph.node(tap.name) for tap in taps_of(graph))


def test_a_map_read_by_a_shortcut_too_stands_for_itself() -> None:
    net = Net((1, 8, 8, 4))
    stem = net.conv("x", 4, 4)
    inner = net.conv(net.relu(net.norm(stem, 4)), 4, 4)  # normalised before the convolution, as in DenseNet
    joined = net.add(Add(), inner, stem)
    graph = net.graph(net.linear(net.add(AvgPool2d(HW(8, 8), HW(8, 8)), joined), 3, 4))
    assert [tap.tensor for tap in taps_of(graph)] == [stem, joined]


def test_a_pool_is_not_elementwise_even_where_it_keeps_the_shape() -> None:
    net = Net((1, 8, 8, 4))
    stem = net.conv("x", 4, 4)
    pooled = net.add(MaxPool2d(HW(3, 3), _SAME, Padding.same(1, 1)), stem)
    graph = net.graph(net.linear(net.add(AvgPool2d(HW(8, 8), HW(8, 8)), pooled), 3, 4))
    assert [tap.tensor for tap in taps_of(graph)] == [stem, pooled]


def test_the_input_in_another_shape_is_a_point_and_no_tap() -> None:
    net = Net((1, 48))
    image = net.add(Reshape((1, 4, 4, 3)), "x")
    stem = net.conv(image, 8, 3)
    graph = net.graph(net.linear(net.add(AvgPool2d(HW(4, 4), HW(4, 4)), stem), 3, 8))
    assert image in {point.tensor for point in attach_points(graph)}
    assert [tap.tensor for tap in taps_of(graph)] == [stem]


def test_exits_attach_to_every_tap() -> None:
    graph = two_blocks()
    with_heads = attach(graph, taps_of(graph), find_head("pooled"))
    assert len(with_heads.exits) == 1 + len(taps_of(graph))
    assert with_heads.exits[0].tap == taps_of(graph)[0].name


def test_every_layer_of_a_long_chain_but_the_last_is_a_point() -> None:
    b = Builder((1, 3, 3, 2))
    x = "input"
    for _ in range(1000):
        x = b.max_pool(x, _SAME, _SAME)
    b.exit("final", x, 3, final=True)
    assert len(attach_points(b.graph("chain", []))) == 1000


def test_taps_of_an_int8_network_are_its_maps_of_more_than_one_pixel() -> None:
    b = Builder((1, 6, 6, 2))
    stem = b.conv("input", 4, padding=Padding.same(1, 1), name="stem")
    pooled = b.avg_pool(stem, HW(6, 6), _SAME)
    b.exit("final", pooled, 3, final=True)
    graph = b.graph("small", [])
    assert [p.tensor for p in attach_points(graph)] == [stem, pooled]
    assert [(tap.name, tap.tensor) for tap in taps_of(graph)] == [("stem", stem)]
