from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from passes.dead import channels, checked, edit, full, partly_dead, unread, zero
from support.builder import Builder, small_network
from support.differential import Differential

from ptee_mcu.errors import QuantizationError
from ptee_mcu.isa import Isa
from ptee_mcu.ops import QMul
from ptee_mcu.ops.base import Counts, QOp, Reads, Traffic, Work
from ptee_mcu.passes.dead_channels import remove_dead_channels
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.requant import Requant
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import HW, Int8, Int32, Padding, QTensor, Shape

ONE, TWO, THREE = HW(1, 1), HW(2, 2), HW(3, 3)
SAME = Padding.same(1, 1)
RELU = (2, 127)  # from the builder's zero point on


def separable() -> QuantGraph:
    """Convolution, depthwise and pointwise layers; half of the first's channels are zero, of the last's clamped."""
    b = Builder((1, 8, 8, 2))
    stem = zero(b, b.conv("input", 16, padding=SAME, act=RELU, name="stem"), range(0, 16, 2))
    block = b.depthwise(stem, padding=SAME, act=RELU, name="depthwise")
    last = full(b, b.conv(block, 16, ONE, act=RELU, name="pointwise"), range(8))
    b.exit("final", b.avg_pool(last, HW(8, 8), ONE, name="pool"), final=True)
    return b.graph("separable")


def test_half_of_a_network_is_removed_with_the_macs_computed_by_hand() -> None:
    thin, removed = checked(separable())
    assert channels(thin, "stem", "depthwise", "pointwise", "pool", "final.logits") == (8, 8, 8, 8, 4)
    assert {layer.name: (layer.before.macs, layer.after.macs) for layer in removed.layers} == {
        "stem": (64 * 9 * 2 * 16, 64 * 9 * 2 * 8),
        "depthwise": (64 * 9 * 16, 64 * 9 * 8),
        "pointwise": (64 * 16 * 16, 64 * 8 * 8),
        "pool": (0, 0),
        "final.logits": (16 * 4, 8 * 4),
    }
    # Weights; bias, multiplier and shift of a convolution's channels; a fully connected layer has biases only.
    assert removed.before.constant_bytes == (18 + 9 + 16) * 16 + 12 * (16 + 16 + 16) + 16 * 4 + 4 * 4
    assert removed.after.constant_bytes == (18 + 9 + 8) * 8 + 12 * (8 + 8 + 8) + 8 * 4 + 4 * 4
    assert removed.after.macs == thin.backbone_macs()


def test_the_report_names_the_sum_and_every_layer_that_changed() -> None:
    lines = remove_dead_channels(separable())[1].describe()
    assert lines[0] == "dead channels: 32 of 68 removed; 44,096 -> 17,952 MACs, 1,344 -> 616 B of constants"
    assert lines[1] == "  stem: 16 -> 8 channels, 18,432 -> 9,216 MACs, 480 -> 240 B of constants"
    assert len(lines) == 6


def test_channels_die_through_transposed_convolutions_enlargements_reshapes_and_means() -> None:
    b = Builder((1, 6, 6, 3))
    stem = zero(b, b.conv("input", 8, padding=SAME, name="stem"), [0, 5])
    up = full(b, b.transposed(stem, 10, name="up"), [1, 2])
    larger = b.resize(b.max_pool(up, TWO, TWO, name="small"), HW(1, 2), name="larger")
    row = b.reshape(larger, (1, 1, b.tensors[larger].nbytes // 10, 10), name="row")
    b.exit("early", b.reshape(b.slice(row, (1, 1, 3, 10), name="first"), (1, 30), name="flat"))
    b.exit("final", b.linear(b.mean(row, keep_dims=False, name="mean"), 6, per_channel=True, name="wide"), final=True)
    thin, _ = checked(b.graph("moves"))
    found = channels(thin, "stem", "up", "larger", "row", "first", "flat", "mean", "wide")
    assert found == (6, 8, 8, 8, 8, 24, 8, 6)


def test_a_hidden_layer_with_a_pair_per_output_keeps_the_pairs_of_what_stays() -> None:
    b = Builder((1, 12))
    hidden = full(b, b.linear("input", 8, per_channel=True, name="hidden"), [0, 3])
    b.exit("final", b.linear(hidden, 4, name="last"), final=True)
    thin, _ = checked(b.graph("pairs"))
    assert channels(thin, "hidden", "last") == (6, 4)
    pairs = [node.op.constants["multiplier"] for node in thin.nodes[:1]]
    assert [len(pair) for pair in pairs] == [6]


def test_a_reshape_that_mixes_channels_keeps_all_of_them() -> None:
    b = Builder((1, 4, 4, 3))
    stem = zero(b, b.conv("input", 8, padding=SAME, name="stem"), [0, 5])
    b.exit("final", b.conv(b.reshape(stem, (1, 4, 8, 4), name="mixed"), 2, name="last"), final=True)
    thin, _ = checked(b.graph("mixed"))
    assert channels(thin, "stem", "mixed") == (8, 4)


def test_the_reduced_network_in_c_gives_the_bytes_of_the_original(tmp_path: Path) -> None:
    b = Builder((1, 9, 7, 3))
    stem = zero(b, b.conv("input", 9, padding=SAME, act=RELU, name="stem"), [0, 3, 8])
    wide = b.depthwise(stem, multiplier=2, padding=SAME, name="wide")
    inner = full(b, b.conv(wide, 6, ONE, name="inner"), [1, 2])
    b.exit("early", b.max_pool(inner, TWO, TWO))
    deep = full(b, b.conv(inner, 5, TWO, name="deep"), [4])
    b.exit("final", b.add(deep, zero(b, b.conv(inner, 5, TWO), [4]), name="sum"), final=True)
    graph = b.graph("reduced")
    thin, _ = checked(graph)
    assert channels(thin, "stem", "wide", "inner", "deep", "sum") == (6, 12, 4, 4, 4)
    differential = Differential(thin, tmp_path)
    original = evaluate(graph, differential.inputs, full=True, record=True).tensors
    for node in thin.nodes:
        found = differential.compare("host", node.name)
        if any(node.output in leave.tensors for leave in thin.exits):
            np.testing.assert_array_equal(found, original[node.output].reshape(found.shape))


@dataclass(frozen=True, slots=True)
class Window:
    padding: Padding
    goes: bool
    make: Callable[[Builder, str, Sequence[int]], str] = full
    kernel: HW = THREE
    stride: HW = ONE


WINDOWS = {
    "no padding": Window(Padding(), goes=True),
    "padding adds nothing, the channel does": Window(SAME, goes=False),
    "padding at the bottom only": Window(Padding(bottom=1), goes=False),
    "padding at the right only": Window(Padding(right=1), goes=False),
    "the code is the zero point": Window(SAME, goes=True, make=zero),
    "no window reaches the padding": Window(Padding(bottom=1, right=1), goes=True, kernel=TWO, stride=TWO),
    "every window reaches it, each elsewhere": Window(SAME, goes=False, kernel=HW(7, 7)),
}


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_a_constant_channel_goes_only_where_every_window_sees_it_alike(window: Window) -> None:
    b = Builder((1, 6, 6, 2))
    first = window.make(b, b.conv("input", 4, ONE, name="first"), [1, 2])
    b.exit("final", b.conv(first, 3, window.kernel, stride=window.stride, padding=window.padding), final=True)
    graph = b.graph()
    thin, _ = checked(graph)
    assert channels(thin, "first") == (2 if window.goes else 4,)
    assert (thin is graph) != window.goes


@pytest.mark.parametrize("make", [full, zero])
def test_padding_of_the_map_keeps_a_channel_constant_only_with_its_own_code(
    make: Callable[[Builder, str, Sequence[int]], str],
) -> None:
    b = Builder((1, 4, 4, 2))
    first = make(b, b.conv("input", 4, ONE, name="first"), [1, 2])
    b.exit("final", b.conv(b.pad(first, SAME, name="pad"), 3), final=True)
    assert channels(checked(b.graph())[0], "first", "pad") == ((2, 2) if make is zero else (4, 4))


@pytest.mark.parametrize("pool", [Builder.max_pool, Builder.avg_pool])
def test_the_clamp_of_a_pool_makes_channels_constant(pool: Callable[..., str]) -> None:
    b = Builder((1, 4, 4, 2))
    first = b.conv("input", 4, ONE, act=(-128, 40), name="first")
    b.exit("final", pool(b, first, TWO, TWO, act=(40, 127), name="pool"), final=True)
    assert channels(checked(b.graph())[0], "first", "pool") == (2, 2)


def test_taps_that_lie_on_padding_at_every_position_hold_no_channel() -> None:
    b = Builder((1, 1, 1, 3))
    first = full(b, b.conv("input", 4, ONE, name="first"), [1, 2])
    b.exit("final", b.conv(first, 3, padding=SAME), final=True)
    assert channels(checked(b.graph())[0], "first") == (2,)


def test_taps_on_padding_hold_no_channel_that_they_multiply_by_zero() -> None:
    def all_but_the_centre(weights: Int8, _: Int32) -> None:
        centre = weights[:, 1, 1].copy()
        weights[..., 1:3] = 0
        weights[:, 1, 1] = centre

    b = Builder((1, 6, 6, 2))
    first = full(b, b.conv("input", 4, ONE, name="first"), [1, 2])
    b.exit("final", edit(b, b.conv(first, 3, padding=SAME), all_but_the_centre), final=True)
    assert channels(checked(b.graph())[0], "first") == (2,)


@pytest.mark.parametrize("padding", [Padding(), SAME], ids=["all can spare it", "the backbone cannot"])
def test_a_channel_goes_only_where_every_reader_of_a_tap_can_spare_it(padding: Padding) -> None:
    b = Builder((1, 4, 4, 2))
    tap = full(b, b.conv("input", 6, ONE, name="tap"), [0, 2])
    b.exit("early", b.avg_pool(tap, TWO, TWO, name="head"))
    b.exit("final", b.conv(tap, 3, padding=padding), final=True)
    thin, _ = checked(b.graph())
    assert channels(thin, "tap", "head") == ((4, 4) if padding.is_zero else (6, 6))


def test_an_addition_loses_a_channel_only_with_both_its_inputs() -> None:
    b = Builder((1, 4, 4, 2))
    one = full(b, b.conv("input", 4, ONE, name="one"), [0, 1, 3])
    two = zero(b, b.conv("input", 4, padding=SAME, name="two"), [1, 2, 3])
    b.exit("final", b.add(one, two, name="sum"), final=True)
    assert channels(checked(b.graph())[0], "one", "two", "sum") == (2, 2, 2)


def test_channels_that_only_feed_one_another_go() -> None:
    b = Builder((1, 6, 6, 3))
    stem = b.conv("input", 5, name="stem")
    block = unread(b, b.conv(stem, 5, ONE, name="block"), range(4), 4)  # channel 4 reaches channel 4 alone
    both = b.add(stem, block, name="sum")
    b.exit("final", unread(b, b.conv(both, 4, ONE), range(4), 4), final=True)
    assert channels(checked(b.graph())[0], "stem", "block", "sum") == (4, 4, 4)


def test_joins_slices_and_channel_padding_shift_with_what_is_removed() -> None:
    b = Builder((1, 6, 6, 2))
    one = full(b, b.conv("input", 6, ONE, name="one"), [0, 3])
    two = zero(b, b.conv("input", 4, ONE, name="two"), [1, 2])
    both = b.concat(one, two, one, name="both")
    # Channels of `part`: one 4 and 5, two 0 to 3, one 0 to 2; of them 3, 4 and 6 are constant.
    part = b.slice(both, (1, 5, 5, 9), start=ONE, channel_start=4, name="part")
    padded = b.max_pool(b.pad(part, Padding(), 1, 3, name="padded"), TWO, ONE, name="pool")
    other = full(b, b.conv("input", 13, name="other"), [0, 4, 5, 7, 11])
    b.exit("final", b.add(padded, other, name="sum"), final=True)
    thin, _ = checked(b.graph())
    assert channels(thin, "one", "two", "both") == (4, 2, 10)
    assert channels(thin, "part", "padded", "pool", "other", "sum") == (6, 8, 8, 8, 8)


def test_a_product_loses_a_channel_only_with_both_its_inputs() -> None:
    b = Builder((1, 4, 4, 2))
    one = full(b, b.conv("input", 4, ONE, name="one"), [0, 1, 3])
    pooled = b.avg_pool(zero(b, b.conv("input", 4, ONE, name="two"), [1, 2, 3]), HW(4, 4), HW(4, 4), name="gate")
    b.exit("final", b.mul(one, pooled, name="product"), final=True)
    assert channels(checked(b.graph())[0], "one", "gate", "product") == (2, 2, 2)


def test_a_gate_of_zero_makes_a_channel_dead_in_what_it_gates() -> None:
    b = Builder((1, 4, 4, 2))
    one = b.conv("input", 4, ONE, name="one")
    gate = zero(b, b.conv(b.avg_pool("input", HW(4, 4), HW(4, 4)), 4, ONE, name="gate"), [0, 2])
    b.exit("final", b.mul(one, gate, name="product"), final=True)
    assert channels(checked(b.graph())[0], "one", "gate", "product") == (2, 2, 2)


def test_tables_slopes_and_constant_factors_shift_with_what_is_removed() -> None:
    b = Builder((1, 5, 5, 2))
    table = b.lookup(full(b, b.conv("input", 6, ONE, name="one"), [1, 4]), name="table")
    sloped = b.prelu(table, name="sloped")
    factor = b.integers(-128, 128, 6, np.int8)
    scaled = b.node(QMul(3, -7, 4, Requant.from_real([0.02]), -128, 127, factor), sloped, name="scaled")
    single = b.node(QMul(3, -7, 4, Requant.from_real([0.02]), -128, 127, factor[:1]), scaled, name="single")
    b.exit("final", single, final=True)
    thin, _ = checked(b.graph())
    assert channels(thin, "one", "table", "sloped", "scaled", "single") == (4, 4, 4, 4, 4)
    assert [node.op.constants["factor"].size for node in thin.nodes if isinstance(node.op, QMul)] == [4, 1]


@pytest.mark.parametrize("lost", [[2, 3, 4, 5], [2, 5]], ids=["whole groups", "half of each"])
def test_a_depthwise_group_goes_as_a_whole_or_stays(lost: list[int]) -> None:
    b = Builder((1, 5, 5, 2))
    first = full(b, b.conv("input", 4, ONE, name="first"), [1, 2])
    wide = zero(b, b.depthwise(first, multiplier=2, padding=SAME, name="wide"), lost)
    b.exit("final", b.conv(wide, 3, padding=SAME), final=True)
    thin, _ = checked(b.graph())
    assert channels(thin, "first", "wide") == ((2, 4) if len(lost) == 4 else (4, 8))


def test_a_constant_channel_that_must_stay_needs_no_input() -> None:
    b = Builder((1, 4, 4, 2))
    first = b.conv("input", 3, ONE, name="first")
    second = full(b, unread(b, b.conv(first, 4, ONE, name="second"), [0, 2, 3], 2), [1])
    b.exit("final", b.conv(second, 3, padding=SAME), final=True)  # holds the 127 of channel 1
    assert channels(checked(b.graph())[0], "first", "second") == (2, 4)


def test_a_layer_that_is_dead_altogether_keeps_two_channels() -> None:
    b = Builder((1, 4, 4, 2))
    first = full(b, b.conv("input", 4, ONE, name="first"), range(4))
    b.exit("final", b.linear(first, 6, name="hidden"), final=True)
    assert channels(checked(b.graph())[0], "first", "hidden", "final.logits") == (2, 2, 4)


@pytest.mark.parametrize(("lost", "left"), [(1, 4), (2, 2), (3, 2)])
def test_a_dead_channel_stays_where_an_odd_number_would_be_left(lost: int, left: int) -> None:
    b = Builder((1, 4, 4, 2))
    first = full(b, b.conv("input", 4, ONE, name="first"), range(lost))
    b.exit("final", b.conv(first, 3), final=True)
    assert channels(checked(b.graph())[0], "first") == (left,)


@pytest.mark.parametrize("preprocess", [False, True])
def test_a_network_without_dead_channels_is_returned_as_it_is(preprocess: bool) -> None:  # noqa: FBT001
    graph = small_network(preprocess=preprocess)
    same, removed = remove_dead_channels(graph)
    assert same is graph
    assert removed.describe() == ("dead channels: none",)


def test_an_accumulator_that_could_overflow_is_an_error_that_names_the_layer() -> None:
    def how(_: Int8, bias: Int32) -> None:
        bias[2] = 2**31 - 1

    b = Builder((1, 4, 4, 2))
    b.exit("final", edit(b, b.conv("input", 4, ONE, name="first"), how), final=True)
    with pytest.raises(QuantizationError, match="first: the accumulator of output channel 2 can reach"):
        remove_dead_channels(b.graph())


class QCopy(QOp):
    """An op that the pass does not know."""

    template: ClassVar[str] = "copy"

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        return Counts()

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        return Work("copy", {}, Traffic({}, (Reads(output.nbytes),), 0, 0, output.nbytes))


def test_an_op_that_the_pass_does_not_know_keeps_its_channels() -> None:
    b = Builder((1, 4, 4, 2))
    first = full(b, b.conv("input", 4, ONE, name="first"), [1, 2])
    second = zero(b, b.conv(b.node(QCopy(), first), 6, ONE, name="second"), [0, 3])
    b.exit("final", second, final=True)
    assert channels(remove_dead_channels(b.graph())[0], "first", "second") == (4, 4)


@given(partly_dead())
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_any_network_gives_the_same_bytes_without_its_dead_channels(graph: QuantGraph) -> None:
    checked(graph, count=12)
