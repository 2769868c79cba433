"""Tables, products, slopes and rescaled sums against their documented arithmetic, for every code and pair of codes."""

import numpy as np
import numpy.typing as npt
import pytest
from runtime.descriptors import Lookup, Mean, Mul, PRelu
from runtime.native import Int8, Runtime
from runtime.test_add import CODES, A, B

Int64 = npt.NDArray[np.int64]
BEFORE = np.full(256, 99, np.int8)


def requantize(value: Int64, multiplier: int, shift: int) -> Int64:
    """value * multiplier * 2**(shift - 31), rounded at 2**-31, then half away from zero.

    Source: MultiplyByQuantizedMultiplier, TensorFlow Lite 2.18, on gemmlowp's SaturatingRoundingDoublingHighMul, which
    truncates after a nudge, and RoundingDivideByPOT; arm_nn_requantize of CMSIS-NN 4.0.0 computes the same.
    """
    product = (value << max(shift, 0)) * multiplier
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.sign(nudged) * (np.abs(nudged) >> 31)
    right = max(-shift, 0)
    rounded: Int64 = np.sign(high) * ((2 * np.abs(high) + (1 << right)) >> (1 + right))
    return rounded


def product(op: Mul, a: Int8, b: Int8) -> Int8:
    """As arm_elementwise_mul_s8 of CMSIS-NN 4.0.0 and TFLite's MUL state it."""
    total = (a.astype(np.int64) + op.offset_a) * (b.astype(np.int64) + op.offset_b)
    codes = requantize(total, op.multiplier, op.shift) + op.output_offset
    clamped: Int8 = np.clip(codes, op.act_min, op.act_max).astype(np.int8)
    return clamped


def sloped(op: PRelu, codes: Int8, alpha: Int8) -> Int8:
    """As TFLite's PRELU states it, one slope per column."""
    value = codes.astype(np.int64) + op.input_offset
    above = requantize(value, op.multiplier_above, op.shift_above)
    below = requantize(value * (alpha.astype(np.int64) + op.alpha_offset), op.multiplier_below, op.shift_below)
    found: Int8 = np.clip(np.where(value >= 0, above, below) + op.output_offset, -128, 127).astype(np.int8)
    return found


def random_mul(rng: np.random.Generator, shift: int) -> Mul:
    low, high = sorted(rng.integers(-128, 128, 2).tolist())
    return Mul(
        passes=1,
        period=A.size,
        multiplier=int(rng.choice([0, 1 << 30, (1 << 31) - 1, *rng.integers(1 << 30, 1 << 31, 9)])),
        offset_a=int(rng.integers(-127, 129)),
        offset_b=int(rng.integers(-127, 129)),
        shift=shift,
        output_offset=int(rng.integers(-128, 128)),
        act_min=low if rng.random() < 0.3 else -128,
        act_max=high if rng.random() < 0.3 else 127,
    )


@pytest.mark.parametrize("shift", range(-31, 15))
def test_mul_equals_the_documented_arithmetic_for_all_pairs_of_codes(runtime: Runtime, shift: int) -> None:
    rng = np.random.default_rng(shift + 31)
    for _ in range(6):
        op = random_mul(rng, shift)
        np.testing.assert_array_equal(runtime.mul(op, A, B), product(op, A, B))


def plain_mul(passes: int, period: int) -> Mul:
    return Mul(
        passes=passes,
        period=period,
        multiplier=1 << 30,
        offset_a=3,
        offset_b=-7,
        shift=-5,
        output_offset=4,
        act_min=-128,
        act_max=127,
    )


@pytest.mark.parametrize(("passes", "period"), [(1, 7), (5, 1), (4, 6)])
def test_a_gate_and_a_constant_are_taken_again_for_every_pixel(runtime: Runtime, passes: int, period: int) -> None:
    op = plain_mul(passes, period)
    a, b = A[::97][: passes * period].copy(), CODES[::-3][:period].copy()
    expected = product(op, a, np.tile(b, passes))
    np.testing.assert_array_equal(runtime.mul(op, a, b), expected)
    fixed = Mul(**{name: getattr(op, name) for name, _ in op._fields_} | {"factor": b})
    np.testing.assert_array_equal(runtime.mul(fixed, a, None), expected)


@pytest.mark.parametrize("which", ["a", "b", "both"])
def test_mul_may_overwrite_either_input(runtime: Runtime, which: str) -> None:
    op = plain_mul(1, A.size)
    a, b = A.copy(), A.copy() if which == "both" else B.copy()
    expected = product(op, a, b)
    output = b if which == "b" else a
    runtime.mul_into(op, a, a if which == "both" else b, output)
    np.testing.assert_array_equal(output, expected)


@pytest.mark.parametrize("shift", range(-31, 23))
def test_prelu_equals_the_documented_arithmetic_for_every_code(runtime: Runtime, shift: int) -> None:
    rng = np.random.default_rng(shift + 31)
    alpha = CODES[::5].copy()
    codes = np.repeat(CODES, alpha.size).reshape(256, alpha.size)
    for _ in range(6):
        op = PRelu(
            alpha=alpha,
            pixels=256,
            multiplier_above=int(rng.integers(1 << 30, 1 << 31)),
            multiplier_below=int(rng.choice([0, 1 << 30, (1 << 31) - 1, rng.integers(1 << 30, 1 << 31)])),
            channels=alpha.size,
            input_offset=int(rng.integers(-127, 129)),
            alpha_offset=int(rng.integers(-127, 129)),
            shift_above=shift,
            shift_below=min(shift, 14),
            output_offset=int(rng.integers(-128, 128)),
        )
        found = runtime.copy("ptee_prelu", op, codes, np.zeros_like(codes))
        np.testing.assert_array_equal(found, sloped(op, codes, alpha))
        over = codes.copy()
        runtime.into("ptee_prelu", op, over)
        np.testing.assert_array_equal(over, found)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 256])
def test_lookup_writes_the_code_of_every_byte(runtime: Runtime, count: int) -> None:
    table = np.random.default_rng(0).permutation(CODES)
    codes, before = CODES[:count].copy(), BEFORE[:count].copy()
    found = runtime.copy("ptee_lookup", Lookup(table=table, count=count), codes, before)
    np.testing.assert_array_equal(found, table[codes.view(np.uint8)])
    runtime.into("ptee_lookup", Lookup(table=table, count=count), codes)
    np.testing.assert_array_equal(codes, found)


SHIFTS = range(-31, 24)


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_sum_of_any_size_is_rescaled_by_the_documented_arithmetic(runtime: Runtime, shift: int) -> None:
    rng = np.random.default_rng(shift + 31)
    limit = ((1 << 31) - 1 >> max(shift, 0)) - 128  # of a sum, so that it still fits int32 once it is shifted
    for multiplier in (1 << 30, (1 << 31) - 1, int(rng.integers(1 << 30, 1 << 31)), int(rng.integers(1 << 20))):
        for code in (0, 1, -1, *rng.integers(-140, 140, 5).tolist()):  # about where the outputs lie
            offset = min(max(code * 2 ** (31 - shift) // max(multiplier, 1), -limit), limit)
            op = Mean(pixels=1, offset=offset, multiplier=multiplier, channels=256, shift=shift, output_offset=-7)
            wanted = np.clip(requantize(CODES.astype(np.int64) + offset, multiplier, shift) - 7, -128, 127)
            np.testing.assert_array_equal(runtime.copy("ptee_mean", op, CODES, BEFORE), wanted)


@pytest.mark.parametrize("pixels", [1, 2, 5])
def test_a_mean_may_overwrite_what_it_averages(runtime: Runtime, pixels: int) -> None:
    maps = np.random.default_rng(pixels).integers(-128, 128, (pixels, 7), dtype=np.int8)
    op = Mean(pixels=pixels, offset=3 * pixels, multiplier=1 << 30, channels=7, shift=-1, output_offset=2)
    wanted = np.clip(requantize(maps.sum(axis=0, dtype=np.int64) + 3 * pixels, 1 << 30, -1) + 2, -128, 127)
    runtime.into("ptee_mean", op, maps)
    np.testing.assert_array_equal(maps[0], wanted)
