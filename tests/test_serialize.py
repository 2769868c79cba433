from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from passes.networks import residual_network

from ptee_mcu.boards import load
from ptee_mcu.calibrate import Range, Ranges
from ptee_mcu.errors import ModelError, QuantizationError
from ptee_mcu.ops import QOPS
from ptee_mcu.ops.base import QOp
from ptee_mcu.passes.fold import fold
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.plan import Plan, verify_plan
from ptee_mcu.quantize import quantize
from ptee_mcu.serialize import Encoded, Json, decode, dumps, encode, loads
from ptee_mcu.tensor import HW, Float, Int8, Quant, readonly


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True, slots=True)
class Circle:
    radius: float


@dataclass(frozen=True, slots=True)
class Square:
    side: int


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    name: str
    size: HW
    colour: Colour
    kind: Literal["flat", "deep"]
    shapes: tuple[Circle | Square, ...]
    pair: tuple[int, str]
    scales: Mapping[str, float]
    visible: bool
    weights: Float
    table: Int8 | None = None
    parent: Circle | None = None


finite = st.floats(allow_nan=False)
shapes = st.one_of(st.builds(Circle, finite), st.builds(Square, st.integers()))
scenes = st.builds(
    Scene,
    name=st.text(),
    size=st.builds(HW, st.integers(), st.integers()),
    colour=st.sampled_from(Colour),
    kind=st.sampled_from(["flat", "deep"]),
    shapes=st.lists(shapes, max_size=3).map(tuple),
    pair=st.tuples(st.integers(), st.text()),
    scales=st.dictionaries(st.text(), finite),
    visible=st.booleans(),
    weights=st.lists(st.floats(width=32, allow_nan=False)).map(lambda x: readonly(x, np.float32)),
    table=st.none() | st.lists(st.integers(-128, 127)).map(lambda x: readonly(x, np.int8)),
    parent=st.none() | st.builds(Circle, finite),
)


def scene() -> Scene:
    weights = readonly([1.0, 2.0], np.float32)
    shape = (Circle(float("inf")), Square(2))
    return Scene("s", HW(1, 2), Colour.BLUE, "flat", shape, (3, "x"), {"a": 0.5}, visible=True, weights=weights)


def json_of(value: object) -> dict[str, Any]:
    data = loads(dumps(encode(value).data), "text")
    assert isinstance(data, dict)
    return data


@given(scenes)
def test_what_is_decoded_from_json_text_equals_what_was_encoded(value: Scene) -> None:
    encoded = encode(value)
    back = decode(Scene, Encoded(loads(dumps(encoded.data), "text"), encoded.arrays))
    for name in ("name", "size", "colour", "kind", "shapes", "pair", "visible", "parent"):
        assert getattr(back, name) == getattr(value, name)
    assert dict(back.scales) == dict(value.scales)
    np.testing.assert_array_equal(back.weights, value.weights, strict=True)
    if value.table is None or back.table is None:
        assert back.table is value.table
    else:
        np.testing.assert_array_equal(back.table, value.table, strict=True)


def test_decoded_arrays_and_mappings_cannot_be_written() -> None:
    back = decode(Scene, encode(scene()))
    assert not back.weights.flags.writeable
    assert isinstance(back.scales, MappingProxyType)


def test_json_is_readable() -> None:
    assert json_of(scene())["shapes"] == [{"class": "Circle", "radius": "inf"}, {"class": "Square", "side": 2}]
    assert json_of(scene())["weights"] == "weights"
    assert json_of(scene())["colour"] == "BLUE"


def test_an_array_reached_twice_is_stored_once_and_comes_back_as_one() -> None:
    @dataclass(frozen=True, slots=True, eq=False)
    class Pair:
        left: Float
        right: Float

    array = readonly([1.0], np.float32)
    encoded = encode(Pair(array, array))
    assert list(encoded.arrays) == ["left"]
    back = decode(Pair, encoded)
    assert back.left is back.right


def test_arrays_whose_paths_coincide_are_both_kept() -> None:
    @dataclass(frozen=True, slots=True, eq=False)
    class Outer:
        parts: Mapping[str, Mapping[str, Float]]

    one, two = readonly([1.0], np.float32), readonly([2.0], np.float32)
    back = decode(Outer, encode(Outer({"a": {"b/c": one}, "a/b": {"c": two}})))
    assert back.parts["a"]["b/c"][0] == 1.0
    assert back.parts["a/b"]["c"][0] == 2.0


def edited(change: Mapping[str, Json]) -> Encoded:
    encoded = encode(scene())
    assert isinstance(encoded.data, dict)
    return Encoded({**encoded.data, **change}, encoded.arrays)


BAD = {
    "unknown tag": (
        {"shapes": [{"class": "Cube", "side": 1}]},
        r"shapes/0: unknown class 'Cube'; known are Circle, Sq",
    ),
    "no tag": ({"shapes": [{"side": 1}]}, r"shapes/0: unknown class None"),
    "unknown field": ({"colours": "RED"}, r"Scene: Scene has no field 'colours'; did you mean 'colour'\?"),
    "nested unknown field": ({"size": {"h": 1, "w": 2, "depth": 3}}, r"size: HW has no field 'depth'"),
    "missing field": ({"size": {"h": 1}}, r"size: HW lacks its field 'w'"),
    "wrong scalar": ({"name": 3}, r"name: expected str, got 3"),
    "bool for int": ({"size": {"h": True, "w": 2}}, r"size/h: expected int, got True"),
    "wrong float": ({"scales": {"a": "big"}}, r"scales/a: expected float, got 'big'"),
    "unknown enum": ({"colour": "PINK"}, r"colour: expected Colour, got 'PINK'"),
    "wrong literal": ({"kind": "odd"}, r"kind: expected .*Literal.*, got 'odd'"),
    "wrong length": ({"pair": [1]}, r"pair: 1 elements where 2 belong"),
    "list for mapping": ({"scales": [1]}, r"scales: expected dict, got \[1\]"),
    "mapping for tuple": ({"shapes": {}}, r"shapes: expected list, got {}"),
    "missing array": ({"weights": "nowhere"}, r"weights: array 'nowhere' is missing"),
    "null": ({"name": None}, r"name: expected str, got None"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_what_does_not_fit_its_type_is_refused_by_place(change: Mapping[str, Json], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        decode(Scene, edited(change))


def test_an_array_of_another_dtype_is_refused() -> None:
    encoded = encode(scene())
    with pytest.raises(ModelError, match="weights: array of float64 where float32 belongs"):
        decode(Scene, Encoded(encoded.data, {"weights": np.zeros(2)}))


def test_an_array_that_nothing_names_is_refused() -> None:
    encoded = encode(scene())
    with pytest.raises(ModelError, match="Scene: array 'more' belongs to no field"):
        decode(Scene, Encoded(encoded.data, {**encoded.arrays, "more": np.zeros(2)}))


def test_a_value_that_breaks_its_class_is_refused_by_the_class() -> None:
    with pytest.raises(QuantizationError, match="zero point 300"):
        decode(Quant, Encoded({"scale": 1.0, "zero_point": 300}, {}))


def test_text_that_is_not_json_is_refused_by_file() -> None:
    with pytest.raises(ModelError, match=r"plan\.json is not valid JSON"):
        loads("{", "plan.json")


def test_a_field_without_a_json_form_is_a_fault_of_the_program() -> None:
    @dataclass(frozen=True, slots=True)
    class Odd:
        value: complex

    with pytest.raises(TypeError, match="value: complex has no JSON form"):
        encode(Odd(1j))


def test_a_member_outside_its_union_is_a_fault_of_the_program() -> None:
    @dataclass(frozen=True, slots=True)
    class Holder:
        shape: Circle | Square

    with pytest.raises(TypeError, match="shape: HW is none of Circle, Square"):
        encode(Holder(HW(1, 1)))  # type: ignore[arg-type]


def test_a_plan_survives_json_and_arrays() -> None:
    _, graph = residual_network()
    folded = fold(graph)
    ranges = Ranges({name: Range(-1.0, 2.0) for name in folded.shapes}, {})
    plan = make_plan(quantize(folded, ranges), load("mps2_an386"))
    encoded = encode(plan, {QOp: QOPS})
    back = decode(Plan, Encoded(loads(dumps(encoded.data), "plan.json"), encoded.arrays), {QOp: QOPS})
    verify_plan(back)
    assert back.arena == plan.arena
    assert back.target == plan.target
    assert all(key.startswith("graph/nodes/") for key in encoded.arrays)
    for step, original in zip(back.steps, plan.steps, strict=True):
        assert type(step.node.op) is type(original.node.op)
        for role, array in original.node.op.constants.items():
            np.testing.assert_array_equal(step.node.op.constants[role], array, strict=True)
