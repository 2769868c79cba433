from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from passes.networks import Net, residual_network

from ptee_mcu.calibrate import Range, calibrate
from ptee_mcu.errors import ConfigError, ModelError, QuantizationError
from ptee_mcu.exits.heads import attach, find_head
from ptee_mcu.ops import Concat, Conv2d, Flatten, MaxPool2d, QConv2d
from ptee_mcu.ops.weights import INT32_MAX, check_accumulator, quantize_weights
from ptee_mcu.passes.fold import fold
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.quant_graph import NEVER, QuantGraph
from ptee_mcu.quantize import quantize
from ptee_mcu.requant import Requant
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import HW, Padding, Quant

QUANT = Quant(0.05, -3)


def quantized(seed: int = 0, **options: bool) -> QuantGraph:
    net, graph = residual_network(seed)
    folded = fold(graph)
    return quantize(folded, calibrate(folded, net.inputs(50), observer="minmax"), **options)


def test_real_zero_has_an_exact_code_in_every_tensor() -> None:
    for tensor in quantized().tensors.values():
        assert tensor.quant.reals(np.array([tensor.quant.code(0.0)]))[0] == 0.0


def test_weights_are_symmetric_and_never_minus_128() -> None:
    for node in quantized().nodes:
        if "weights" in node.op.constants:
            assert node.op.constants["weights"].min() >= -127
            assert np.abs(node.op.constants["weights"]).max() == 127


def test_a_relu_clamps_at_the_zero_point() -> None:
    graph = quantized()
    conv = graph.nodes[0]
    assert isinstance(conv.op, QConv2d)
    assert conv.op.act_min == graph.tensors[conv.output].quant.zero_point


def test_tensors_that_share_bytes_share_a_code() -> None:
    net = Net((1, 6, 6, 4))
    joined = net.add(Concat(), net.conv("x", 4, 4), "x")
    pooled = net.add(MaxPool2d(HW(2, 2), HW(2, 2)), joined)
    folded = fold(net.graph(net.linear(net.add(Flatten(), pooled), 3, 72)))
    graph = quantize(folded, calibrate(folded, net.inputs(20), observer="minmax"))
    assert len({graph.tensors[t].quant for t in ("x", joined, pooled, net.nodes[0].output)}) == 1


def test_heads_leave_every_code_of_the_backbone_as_it_is() -> None:
    net, graph = residual_network()
    with_exit = attach(graph, graph.taps, find_head("pooled"))
    plain, branched = fold(graph), fold(with_exit)
    x = net.inputs(50)
    a, b = (quantize(g, calibrate(g, x, observer="mse")) for g in (plain, branched))
    assert {name: b.tensors[name] for name in a.tensors} == dict(a.tensors)
    never = evaluate(b, b.input_tensor.quant.codes(x))
    assert (never.exit == 1).all()
    assert np.array_equal(never.logits, evaluate(a, a.input_tensor.quant.codes(x)).logits)


def test_a_pool_never_widens_the_code_of_what_it_reads() -> None:
    net, graph = residual_network()
    folded = fold(attach(graph, graph.taps, find_head("pool")))
    ranges = calibrate(folded, net.inputs(50), observer="minmax")
    wide = replace(ranges, of={**ranges.of, "exit0.gap": Range(0.0, 1000.0)})
    tap = graph.taps[0].tensor
    assert quantize(folded, wide).tensors[tap] == quantize(folded, ranges).tensors[tap]


def test_thresholds_start_at_never() -> None:
    assert all(t == NEVER for t in quantized().point.thresholds)


def test_bias_correction_moves_biases_only() -> None:
    plain, corrected = quantized(), quantized(bias_correction=True)
    changed = [
        role
        for a, b in zip(plain.nodes, corrected.nodes, strict=True)
        for role in a.op.constants
        if not np.array_equal(a.op.constants[role], b.op.constants[role])
    ]
    assert changed
    assert set(changed) == {"bias"}


@given(st.integers(0, 2**32 - 1), st.integers(-128, 127))
def test_no_input_can_overflow_a_proven_accumulator(seed: int, zero_point: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(3, 50)).astype(np.float32)
    bias = rng.normal(size=3).astype(np.float32) * 1e6
    q = quantize_weights("fc", weights, bias, Quant(0.01, zero_point), QUANT, channel_axis=0)
    for extreme in (-128, 127):
        codes = np.where(q.weights > 0, extreme, -1 - extreme).astype(np.int64)
        sums = (q.weights.astype(np.int64) * (codes - zero_point)).sum(axis=1) + q.bias
        assert np.abs(sums).max() <= INT32_MAX


def test_an_accumulator_that_could_overflow_is_refused_by_layer_and_channel() -> None:
    rows = np.full((2, 100_000), 127.0)
    with pytest.raises(QuantizationError, match=r"conv7: the accumulator of output channel 0 can reach \d+"):
        check_accumulator("conv7", rows, np.zeros(2), -128, Requant.from_real([0.5, 0.5]))


def test_a_sum_leaves_room_for_the_output_offset() -> None:
    rows, room = np.zeros((1, 4)), float(INT32_MAX - 128)
    check_accumulator("fc", rows, np.array([room]), 0, Requant.from_real(0.9))
    with pytest.raises(QuantizationError, match="output channel 0 can reach 2147483648, above int32's 2147483647"):
        check_accumulator("fc", rows, np.array([room + 1]), 0, Requant.from_real(0.9))


def test_a_left_shift_that_could_overflow_is_refused() -> None:
    rows, bias = np.full((1, 1000), 127.0), np.zeros(1)
    check_accumulator("fc", rows, bias, 0, Requant.from_real(1.5))
    with pytest.raises(QuantizationError, match=r"fc: the accumulator of output channel 0 can reach"):
        check_accumulator("fc", rows, bias, 0, Requant.from_real(2.0**9))


def test_a_bias_far_above_its_weights_still_fits_int32() -> None:
    weights = np.full((1, 4), 1e-9, dtype=np.float32)
    bias = np.array([5.0], dtype=np.float32)
    q = quantize_weights("fc", weights, bias, QUANT, QUANT, channel_axis=0)
    assert q.bias[0] * q.requant.real()[0] * QUANT.scale == pytest.approx(5.0, rel=1e-3)


def test_a_channel_without_weights_answers_its_bias() -> None:
    weights = np.zeros((1, 4), dtype=np.float32)
    q = quantize_weights("fc", weights, np.array([1.5], dtype=np.float32), QUANT, QUANT, channel_axis=0)
    assert q.bias[0] * q.requant.real()[0] * QUANT.scale == pytest.approx(1.5, abs=QUANT.scale / 2)


def test_infinite_weights_are_refused_by_layer() -> None:
    with pytest.raises(QuantizationError, match=r"fc: a weight or bias is NaN or infinite"):
        quantize_weights("fc", np.array([[np.inf]]), None, QUANT, QUANT, channel_axis=0)


def test_grouped_convolutions_must_be_split_before_quantization() -> None:
    params = {"weight": np.zeros((4, 3, 3, 2), dtype=np.float32)}
    with pytest.raises(QuantizationError, match=r"g: 2 groups of 2 channels have no kernel"):
        Conv2d(groups=2).quantize("g", [QUANT], QUANT, params)


def test_ops_that_must_be_folded_refuse_quantization() -> None:
    with pytest.raises(QuantizationError, match=r"f: Flatten must be folded"):
        Flatten().quantize("f", [QUANT], QUANT, {})


def test_the_pixel_table_is_normalisation_then_quantization() -> None:
    norm = Normalisation((0.5, 0.4), (0.2, 0.3))
    pixels = np.stack([np.arange(256, dtype=np.uint8)] * 2, axis=1)
    source = Quant(0.02, 5)
    assert np.array_equal(norm.table(source), source.codes((pixels / 255.0 - norm.mean) / norm.std))
    np.testing.assert_allclose(norm.apply(pixels), (pixels / 255.0 - norm.mean) / norm.std, rtol=1e-6)


def test_normalisation_needs_as_many_means_as_stds() -> None:
    with pytest.raises(ConfigError, match=r"mean has 2 channels, std has 1"):
        Normalisation((0.5, 0.5), (0.2,))


def test_normalisation_needs_positive_stds() -> None:
    with pytest.raises(ConfigError, match=r"not positive"):
        Normalisation((0.5,), (0.0,))


def test_a_pool_whose_window_may_see_padding_only_is_refused() -> None:
    with pytest.raises(ModelError, match=r"MaxPool2d: padding 2, 0, 0, 0 .* lets the 2x2 window see padding only"):
        MaxPool2d(HW(2, 2), HW(2, 2), Padding(top=2)).output_shape([(1, 4, 4, 1)], {})
