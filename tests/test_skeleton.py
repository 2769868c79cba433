import pytest
from exits.branched import quantized
from exits.networks import two_blocks
from hypothesis import given, settings
from hypothesis import strategies as st
from passes.networks import Net

from ptee_mcu import boards
from ptee_mcu.errors import UnsupportedOpError
from ptee_mcu.exits.heads import attach, find_head
from ptee_mcu.ops import BatchNorm, Linear
from ptee_mcu.plan.make import make_plan
from ptee_mcu.skeleton import skeleton


@given(st.sampled_from(["plain", "bnpool_relu", "pooled", "separable"]), st.booleans())
@settings(max_examples=8)
def test_a_skeleton_takes_what_the_calibrated_network_takes(head: str, cascade: bool) -> None:  # noqa: FBT001 - of the test
    graph = two_blocks()
    whole = attach(graph, graph.taps, find_head(head), cascade=cascade)
    real, empty = quantized(whole), skeleton(whole)
    for board in ("mps2_an385", "mps2_an386", "mps3_an547"):
        target = boards.load(board)
        one, other = make_plan(real, target), make_plan(empty, target)
        assert (one.arena_bytes, one.weight_bytes) == (other.arena_bytes, other.weight_bytes)
    assert [node.name for node in empty.nodes] == [node.name for node in real.nodes]
    assert empty.segment_macs() == real.segment_macs()


def test_a_layer_whose_accumulators_could_overflow_has_a_skeleton() -> None:
    net = Net((1, 100_000))
    graph = net.graph(net.add(Linear(), "x", weight=net.rng.normal(size=(2, 100_000))))
    assert skeleton(graph).nodes[0].op.constants["weights"].nbytes == 200_000


def test_a_network_without_int8_form_has_no_skeleton() -> None:
    net = Net((1, 4))
    ones = net.rng.uniform(1, 2, 4)
    normed = net.add(BatchNorm(), "x", weight=ones, bias=ones, mean=ones, var=ones)
    with pytest.raises(UnsupportedOpError, match="BatchNorm on shape"):
        skeleton(net.graph(net.linear(normed, 3, 4)))
