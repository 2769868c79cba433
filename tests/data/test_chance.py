from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptee_mcu.data import chance_warning


@given(st.integers(2, 12), st.integers(1, 60), st.data())
def test_the_warning_is_the_exact_binomial_test(classes: int, images: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, images))
    p = 1 / classes
    tail = sum(comb(images, k) * p**k * (1 - p) ** (images - k) for k in range(right, images + 1))
    if abs(tail - 0.001) > 1e-9:
        assert (chance_warning(right / images, classes, images) is None) == (tail <= 0.001)


def test_a_network_that_guesses_is_found_in_all_but_one_of_a_thousand_cases() -> None:
    right = np.random.default_rng(0).binomial(1000, 0.1, size=5000)
    missed = sum(chance_warning(count / 1000, 10, 1000) is None for count in right)
    assert missed <= 5 + 3 * 5**0.5


def test_the_warning_says_how_many_and_what_chance_gives() -> None:
    assert chance_warning(0.1, 10, 4000) == (
        "the backbone is right on 400 of 4,000 images (10.0 %), which does not tell it from guessing (10.0 % for 10 "
        "classes): these may not be the images it was trained for, or mean, std or the order of the classes differ"
    )


def test_always_naming_the_commonest_class_is_guessing_too() -> None:
    assert chance_warning(0.196, 10, 26_032) is None
    assert "guessing (19.6 % for 10 classes)" in str(chance_warning(0.196, 10, 26_032, commonest=0.196))


@pytest.mark.parametrize(("accuracy", "classes", "images"), [(0.9, 10, 4000), (1.0, 10, 4), (0.6, 2, 1000)])
def test_a_network_that_knows_its_images_gets_none(accuracy: float, classes: int, images: int) -> None:
    assert chance_warning(accuracy, classes, images) is None


@pytest.mark.parametrize(("accuracy", "classes", "images"), [(0.0, 10, 4000), (1.0, 10, 2), (1.0, 1, 4000)])
def test_too_little_to_tell_warns(accuracy: float, classes: int, images: int) -> None:
    assert chance_warning(accuracy, classes, images) is not None
