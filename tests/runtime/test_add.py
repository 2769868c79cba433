"""The residual add against its documented arithmetic, for every pair of codes."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runtime.descriptors import Add
from runtime.native import Int8, Runtime

from ptee_mcu.requant import Requant

LEFT_SHIFT = 20
Int64 = npt.NDArray[np.int64]

CODES = np.arange(-128, 128, dtype=np.int8)
A: Int8 = np.repeat(CODES, 256)
B: Int8 = np.tile(CODES, 256)


def requantize(value: Int64, multiplier: int, shift: int) -> Int64:
    """value * multiplier * 2**(shift - 31), rounded half up at 2**-31, then half away from zero; shift <= 0.

    Source: arm_nn_requantize, CMSIS-NN 4.0.0, with double rounding.
    """
    high = (value * multiplier + (1 << 30)) >> 31
    rounded: Int64 = np.sign(high) * ((2 * np.abs(high) + (1 << -shift)) >> (1 - shift))
    return rounded


def documented(op: Add, a: Int8, b: Int8) -> Int8:
    """The sum as arm_elementwise_add_s8 of CMSIS-NN 4.0.0 states it."""
    term_a = requantize((a.astype(np.int64) + op.offset_a) << LEFT_SHIFT, op.multiplier_a, op.shift_a)
    term_b = requantize((b.astype(np.int64) + op.offset_b) << LEFT_SHIFT, op.multiplier_b, op.shift_b)
    total = requantize(term_a + term_b, op.output_multiplier, op.output_shift) + op.output_offset
    codes: Int8 = np.clip(total, op.act_min, op.act_max).astype(np.int8)
    return codes


def one_of(rng: np.random.Generator, *values: int) -> int:
    return values[int(rng.integers(len(values)))]


def random_add(rng: np.random.Generator) -> Add:
    """Any legal descriptor: multipliers, shifts and zero points at and between their limits."""
    low, high = 1 << 30, (1 << 31) - 1
    multipliers = [one_of(rng, 0, low, low + 1, high, int(rng.integers(low, high))) for _ in range(3)]
    shifts = [-one_of(rng, 0, 1, 30, 31, int(rng.integers(32)), int(rng.integers(9))) for _ in range(2)]
    usual = int(rng.integers(15, 22))
    output_shift = -one_of(rng, 0, 30, 31, int(rng.integers(32)), usual, usual)
    offsets = [one_of(rng, -127, 0, 128, int(rng.integers(-127, 129))) for _ in range(2)]
    act_min, act_max = sorted(one_of(rng, -128, 127, int(rng.integers(-128, 128))) for _ in range(2))
    return Add(
        count=A.size,
        multiplier_a=multipliers[0],
        multiplier_b=multipliers[1],
        output_multiplier=multipliers[2],
        offset_a=offsets[0],
        offset_b=offsets[1],
        shift_a=shifts[0],
        shift_b=shifts[1],
        output_shift=output_shift,
        output_offset=int(rng.integers(-128, 128)),
        act_min=act_min,
        act_max=act_max,
    )


def add_of_scales(scale_a: float, scale_b: float, scale_output: float, zero_points: tuple[int, int, int]) -> Add:
    """The descriptor that TFLite's rule gives for three scales."""
    widest = 2 * max(scale_a, scale_b)
    factors = Requant.from_real([scale_a / widest, scale_b / widest, widest / ((1 << LEFT_SHIFT) * scale_output)])
    return Add(
        count=A.size,
        multiplier_a=int(factors.multiplier[0]),
        multiplier_b=int(factors.multiplier[1]),
        output_multiplier=int(factors.multiplier[2]),
        offset_a=-zero_points[0],
        offset_b=-zero_points[1],
        shift_a=int(factors.shift[0]),
        shift_b=int(factors.shift[1]),
        output_shift=int(factors.shift[2]),
        output_offset=zero_points[2],
        act_min=-128,
        act_max=127,
    )


@pytest.mark.parametrize("seed", range(20))
def test_add_equals_the_documented_arithmetic_for_all_pairs_of_codes(runtime: Runtime, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(20):
        op = random_add(rng)
        np.testing.assert_array_equal(runtime.add(op, A, B), documented(op, A, B))


scales = st.floats(1e-4, 10.0)
zero_points = st.integers(-128, 127)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scales, scales, scales, st.tuples(zero_points, zero_points, zero_points))
def test_add_is_within_one_code_of_the_real_sum(
    runtime: Runtime, scale_a: float, scale_b: float, scale_output: float, zeros: tuple[int, int, int]
) -> None:
    op = add_of_scales(scale_a, scale_b, scale_output, zeros)
    real = scale_a * (A.astype(np.float64) - zeros[0]) + scale_b * (B.astype(np.float64) - zeros[1])
    codes = np.clip(np.round(real / scale_output) + zeros[2], -128, 127)
    output = runtime.add(op, A, B)
    np.testing.assert_array_equal(output, documented(op, A, B))
    assert np.max(np.abs(output - codes)) <= 1


def test_a_hand_computed_sum(runtime: Runtime) -> None:
    # 0.5 * (10 - 0) + 0.25 * (20 - 4) = 9; 9 / 1.0 + 3 = 12
    op = add_of_scales(0.5, 0.25, 1.0, (0, 4, 3))
    assert runtime.add(op, A, B)[(10 + 128) * 256 + 20 + 128] == 12


@pytest.mark.parametrize("which", ["a", "b", "both"])
def test_add_may_overwrite_either_input(runtime: Runtime, which: str) -> None:
    op = add_of_scales(0.05, 0.03, 0.06, (-3, 11, -128))
    a, b = A.copy(), A.copy() if which == "both" else B.copy()
    expected = documented(op, a, b)
    output = b if which == "b" else a
    runtime.add_into(op, a, a if which == "both" else b, output)
    np.testing.assert_array_equal(output, expected)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 7])
def test_add_writes_count_elements_at_any_alignment(runtime: Runtime, count: int) -> None:
    op = add_of_scales(0.05, 0.03, 0.06, (-3, 11, 5))
    op.count = count
    a, b = A[1 : 1 + count].copy(), B[33 : 33 + count].copy()
    np.testing.assert_array_equal(runtime.add(op, a, b), documented(op, a, b))
