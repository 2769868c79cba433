import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptee_mcu.errors import QuantizationError
from ptee_mcu.requant import Requant
from ptee_mcu.tensor import Quant


@given(st.floats(2.0**-30, 2.0**29, allow_nan=False))
def test_a_pair_stands_for_its_factor_within_half_a_step(factor: float) -> None:
    pair = Requant.from_real(factor)
    assert 2**30 <= int(pair.multiplier[0]) < 2**31
    assert pair.real()[0] == pytest.approx(factor, rel=2.0**-31)


def test_a_mantissa_that_rounds_up_to_one_carries_into_the_shift() -> None:
    pair = Requant.from_real(np.nextafter(1.0, 0.0))
    assert (int(pair.multiplier[0]), int(pair.shift[0])) == (1 << 30, 1)


def test_factors_too_small_for_a_shift_become_zero() -> None:
    pair = Requant.from_real([0.0, 2.0**-40])
    assert pair.multiplier.tolist() == [0, 0]
    assert pair.shift.tolist() == [0, 0]


@pytest.mark.parametrize("factor", [-1.0, np.inf, np.nan])
def test_impossible_factors_are_refused(factor: float) -> None:
    with pytest.raises(QuantizationError, match=r"negative or not finite"):
        Requant.from_real(factor)


def test_factors_beyond_the_shift_range_are_refused() -> None:
    with pytest.raises(QuantizationError, match=r"at least 2\*\*30"):
        Requant.from_real(2.0**31)


def test_pairs_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Requant.from_real(0.5).multiplier[0] = 1


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 10), st.integers(-128, 127))
def test_a_code_is_the_nearest_one(real: float, scale: float, zero_point: int) -> None:
    quant = Quant(scale, zero_point)
    code = quant.code(real)
    back = (code - zero_point) * scale
    if -128 < code < 127:
        assert abs(back - real) <= scale / 2 * (1 + 1e-9)


def test_codes_round_half_away_from_zero() -> None:
    assert Quant(1.0, 0).codes(np.array([0.5, -0.5, 1.5, -1.5])).tolist() == [1, -1, 2, -2]


@pytest.mark.parametrize(("scale", "zero_point", "message"), [(0.0, 0, "not a positive"), (1.0, 200, "outside")])
def test_impossible_codes_are_refused(scale: float, zero_point: int, message: str) -> None:
    with pytest.raises(QuantizationError, match=message):
        Quant(scale, zero_point)
