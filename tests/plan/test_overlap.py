"""Outputs over inputs: that the distances ops state are safe in C, on every instruction set, and not far from tight."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plan.staircase import SAME, chains, overlapping, staircase
from support.builder import Builder
from support.differential import Differential
from support.graphs import networks
from support.tools import require

from ptee_mcu import boards
from ptee_mcu.errors import VerifyError
from ptee_mcu.isa import Isa
from ptee_mcu.ops import QDepthwiseConv2d
from ptee_mcu.ops.in_place import window_distance
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.overlap import distances, shared_bytes
from ptee_mcu.plan.plan import verify_plan
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.sim import run
from ptee_mcu.tensor import HW, Padding, window_shape

IN_PLACE = {
    "add", "avg_pool2d", "concat", "conv2d", "depthwise_conv2d", "lookup", "max_pool2d", "mean", "mul", "prelu",
    "reshape", "resize", "slice",
}  # fmt: skip
BOARD = boards.load("mps2_an386")
PLACES = {"host": "mps2_an386", "mps2-an386": "mps2_an386", "mps3-an547": "mps3_an547"}


def compared(graph: QuantGraph, where: str, folder: Path) -> set[str]:
    """Kinds of ops whose output lay over an input; the C must give the simulator's bytes."""
    plan = staircase(make_plan(graph, boards.load(PLACES[where])))
    verify_plan(plan)
    differential = Differential(graph, folder)
    differential.plan = plan
    for step in differential.plan.steps:
        differential.compare(where, step.node.name)
    return overlapping(differential.plan)


@pytest.mark.parametrize("where", PLACES)
def test_every_op_as_close_over_its_input_as_permitted_gives_the_same_bytes_in_c(where: str, tmp_path: Path) -> None:
    assert compared(chains(), where, tmp_path) == IN_PLACE


@pytest.mark.parametrize("where", ["host", "mps2-an386"])
def test_a_residual_network_as_it_is_planned_works_in_place_and_gives_the_same_bytes_in_c(
    where: str, tmp_path: Path
) -> None:
    b = Builder((1, 9, 9, 3))
    x = b.conv("input", 8, padding=SAME)
    for stride in (HW(1, 1), HW(2, 2)):
        y = b.conv(b.conv(x, 8, stride=stride, padding=SAME), 8, padding=SAME)
        x = b.add(y, x if stride == HW(1, 1) else b.max_pool(x, HW(1, 1), stride))
        b.exit(f"exit{stride.h}", b.avg_pool(x, HW(2, 2), HW(2, 2)))
    b.exit("final", b.depthwise(x, padding=SAME), final=True)
    differential = Differential(b.graph("residual"), tmp_path)
    assert overlapping(differential.plan) >= {"conv2d", "add", "depthwise_conv2d"}
    for step in differential.plan.steps:
        differential.compare(where, step.node.name)


@pytest.mark.slow
@given(networks())
@settings(max_examples=12, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_network_as_close_as_permitted_gives_the_same_bytes_in_c(graph: QuantGraph) -> None:
    require("gcc")
    with TemporaryDirectory() as folder:
        compared(graph, "host", Path(folder))


CLOSER = {
    "conv": lambda b: b.conv("input", 4, padding=SAME),
    "depthwise": lambda b: b.depthwise("input", padding=SAME),
    "max pool": lambda b: b.max_pool("input", HW(3, 3), HW(1, 1), padding=SAME),
    "avg pool": lambda b: b.avg_pool("input", HW(3, 3), HW(1, 1), padding=SAME),
}


@pytest.mark.parametrize("case", CLOSER)
def test_two_pixels_closer_than_permitted_the_c_reads_what_it_has_overwritten(case: str, tmp_path: Path) -> None:
    b = Builder((1, 6, 6, 4))
    b.exit("final", CLOSER[case](b), final=True)
    graph = b.graph()
    right = make_plan(graph, BOARD)
    wrong = staircase(right, closer=2 * 4)
    differential = Differential(graph, tmp_path)
    differential.plan = wrong
    with pytest.raises(AssertionError, match="on host"):
        differential.compare("host", graph.nodes[0].name)
    x, output = differential.inputs[:1], graph.nodes[0].output
    assert (run(wrong, x).tensors[output] != run(right, x).tensors[output]).any()


SIZES = st.builds(HW, st.integers(1, 7), st.integers(1, 7))
SMALL = st.builds(HW, st.integers(1, 3), st.integers(1, 3))
PADDINGS = st.builds(Padding, *[st.integers(0, 2)] * 4)


@given(SIZES, SMALL, SMALL, SMALL, PADDINGS, st.integers(1, 5), st.integers(1, 5))
def test_at_its_distance_a_window_never_reads_a_byte_that_an_earlier_pixel_or_its_own_has_written(
    size: HW, kernel: HW, stride: HW, dilation: HW, padding: Padding, channels: int, out: int
) -> None:
    made = window_shape(size, kernel, stride, padding, dilation)
    if min(made.h, made.w) < 1:
        return
    distance = window_distance((1, size.h, size.w, channels), (1, made.h, made.w, out), stride, padding)
    written: set[int] = set()
    for n, (y, x) in enumerate(product(range(made.h), range(made.w))):
        written |= {n * out + c - distance for c in range(out)}  # addresses, the input at 0
        for i, j in product(range(kernel.h), range(kernel.w)):
            row = y * stride.h - padding.top + i * dilation.h
            column = x * stride.w - padding.left + j * dilation.w
            if 0 <= row < size.h and 0 <= column < size.w:
                start = (row * size.w + column) * channels
                assert not written & set(range(start, start + channels))


def only(op: str, channels: int = 4) -> QuantGraph:
    b = Builder((1, 4, 4, channels))
    made = {
        "pointwise": lambda: b.conv("input", 4, HW(1, 1)),
        "pad": lambda: b.pad("input", SAME),
        "linear": lambda: b.linear("input", 8),
        "depthwise": lambda: b.depthwise("input", padding=SAME),
        "add itself": lambda: b.add("input", "input"),
        "concat with itself": lambda: b.concat("input", "input"),
    }[op]()
    b.exit("final", made, final=True)
    return b.graph()


@pytest.mark.parametrize("op", ["pointwise", "pad", "linear", "concat with itself"])
def test_what_reads_its_input_more_than_once_over_has_an_output_of_its_own(op: str) -> None:
    graph = only(op)
    assert not distances(graph, graph.nodes[0], Isa.DSP)


def test_a_sum_of_a_tensor_with_itself_may_replace_it() -> None:
    graph = only("add itself")
    assert distances(graph, graph.nodes[0], Isa.DSP) == {"input": 0}


def test_depthwise_channels_beyond_one_block_are_read_in_passes_on_mve_only() -> None:
    wide = only("depthwise", 125)
    assert isinstance(wide.nodes[0].op, QDepthwiseConv2d)
    assert distances(wide, wide.nodes[0], Isa.DSP)
    assert not distances(wide, wide.nodes[0], Isa.MVE)
    assert distances(only("depthwise", 124), only("depthwise", 124).nodes[0], Isa.MVE)


def test_the_first_input_of_a_concatenation_ends_where_the_output_does_less_a_pixel() -> None:
    b = Builder((1, 3, 3, 4))
    b.exit("final", b.concat("input", b.slice("input", (1, 3, 3, 2))), final=True)
    graph = b.graph()
    assert distances(graph, graph.nodes[1], Isa.DSP) == {"input": 8 * 2 + 4}


def test_shared_bytes_are_at_most_what_lies_behind_the_distance_and_at_most_the_output() -> None:
    assert shared_bytes(100, [(100, 30)]) == 70
    assert shared_bytes(100, [(20, 30)]) == 20
    assert shared_bytes(100, [(100, 0), (100, 0)]) == 100
    assert shared_bytes(100, [(100, 130)]) == 0
    assert shared_bytes(100, []) == 0


def test_a_plan_for_a_wider_board_is_refused_where_its_kernels_go_in_passes() -> None:
    plan = staircase(make_plan(only("depthwise", 125), BOARD))
    verify_plan(plan)
    assert overlapping(plan)
    with pytest.raises(VerifyError, match="alive together and share arena bytes"):
        verify_plan(replace(plan, target=boards.load("mps3_an547")))


def test_distances_hold_whatever_the_input() -> None:
    graph = chains()
    plan = staircase(make_plan(graph, BOARD))
    random = np.random.default_rng(3)
    x = random.integers(-128, 128, graph.input_tensor.shape, dtype=np.int8)
    want, found = run(make_plan(graph, plan.target), x), run(plan, x)
    for name, tensor in want.tensors.items():
        np.testing.assert_array_equal(found.tensors[name], tensor)
