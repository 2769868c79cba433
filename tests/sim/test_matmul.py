"""float32 products of codes are exact, as far as they are said to be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptee_mcu.sim.matmul import EXACT_TERMS, FLOAT32_EXACT, exact_matmul, exact_terms
from ptee_mcu.tensor import Int8


def product(x: Int8, weights: Int8) -> np.ndarray:
    return exact_matmul(x.astype(np.float32), weights.T.astype(np.float32), exact_terms(weights))


def test_the_bound_is_1032_terms_of_weights_that_the_quantizer_emits() -> None:
    assert EXACT_TERMS == 1032
    assert EXACT_TERMS * 128 * 127 <= FLOAT32_EXACT < (EXACT_TERMS + 1) * 128 * 127


@pytest.mark.parametrize(("largest", "terms"), [(127, 1032), (-127, 1032), (-128, 1024), (1, 131072), (0, 131072)])
def test_the_bound_follows_from_the_largest_weight(largest: int, terms: int) -> None:
    assert exact_terms(np.int8([[0, largest]])) == terms


def test_every_integer_up_to_the_limit_is_a_float32_and_the_next_is_not() -> None:
    assert np.float32(FLOAT32_EXACT) == FLOAT32_EXACT
    assert np.float32(FLOAT32_EXACT - 1) == FLOAT32_EXACT - 1
    assert int(np.float32(FLOAT32_EXACT + 1)) != FLOAT32_EXACT + 1


def test_one_product_more_than_the_bound_would_be_wrong_in_float32() -> None:
    columns = np.full((1, 1200), -128, np.int8)
    weights = np.full((1, 1200), -127, np.int8)
    columns[0, 0] = weights[0, 0] = 1
    expected = columns.astype(np.int64) @ weights.T.astype(np.int64)
    assert int((columns.astype(np.float32) @ weights.T.astype(np.float32))[0, 0]) != expected[0, 0]
    np.testing.assert_array_equal(product(columns, weights), expected)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([1, 9, 576, 1023, 1024, 1025, 1031, 1032, 1033, 2064, 5000, 70001]),
    st.sampled_from([(-128, 128), (-128, -127), (127, 128), (126, 128), (-128, -125)]),
    st.sampled_from([(-128, 128), (-127, 128), (-128, -127), (127, 128), (-127, -125)]),
    st.integers(0, 2**32),
)
def test_products_are_exact_for_any_number_of_terms(
    terms: int, code: tuple[int, int], weight: tuple[int, int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    x = random.integers(*code, (3, terms)).astype(np.int8)
    weights = random.integers(*weight, (4, terms)).astype(np.int8)
    np.testing.assert_array_equal(product(x, weights), x.astype(np.int64) @ weights.T.astype(np.int64))
