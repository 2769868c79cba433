"""The kernels against CMSIS-NN 4.0.0 itself, byte for byte, over generated layers."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.layers import (
    Layer,
    adds,
    convolutions,
    depthwise_convolutions,
    fully_connected_layers,
    layer,
    pools,
    random_requant,
)
from support.reference import Reference

from ptee_mcu.ops import QAdd, QAvgPool2d, QConcat, QConv2d, QFullyConnected, QMaxPool2d, QPad, QSlice
from ptee_mcu.requant import Requant
from ptee_mcu.sim.kernels import KERNELS
from ptee_mcu.sim.kernels.add import sums
from ptee_mcu.sim.matmul import EXACT_TERMS
from ptee_mcu.tensor import HW, Int8, Padding, readonly

# The library is compiled once and has no state.
many = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def simulated(case: Layer) -> Int8:
    return KERNELS[type(case.op)](case.op, case.inputs, case.output)


def check(reference: Reference, case: Layer) -> None:
    found, expected = simulated(case), reference.run(case.op, case.inputs, case.output)
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, expected)


@many
@given(convolutions())
def test_conv2d_equals_cmsis_nn(reference: Reference, case: Layer) -> None:
    check(reference, case)


@many
@given(depthwise_convolutions())
def test_depthwise_conv2d_equals_cmsis_nn(reference: Reference, case: Layer) -> None:
    check(reference, case)


@many
@given(fully_connected_layers())
def test_fully_connected_equals_cmsis_nn(reference: Reference, case: Layer) -> None:
    check(reference, case)


@many
@given(pools(QMaxPool2d))
def test_max_pool2d_equals_cmsis_nn(reference: Reference, case: Layer) -> None:
    check(reference, case)


@many
@given(pools(QAvgPool2d))
def test_avg_pool2d_equals_cmsis_nn(reference: Reference, case: Layer) -> None:
    check(reference, case)


@many
@given(adds())
def test_add_equals_the_run_time_library(reference: Reference, case: Layer) -> None:
    check(reference, case)


@pytest.mark.parametrize("features", [EXACT_TERMS, EXACT_TERMS + 1, 20_000])
@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("code", [-128, 127])
def test_the_largest_sums_are_exact(reference: Reference, features: int, weight: int, code: int) -> None:
    random = np.random.default_rng(features)
    weights = np.full((3, features), weight, np.int8)
    weights[1, ::7] -= np.int8(np.sign(weight))  # odd sums need every bit
    op = QFullyConnected(
        weights=readonly(weights, np.int8),
        bias=readonly([1, -1, 0], np.int32),
        requant=Requant.from_real([100 / (features * 128 * 128 * 2)]),
        input_offset=128 if code > 0 else -127,
        output_offset=0,
        act_min=-128,
        act_max=127,
    )
    x = np.full((2, features), code, np.int8)
    x[1] = random.integers(-128, 128, features)
    check(reference, layer(op, x))


def test_add_equals_a_scalar_statement_for_every_pair_of_codes() -> None:
    requant = Requant.from_real([0.5, 0.31, 2 * 0.05 / ((1 << 20) * 0.06)])
    op = QAdd(3, -11, 5, requant, -120, 101)

    def requantize(value: int, pair: int) -> int:
        multiplier, shift = int(requant.multiplier[pair]), int(requant.shift[pair])
        high = (value * multiplier + 2**30) // 2**31
        divisor = 2**-shift
        return (abs(high) + divisor // 2) // divisor * (1 if high >= 0 else -1)

    table = sums(op)
    for a in range(-128, 128):
        for b in range(-128, 128):
            terms = requantize((a + 3) * 2**20, 0) + requantize((b - 11) * 2**20, 1)
            expected = min(max(requantize(terms, 2) + 5, -120), 101)
            assert table[a % 256, b % 256] == expected, (a, b)


@given(st.integers(1, 4), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_concat_puts_channels_side_by_side(batch: int, channels: list[int]) -> None:
    random = np.random.default_rng(batch)
    inputs = [random.integers(-128, 128, (batch, 2, 3, c), dtype=np.int8) for c in channels]
    joined = simulated(layer(QConcat(), *inputs))
    first = 0
    for x in inputs:
        np.testing.assert_array_equal(joined[..., first : first + x.shape[3]], x)
        first += x.shape[3]
    assert joined.shape[3] == first


@given(st.builds(Padding, *[st.integers(0, 3)] * 4), st.integers(0, 3), st.integers(0, 3), st.integers(-128, 127))
def test_pad_surrounds_with_the_value(padding: Padding, before: int, after: int, value: int) -> None:
    x = np.random.default_rng(0).integers(-128, 128, (2, 3, 4, 5), dtype=np.int8)
    widths = ((0, 0), (padding.top, padding.bottom), (padding.left, padding.right), (before, after))
    padded = simulated(layer(QPad(padding, before, after, value), x))
    np.testing.assert_array_equal(padded, np.pad(x, widths, constant_values=value))


@given(st.builds(HW, st.integers(0, 3), st.integers(0, 3)), st.builds(HW, st.integers(1, 3), st.integers(1, 3)))
def test_slice_takes_every_nth_pixel(start: HW, step: HW) -> None:
    x = np.random.default_rng(0).integers(-128, 128, (2, 9, 8, 6), dtype=np.int8)
    expected = x[:, start.h : 8 : step.h, start.w : 7 : step.w, 1:5]
    cut = simulated(layer(QSlice(start, step, 1, (1, *expected.shape[1:])), x))
    np.testing.assert_array_equal(cut, expected)
    assert cut.flags.c_contiguous


@given(convolutions() | depthwise_convolutions() | fully_connected_layers() | pools(QMaxPool2d) | pools(QAvgPool2d))
def test_a_batch_is_its_inputs_one_by_one(case: Layer) -> None:
    (x,) = case.inputs
    single = [simulated(Layer(case.op, (x[i : i + 1],), case.output)) for i in range(len(x))]
    np.testing.assert_array_equal(simulated(case), np.concatenate(single))


@given(convolutions() | depthwise_convolutions() | fully_connected_layers() | pools(QMaxPool2d) | adds())
def test_an_empty_batch_stays_empty(case: Layer) -> None:
    empty = Layer(case.op, tuple(x[:0] for x in case.inputs), case.output)
    assert simulated(empty).shape == (0, *case.output.shape[1:])


def test_images_larger_and_smaller_than_a_block_of_memory_are_computed_whole(reference: Reference) -> None:
    random = np.random.default_rng(0)
    op = QConv2d(
        weights=readonly(random.integers(-128, 128, (5, 3, 3, 16)), np.int8),
        bias=readonly(random.integers(-9000, 9000, 5), np.int32),
        requant=random_requant(random, 5, 144),
        input_offset=7,
        output_offset=-3,
        stride=HW(1, 1),
        padding=Padding.same(1, 1),
        dilation=HW(1, 1),
        act_min=-128,
        act_max=127,
    )
    for images, size in ((3, 40), (50, 8)):
        check(reference, layer(op, random.integers(-128, 128, (images, size, size, 16), dtype=np.int8)))
