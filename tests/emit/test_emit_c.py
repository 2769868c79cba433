import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptee_mcu import emit_c
from ptee_mcu.errors import ConfigError

BAD_NAMES = ["", "1net", "_net", "my-net", "net.c", "näher", "x" * 49, "a b"]
TAKEN_NAMES = ["stdint", "string", "size", "uint8", "int_fast16", "UINT32", "ptee", "ptee_net", "arm_nn", "cmsis_nn"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_cannot_begin_identifiers_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot begin C identifiers"):
        emit_c.require_name(name)


@pytest.mark.parametrize("name", TAKEN_NAMES)
def test_a_name_that_hides_a_header_or_type_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name!r} is taken: {name}.h or {name}_t would hide"):
        emit_c.require_name(name)


@pytest.mark.parametrize("name", ["resnet20_ee", "A", "digits", "sizes", "int8_net"])
def test_a_good_name_is_returned(name: str) -> None:
    assert emit_c.require_name(name) == name


@given(st.lists(st.text(max_size=6), unique=True, max_size=12))
def test_identifiers_are_unique_even_in_upper_case(names: list[str]) -> None:
    found = emit_c.identifiers(names)
    assert list(found) == names
    assert len({identifier.upper() for identifier in found.values()}) == len(names)
    assert all(f"x{identifier}".isidentifier() and identifier.isascii() for identifier in found.values())


def test_identifiers_keep_what_they_can() -> None:
    assert emit_c.identifiers(["a.b", "a_b", "A/B", "c"]) == {"a.b": "a_b", "a_b": "a_b_2", "A/B": "A_B_3", "c": "c"}


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("i8", -128, 127),
        ("u8", 0, 255),
        ("i16", -(2**15), 2**15 - 1),
        ("u16", 0, 65535),
        ("u32", 0, 2**32 - 1),
    ],
)
def test_a_field_holds_exactly_its_range(kind: str, low: int, high: int) -> None:
    assert emit_c.field(low, kind, "kernel height") == str(low)
    assert emit_c.field(high, kind, "kernel height") == str(high)
    for value in (low - 1, high + 1):
        with pytest.raises(emit_c.FieldRangeError, match=f"kernel height is {value}; .* {low} to {high}"):
            emit_c.field(value, kind, "kernel height")


def test_the_smallest_int32_is_an_expression() -> None:
    assert emit_c.field(-(2**31), "i32", "bias") == "(-2147483647 - 1)"


@given(st.floats(1e-30, 1e30))
def test_a_float_constant_is_the_nearest_single(value: float) -> None:
    text = emit_c.single(value)
    assert text.endswith("f")
    assert "." in text or "e" in text
    assert np.float32(text[:-1]) == np.float32(value)


def test_rows_hold_twenty_int8_or_ten_int32() -> None:
    assert emit_c.rows(np.arange(21, dtype=np.int8)) == (
        "    " + ", ".join(map(str, range(20))) + ",\n    20,"
    )  # fmt: skip
    assert emit_c.rows(np.full(11, -(2**31), dtype=np.int32)).count("(-2147483647 - 1)") == 11
    assert len(emit_c.rows(np.zeros(11, dtype=np.int32)).splitlines()) == 2


def test_a_comment_cannot_be_left() -> None:
    text = emit_c.comment("a */ int x; /* b\n\\\u2028é" + "y" * 300)
    assert "*/" not in text
    assert "/*" not in text
    assert "\n" not in text
    assert len(text) <= 120
