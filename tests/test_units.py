import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptee_mcu.units import milliseconds, parse_bytes, parse_hertz, rounded_up, show_bytes, show_hertz

SIZES = {"576 B": 576, "256 KiB": 262144, "1.5 MiB": 1572864, "64 kB": 64000, "2.01 MB": 2010000, "1_000B": 1000}


@pytest.mark.parametrize(("text", "nbytes"), SIZES.items(), ids=SIZES)
def test_a_size_is_a_number_and_its_unit(text: str, nbytes: int) -> None:
    assert parse_bytes(text) == nbytes


def test_a_frequency_is_a_number_and_its_unit() -> None:
    assert [parse_hertz(text) for text in ("120 MHz", "32768 Hz", "1.5 khz", "2 GHz")] == [120e6, 32768, 1500, 2e9]


REFUSED = {
    "no unit": (65536, "65536 is not a size: its unit is missing; write such as 576 B"),
    "no unit in text": ("64", "'64' is not a size: its unit is missing"),
    "another unit": ("64 Kb/s", "it is not a number with a unit"),
    "megabits": ("64 Mbit", "it is not a number with a unit"),
    "no number": ("_ KiB", "it is not a number with a unit"),
    "less than nothing": ("-4 KiB", "it is not a number with a unit"),
    "half a byte": ("0.5 B", "0.5 is not whole"),
    "a truth": (True, "True is not a size"),
}


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_size_is_refused_with_the_reason(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_bytes(value)


def test_a_clock_without_its_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="120 is not a frequency: its unit is missing; write such as 120 MHz"):
        parse_hertz(120)


@given(st.integers(min_value=0, max_value=1 << 40))
def test_what_is_shown_can_be_read_back(number: int) -> None:
    assert parse_bytes(show_bytes(number).replace(",", "")) == number
    assert parse_hertz(show_hertz(number).replace(",", "")) == number


def test_whole_units_are_shown_as_such() -> None:
    assert [show_bytes(n) for n in (0, 49728, 2048, 3 << 20)] == ["0 B", "49,728 B", "2 KiB", "3 MiB"]
    assert [show_hertz(n) for n in (0, 32768, 32000, 120_000_000)] == ["0 Hz", "32,768 Hz", "32 kHz", "120 MHz"]


def test_bytes_are_rounded_up_to_the_next_multiple() -> None:
    assert [rounded_up(n, 4) for n in (0, 1, 4, 5)] == [0, 4, 4, 8]


def test_cycles_take_their_number_over_the_clock() -> None:
    assert milliseconds(240_000, 120_000_000) == 2.0
