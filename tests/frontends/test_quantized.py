from collections.abc import Callable

import numpy as np
import pytest

from ptee_mcu.errors import PteeError
from ptee_mcu.frontends.quantized import QuantBuilder
from ptee_mcu.frontends.quantized_weights import Clamp8, Product, Steps, Weights, pairs, per_channel, sum_pairs
from ptee_mcu.ops import QConv2d, QDepthwiseConv2d, QFullyConnected
from ptee_mcu.quant_graph import QuantGraph, verify_quant_graph
from ptee_mcu.requant import Requant
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import HW, Float, Int8, Padding, Quant

GIVEN, MADE = Quant(0.05, -3), Quant(0.07, 4)
ONE = np.array([0.01], dtype=np.float32)


def _builder(*shape: int) -> QuantBuilder:
    return QuantBuilder.start("net", "input", (1, *(shape or (6, 5, 4))), GIVEN)


def _weights(*shape: int, scales: Float = ONE, biases: int | None = None) -> Weights:
    codes = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    return Weights(codes, scales, None if biases is None else np.arange(biases, dtype=np.int32))


def _codes(graph: QuantGraph, count: int = 3) -> Int8:
    x = np.random.default_rng(1).integers(-128, 128, (count, *graph.input_tensor.shape[1:])).astype(np.int8)
    return evaluate(graph, x).logits


def test_a_convolution_rescales_by_the_product_of_scales_in_double() -> None:
    builder, scales = _builder(), np.array([0.011, 0.013], dtype=np.float32)
    builder.conv2d("conv", "input", MADE, _weights(2, 3, 3, 4, scales=scales, biases=2))
    (node,) = builder.finish("conv").nodes
    assert isinstance(node.op, QConv2d)
    expected = Requant.from_real(0.05 * scales.astype(np.float64) / 0.07)
    np.testing.assert_array_equal(node.op.requant.multiplier, expected.multiplier)
    np.testing.assert_array_equal(node.op.requant.shift, expected.shift)
    assert (node.op.input_offset, node.op.output_offset, node.op.act_min, node.op.act_max) == (3, 4, -128, 127)
    np.testing.assert_array_equal(node.op.bias, [0, 1])


def test_one_scale_serves_all_channels_of_a_convolution() -> None:
    builder = _builder()
    builder.conv2d("conv", "input", MADE, _weights(2, 1, 1, 4))
    assert builder.finish("conv").nodes[0].op.constants["multiplier"].shape == (2,)


def test_a_fully_connected_layer_multiplies_two_scales_in_float() -> None:
    source = Quant(float(np.float32(0.1)), 0)
    product = Product.of("dense", source, MADE, _weights(3, 4, scales=np.array([0.3], np.float32)), axis=None)
    expected = Requant.from_real(float(np.float32(0.1) * np.float32(0.3)) / 0.07)
    assert product.requant.multiplier.tolist() == expected.multiplier.tolist()
    assert product.requant.multiplier.tolist() != Requant.from_real(source.scale * 0.3 / 0.07).multiplier.tolist()


def test_a_fully_connected_layer_of_several_rows_is_a_pointwise_convolution() -> None:
    rows, flat = _builder(1, 2, 4), _builder(1, 1, 4)
    weights = _weights(3, 4, biases=3)
    for builder in (rows, flat):
        builder.fully_connected("dense", "input", MADE, weights)
    many, one = rows.finish("dense"), flat.finish("dense")
    assert isinstance(many.nodes[0].op, QConv2d)
    assert isinstance(one.nodes[0].op, QFullyConnected)
    x = np.random.default_rng(2).integers(-128, 128, (3, 1, 2, 4)).astype(np.int8)
    each = [evaluate(one, x[:, :, i : i + 1]).logits for i in range(2)]
    np.testing.assert_array_equal(evaluate(many, x).logits, np.concatenate(each, axis=1))


def test_a_grouped_convolution_is_that_of_its_groups() -> None:
    builder, dense = _builder(), _builder()
    weights = _weights(6, 3, 3, 2, scales=np.linspace(0.01, 0.02, 6, dtype=np.float32), biases=6)
    builder.conv2d("conv", "input", MADE, weights, Steps(padding=Padding.same(1, 1)))
    spread = np.zeros((6, 3, 3, 4), dtype=np.int8)
    spread[:3, :, :, :2], spread[3:, :, :, 2:] = weights.codes[:3], weights.codes[3:]
    dense.conv2d(
        "conv", "input", MADE, Weights(spread, weights.scales, weights.bias), Steps(padding=Padding.same(1, 1))
    )
    grouped = builder.finish("conv")
    assert [node.name for node in grouped.nodes] == [
        "conv_slice0", "conv_group0", "conv_slice1", "conv_group1", "conv"
    ]  # fmt: skip
    np.testing.assert_array_equal(_codes(grouped), _codes(dense.finish("conv")))


def test_a_group_per_channel_is_a_depthwise_convolution() -> None:
    builder, other = _builder(), _builder()
    weights = _weights(8, 3, 3, 1)
    builder.conv2d("conv", "input", MADE, weights)
    other.depthwise_conv2d("conv", "input", MADE, Weights(weights.codes.transpose(3, 1, 2, 0), ONE, None))
    (node,) = builder.finish("conv").nodes
    assert isinstance(node.op, QDepthwiseConv2d)
    np.testing.assert_array_equal(_codes(builder.finish("conv")), _codes(other.finish("conv")))


def test_what_the_answer_does_not_need_is_left_out() -> None:
    builder = _builder()
    builder.pad("pad", "input", Padding.same(1, 1), (0, 0), 0)
    builder.max_pool2d("pool", "input", HW(2, 2), Steps(HW(2, 2)))
    graph = builder.finish("pool", softmax=True)
    verify_quant_graph(graph)
    assert [node.name for node in graph.nodes] == ["pool"]
    assert set(graph.tensors) == {"input", "pool"}
    assert graph.softmax
    assert (graph.exits[-1].name, graph.point.name, graph.point.thresholds) == ("final", "never", ())


def test_every_kind_of_layer_fits_the_next() -> None:
    builder = _builder()
    left = builder.conv2d("left", "input", MADE, _weights(4, 1, 1, 4), clamp=Clamp8(4, 100))
    right = builder.depthwise_conv2d("right", "input", MADE, _weights(1, 3, 3, 4), Steps(padding=Padding.same(1, 1)))
    total = builder.add("sum", left, right, MADE)
    pooled = builder.avg_pool2d("pool", total, HW(2, 2), Steps(HW(2, 2)))
    cut = builder.slice("cut", pooled, HW(0, 0), HW(2, 1), 1, (1, 2, 2, 3))
    joined = builder.concat("join", [cut, cut], MADE)
    flat = builder.reshape("flat", joined, (1, 24))
    builder.fully_connected("dense", flat, GIVEN, _weights(5, 24))
    graph = builder.finish("dense")
    assert graph.tensors["dense"].shape == (1, 5)
    assert _codes(graph).shape == (3, 5)
    assert builder.producer("input") is None
    producer = builder.producer("sum")
    assert producer is not None
    assert producer.inputs == ("left", "right")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (None, None, (-128, 127)),
        (0.0, None, (4, 127)),
        (0.0, 6.0, (4, 90)),
        (-1.0, 1.0, (-10, 18)),
        (0.0, 60.0, (4, 127)),
    ],
)
def test_clamps_are_the_codes_of_their_bounds(low: float | None, high: float | None, expected: tuple[int, int]) -> None:
    found = Clamp8.of(MADE, low, high)
    assert (found.low, found.high) == expected


def test_a_bound_of_more_steps_than_a_float_holds_saturates() -> None:
    assert Clamp8.of(Quant(1e-45, 0), 0.0, 6.0) == Clamp8(0, 127)


def test_pairs_spread_over_channels_or_stay() -> None:
    one, two = Requant.from_real([0.3]), Requant.from_real([0.3, 0.4])
    assert per_channel(one, 2).multiplier.tolist() == [one.multiplier[0]] * 2
    assert per_channel(two, 2).multiplier.tolist() == two.multiplier.tolist()


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "layer too many": (
        lambda: [b := _builder(), *[b.max_pool2d(f"pool{i}", "input", HW(1, 1), Steps()) for i in range(20_001)]],
        "pool20000: is one layer more than the 20,000 that are built",
    ),
    "no layer": (lambda: _builder().finish("input"), "net: no layer leads from the input to the output"),
    "two of a name": (
        lambda: [b := _builder(), *[b.max_pool2d("pool", "input", HW(1, 1), Steps()) for _ in range(2)]],
        "pool: two layers have this name",
    ),
    "channels": (
        lambda: _builder().conv2d("conv", "input", MADE, _weights(2, 3, 3, 3)),
        r"conv: weights of shape \(2, 3, 3, 3\) on 4 channels",
    ),
    "more channels": (
        lambda: _builder().conv2d("conv", "input", MADE, _weights(2, 3, 3, 8)),
        r"conv: weights of shape \(2, 3, 3, 8\) on 4 channels",
    ),
    "depthwise": (
        lambda: _builder().depthwise_conv2d("conv", "input", MADE, _weights(1, 3, 3, 6)),
        r"conv: depthwise weights of shape \(1, 3, 3, 6\) on 4 channels",
    ),
    "groups": (
        lambda: _builder(1, 1, 1024).conv2d("conv", "input", MADE, _weights(512, 1, 1, 2)),
        "conv: has 512 groups; at most 256 are split",
    ),
    "features": (
        lambda: _builder().fully_connected("dense", "input", MADE, _weights(2, 9)),
        r"dense: weights of shape \(2, 9\) on \(1, 6, 5, 4\)",
    ),
    "scales": (
        lambda: _builder().conv2d("conv", "input", MADE, _weights(4, 1, 1, 4, scales=np.ones(3, np.float32))),
        "conv: 4 output channels, 3 scales and 4 biases",
    ),
    "biases": (
        lambda: _builder().conv2d("conv", "input", MADE, _weights(4, 1, 1, 4, biases=3)),
        "conv: 4 output channels, 1 scales and 3 biases",
    ),
    "factor": (lambda: pairs("conv", [2.0**40]), r"conv: rescale factor .* is at least 2\*\*30"),
    "infinite factor": (
        lambda: _builder().fully_connected("dense", "input", Quant(1e-30, 0), _weights(1, 120, scales=ONE * 1e30)),
        r"dense: rescale factor",
    ),
    "accumulator": (
        lambda: _builder(1, 1, 70_000).fully_connected(
            "dense", "input", MADE, Weights(np.full((1, 70_000), -128, np.int8), ONE, np.array([10**9], np.int32))
        ),
        "dense: the accumulator of output channel 0 can reach",
    ),
    "sum": (
        lambda: sum_pairs("add", GIVEN, GIVEN, Quant(1e-8, 0)),
        r"add: output scale 1e-08 is below 2\*\*-19 of the larger input scale 0.05",
    ),
    "codes of a join": (
        lambda: [
            b := _builder(),
            b.conv2d("c", "input", MADE, _weights(4, 1, 1, 4)),
            b.concat("j", ["input", "c"], MADE),
        ],
        "j: input has another code than its output",
    ),
    "shape": (
        lambda: QuantBuilder.start("net", "input", (1, 4), GIVEN).conv2d("conv", "input", MADE, _weights(1, 1, 1, 4)),
        r"conv: needs an input of shape \(1, H, W, C\), got \(1, 4\)",
    ),
    "cut": (
        lambda: _builder().slice("cut", "input", HW(0, 0), HW(3, 1), 0, (1, 3, 5, 4)),
        r"cut: cuts \(1, 3, 5, 4\) from .* out of \(6, 5, 4\)",
    ),
    "window": (lambda: _builder().max_pool2d("pool", "input", HW(9, 9), Steps()), "pool: QMaxPool2d: kernel 9x9"),
    "size": (
        lambda: _builder().pad("pad", "input", Padding.same(5000, 5000), (0, 0), 0),
        r"pad: makes \(1, 10006, 10005, 4\), more than 16,777,216 elements",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_refused_by_name(case: tuple[Callable[[], object], str]) -> None:
    make, message = case
    with pytest.raises(PteeError, match=message):
        make()
