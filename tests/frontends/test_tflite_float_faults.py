from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tflite", reason="reading TFLite files needs the package tflite")

from support.tflite_files import Op, T, whole, write

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.tflite.file import read_tflite
from ptee_mcu.frontends.tflite.float import import_float

CONV = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
POOL = {"StrideH": 1, "StrideW": 1, "FilterWidth": 2, "FilterHeight": 2}


def x(*shape: int) -> T:
    return T(shape, "FLOAT32")


def w(*shape: int) -> T:
    return T(shape, "FLOAT32", data=np.ones(shape, np.float32))


def number(value: float) -> T:
    return T((1,), "FLOAT32", data=np.array([value], np.float32))


IMAGE = x(1, 4, 4, 2)

# tensors, operators, what the message says
FAULTY: dict[str, tuple[list[T], list[Op], str]] = {
    "a shape that the file denies": (
        [IMAGE, w(1, 1, 1, 2), x(1, 4, 3, 1)],
        [Op("CONV_2D", [0, 1], [2], CONV)],
        r"makes the shape \(1, 4, 4, 1\); the file says \(1, 4, 3, 1\)",
    ),
    "weights for other channels": (
        [IMAGE, w(1, 1, 1, 3), x(1, 4, 4, 1)],
        [Op("CONV_2D", [0, 1], [2], CONV)],
        "read 2 channels",
    ),
    "weights of two dimensions": (
        [IMAGE, w(1, 2), x(1, 4, 4, 1)],
        [Op("CONV_2D", [0, 1], [2], CONV)],
        "4 dimensions belong there",
    ),
    "depthwise weights for others": (
        [IMAGE, w(1, 1, 1, 3), x(1, 4, 4, 3)],
        [Op("DEPTHWISE_CONV_2D", [0, 1], [2], {**CONV, "DepthMultiplier": 1})],
        "read 2 channels",
    ),
    "a bias for other channels": (
        [IMAGE, w(1, 1, 1, 2), w(3), x(1, 4, 4, 1)],
        [Op("CONV_2D", [0, 1, 2], [3], CONV)],
        "bias has 3 values for 1 channels",
    ),
    "a window larger than the image": (
        [IMAGE, w(1, 9, 9, 2), x(1, 1, 1, 1)],
        [Op("CONV_2D", [0, 1], [2], CONV)],
        r"operator 0 \(CONV_2D\).*kernel 9x9",
    ),
    "a fully connected layer for others": (
        [x(1, 4), w(2, 3), x(1, 2)],
        [Op("FULLY_CONNECTED", [0, 1], [2])],
        "read shape",
    ),
    "more elements than there are": (
        [x(1, 4), whole([1, 5]), x(1, 5)],
        [Op("RESHAPE", [0, 1], [2])],
        r"asks for the shape \(1, 5\) of 4 elements",
    ),
    "two open dimensions": ([x(1, 4), whole([-1, -1]), x(1, 4)], [Op("RESHAPE", [0, 1], [2])], "asks for the shape"),
    "a shape of reals": ([x(1, 4), w(2), x(1, 4)], [Op("RESHAPE", [0, 1], [2])], "not a few integers"),
    "an axis dropped that has extent": (
        [x(1, 4), x(4)],
        [Op("SQUEEZE", [0], [1], {"SqueezeDims": (1,)})],
        r"drops axes \[1\]",
    ),
    "an axis that is not there": (
        [x(1, 4), whole(7), x(1, 4, 1)],
        [Op("EXPAND_DIMS", [0, 1], [2])],
        "names axis 7 of 3",
    ),
    "two axes added": ([x(1, 4), whole([1, 2]), x(1, 4, 1)], [Op("EXPAND_DIMS", [0, 1], [2])], "adds 2 axes"),
    "an axis moved twice": ([x(1, 4), whole([0, 0]), x(1, 4)], [Op("TRANSPOSE", [0, 1], [2])], "orders 2 axes as"),
    "ranks joined": (
        [x(1, 4), x(1, 1, 4), whole(1), x(1, 8)],
        [Op("EXPAND_DIMS", [0, 2], [1]), Op("CONCATENATION", [0, 1], [3], {"Axis": 1})],
        "joins shapes",
    ),
    "nothing joined": ([x(1, 4), x(1, 8)], [Op("CONCATENATION", [], [1], {"Axis": 1})], "joins nothing"),
    "a padding of other axes": ([IMAGE, whole([[0, 0]]), IMAGE], [Op("PAD", [0, 1], [2])], "pads 4 axes by 2 numbers"),
    "a size of one number": ([IMAGE, whole([8]), IMAGE], [Op("RESIZE_NEAREST_NEIGHBOR", [0, 1], [2])], "resizes to"),
    "repeats of other axes": ([IMAGE, whole([1, 2]), IMAGE], [Op("TILE", [0, 1], [2])], "repeats"),
    "an axis of a mean": ([IMAGE, whole([9]), x(1, 2)], [Op("MEAN", [0, 1], [2])], "names axes"),
    "a division by zero": ([IMAGE, number(0), IMAGE], [Op("DIV", [0, 1], [2])], "divides by zero"),
    "a limit that is no number": ([IMAGE, number(np.inf), IMAGE], [Op("MINIMUM", [0, 1], [2])], "its limit is inf"),
    "a slope that is no number": (
        [IMAGE, IMAGE],
        [Op("LEAKY_RELU", [0], [1], {"Alpha": float("nan")})],
        "its slope is nan",
    ),
    "one input to a sum": ([IMAGE, IMAGE], [Op("ADD", [0], [1])], "needs two inputs"),
    "a transposed convolution to nowhere": (
        [IMAGE, w(1, 2, 2, 2), whole([1, 9]), x(1, 8, 8, 1)],
        [Op("TRANSPOSE_CONV", [2, 1, 0], [3], {"Padding": 1, "StrideH": 2, "StrideW": 2})],
        r"asks for the shape \(1, 9\)",
    ),
    "a transposed convolution too far": (
        [IMAGE, w(1, 2, 2, 2), whole([1, 90, 90, 1]), x(1, 90, 90, 1)],
        [Op("TRANSPOSE_CONV", [2, 1, 0], [3], {"Padding": 1, "StrideH": 2, "StrideW": 2})],
        "4x4 map does not become 90x90",
    ),
    "blocks padded by one number": (
        [IMAGE, whole([2, 2]), whole([1]), IMAGE],
        [Op("SPACE_TO_BATCH_ND", [0, 1, 2], [3])],
        "pads or crops by",
    ),
    "an element that is not there": (
        [IMAGE, whole([1, 2]), whole([5]), whole([6]), whole([1]), T((), "INT32")],
        [Op("STRIDED_SLICE", [1, 2, 3, 4], [5], {"ShrinkAxisMask": 1})],
        "takes element 5 of 2",
    ),
    "elements that are not there": (
        [IMAGE, whole([1, 2]), whole([0, 2]), T((2,), "INT32")],
        [Op("GATHER", [1, 2], [3])],
        "of 2",
    ),
    "a tensor beyond all memory": (
        [IMAGE, whole([[0, 0], [2**14, 0], [2**14, 0], [0, 0]]), T((1, 1, 1, 2), "FLOAT32", signature=(1, -1, -1, 2))],
        [Op("PAD", [0, 1], [2])],
        "from 1 to [0-9,]+ elements are possible",
    ),
    "an output that is a constant": (
        [IMAGE, whole([1, 2]), T((2,), "INT32")],
        [Op("CAST", [1], [2])],
        "does not depend on its input",
    ),
    "an output spread over the batch": (
        [IMAGE, whole([2, 2]), whole([[0, 0], [0, 0]]), x(4, 2, 2, 2)],
        [Op("SPACE_TO_BATCH_ND", [0, 1, 2], [3])],
        "output is an image spread over the batch",
    ),
    "weights that are no numbers": (
        [x(1, 2), T((1, 2), "FLOAT32", data=np.array([[1, np.nan]], np.float32)), x(1, 1)],
        [Op("FULLY_CONNECTED", [0, 1], [2])],
        "1 of 2 values of weight are NaN or infinite",
    ),
    "an input of integers": ([T((1, 4), "INT32"), T((1, 4), "INT32")], [Op("RELU", [0], [1])], "is INT32, not FLOAT32"),
    "an input of five dimensions": (
        [x(1, 2, 2, 2, 2), x(1, 2, 2, 2, 2)],
        [Op("RELU", [0], [1])],
        "its input t0 has the shape",
    ),
}


def load(folder: Path, tensors: list[T], operators: list[Op], **settings: Any) -> None:
    import_float(read_tflite(write(folder / "net.tflite", tensors, operators, **settings)), "net")


@pytest.mark.parametrize("case", FAULTY.values(), ids=FAULTY)
def test_a_file_that_contradicts_itself_is_refused(case: tuple[list[T], list[Op], str], tmp_path: Path) -> None:
    tensors, operators, message = case
    with pytest.raises(ModelError, match=message):
        load(tmp_path, tensors, operators)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"), [((0, 1), (2,), "has 2 inputs"), ((0,), (2, 3), "has 2 outputs")]
)
def test_one_input_and_one_output_are_needed(
    inputs: tuple[int, ...], outputs: tuple[int, ...], message: str, tmp_path: Path
) -> None:
    steps = [Op("RELU", [0], [2]), Op("RELU", [0], [3])]
    with pytest.raises(ModelError, match=message):
        load(tmp_path, [IMAGE, IMAGE, IMAGE, IMAGE], steps, inputs=inputs, outputs=outputs)


def test_weights_that_many_layers_share_have_a_limit_in_all(tmp_path: Path) -> None:
    image, weights = (
        x(1, 4096, 4096, 1),
        T((1, 4096, 4096, 1), "FLOAT16", data=np.zeros((1, 4096, 4096, 1), np.float16)),
    )
    steps = [Op("CONV_2D", [0, 1], [i], CONV) for i in range(2, 12)]
    steps.append(Op("CONCATENATION", range(2, 12), [12], {"Axis": 3}))
    with pytest.raises(ModelError, match=r"operator 8 .*layers hold more than 536,870,912 B of parameters"):
        load(tmp_path, [image, weights, *[x(1, 1, 1, 1)] * 10, x(1, 1, 1, 10)], steps)


@pytest.mark.parametrize(
    ("kind", "number", "message"),
    [("DIV", 1e-42, "mul_1: 1 of 1 values of factor"), ("MUL", 3e38, "mul_1: 1 of 1 values of factor")],
)
def test_constants_that_overflow_are_refused_without_a_warning(
    kind: str, number: float, message: str, tmp_path: Path
) -> None:
    constant = T((1,), "FLOAT32", data=np.array([number], np.float32))
    with pytest.raises(ModelError, match=f"{message} are NaN or infinite"):
        load(tmp_path, [x(1, 2), constant, x(1, 2), x(1, 2)], [Op(kind, [0, 1], [2]), Op("MUL", [2, 1], [3])])
