"""The rescaling against arm_nn_requantize of CMSIS-NN 4.0.0 itself."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.reference import Reference

from ptee_mcu.requant import Requant, divide_by_power_of_two, doubling_high_mult, requantize
from ptee_mcu.sim.fixedpoint import Rescale
from ptee_mcu.tensor import Int32, readonly

many = settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
INT32 = (-(2**31), 2**31 - 1)
multipliers = st.sampled_from([0, 2**30, 2**30 + 1, 2**31 - 1]) | st.integers(2**30, 2**31 - 1)


def pair(multiplier: int, shift: int) -> Requant:
    return Requant(readonly([multiplier], np.int32), readonly([shift], np.int32))


def values_for(seed: int, shift: int) -> Int32:
    """int32 values of every magnitude that stay int32 after a left shift, and those round zero and the ends."""
    limit = 2**31 >> max(shift, 0)
    random = np.random.default_rng(seed)
    magnitudes = 2.0 ** random.uniform(0, np.log2(limit), 200)
    values = (magnitudes * random.choice([-1, 1], 200)).astype(np.int64)
    ends = [-limit, -limit + 1, limit - 1, limit - 2, *range(-5, 6)]
    return np.clip(np.concatenate([values, ends]), -limit, limit - 1).astype(np.int32)


def ties(multiplier: int, shift: int, limit: int) -> Int32:
    """Values next to those whose exact product ends in one half, where roundings disagree."""
    factor = multiplier * 2.0 ** (shift - 31)
    halves = (np.arange(-200, 200) + 0.5) / factor
    near = np.rint(halves)[:, None] + np.arange(-2, 3)
    return near[np.abs(near) < limit].astype(np.int32)


@many
@given(multipliers, st.integers(-31, 20), st.integers(0, 2**32))
def test_requantize_equals_arm_nn_requantize(reference: Reference, multiplier: int, shift: int, seed: int) -> None:
    values = values_for(seed, shift)
    found = requantize(values[:, None], pair(multiplier, shift))[:, 0]
    np.testing.assert_array_equal(found, reference.requantize(values, multiplier, shift))


@many
@given(multipliers.filter(bool), st.integers(-24, 2))
def test_requantize_rounds_ties_as_arm_nn_requantize(reference: Reference, multiplier: int, shift: int) -> None:
    values = ties(multiplier, shift, 2**31 >> max(shift, 0))
    found = requantize(values[:, None], pair(multiplier, shift))[:, 0]
    np.testing.assert_array_equal(found, reference.requantize(values, multiplier, shift))


@many
@given(st.integers(0, 31), st.integers(0, 2**32))
def test_division_equals_arm_nn_divide_by_power_of_two(reference: Reference, exponent: int, seed: int) -> None:
    values = values_for(seed, 0)
    expected = reference.divide_by_power_of_two(values, exponent)
    np.testing.assert_array_equal(divide_by_power_of_two(values, np.int64(exponent)), expected)


@many
@given(
    st.lists(st.tuples(multipliers, st.integers(-31, 8)), min_size=1, max_size=5),
    st.integers(-128, 127),
    st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
    st.integers(0, 2**32),
)
def test_codes_are_the_requantized_sums_offset_and_clamped(
    reference: Reference, pairs: list[tuple[int, int]], offset: int, clamp: tuple[int, int], seed: int
) -> None:
    act_min, act_max = sorted(clamp)
    requant = Requant(readonly([m for m, _ in pairs], np.int32), readonly([s for _, s in pairs], np.int32))
    bias = np.random.default_rng(seed).integers(-(2**20), 2**20, len(pairs))
    columns = [np.concatenate([values_for(seed, s), ties(m or 1, s, 2**31 >> max(s, 0))]) for m, s in pairs]
    rows = min(map(len, columns))
    sums = np.stack([column[:rows] for column in columns], axis=1).astype(np.int64)
    expected = np.stack([reference.requantize(sums[:, i].astype(np.int32), m, s) for i, (m, s) in enumerate(pairs)], 1)
    out = np.empty(sums.shape, np.int8)
    Rescale.of(requant, bias, offset, act_min, act_max).codes(sums - bias, out)
    np.testing.assert_array_equal(out, np.clip(expected.astype(np.int64) + offset, act_min, act_max))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64])
def test_accumulators_may_be_of_any_numeric_type(dtype: type) -> None:
    rescale = Rescale.of(Requant.from_real([0.25]), np.int64([10, -10]), 1, -128, 127)
    out = np.empty((2, 2), np.int8)
    rescale.codes(np.array([[30, 30], [-30, 12]], dtype=dtype), out)
    # (30 + 10) / 4 + 1; (30 - 10) / 4 + 1; (-30 + 10) / 4 + 1; (12 - 10) / 4 = 0.5, away from zero, + 1
    np.testing.assert_array_equal(out, [[11, 6], [-4, 2]])


def test_hand_computed_roundings() -> None:
    # The product rounds halves up, the division that follows rounds them away from zero.
    half, quarter = Requant.from_real([0.5]), Requant.from_real([0.25])
    assert (half.shift, quarter.shift) == (0, -1)
    np.testing.assert_array_equal(requantize(np.int32([[1], [-1], [3], [-3]]), half)[:, 0], [1, 0, 2, -1])
    np.testing.assert_array_equal(requantize(np.int32([[2], [-2], [-1], [-6]]), quarter)[:, 0], [1, -1, 0, -2])
    np.testing.assert_array_equal(doubling_high_mult(np.int32([1, -1, 3, -3]), np.int64(2**30)), [1, 0, 2, -1])
    np.testing.assert_array_equal(divide_by_power_of_two(np.int32([6, -6, 5, -5]), np.int64(2)), [2, -2, 1, -1])
