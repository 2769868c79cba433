import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tflite", reason="reading TFLite files needs the package tflite")

from support.tflite_files import Op, T, whole, write

from ptee_mcu.errors import UnsupportedOpError
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
UNSUPPORTED: dict[str, tuple[list[T], list[Op], str]] = {
    "an unknown op": (
        [IMAGE, IMAGE],
        [Op("CEIL", [0], [1])],
        r"operator 0 \(CEIL\), which makes t1, is not supported: it has no",
    ),
    "a recurrent op": ([IMAGE, IMAGE], [Op("UNIDIRECTIONAL_SEQUENCE_LSTM", [0], [1])], "use convolutions over time"),
    "a custom op": (
        [IMAGE, IMAGE],
        [Op("CUSTOM", [0], [1], custom="Peaks")],
        r"operator 0 \(Peaks\).*builtin operators alone",
    ),
    "an activation that is no clamp": (
        [IMAGE, w(1, 1, 1, 2), x(1, 4, 4, 1)],
        [Op("CONV_2D", [0, 1], [2], {**CONV, "FusedActivationFunction": 4})],
        "it ends in TANH",
    ),
    "weights that are computed": (
        [IMAGE, x(1, 4, 4, 2), x(1, 4, 4, 1)],
        [Op("RELU", [0], [1]), Op("CONV_2D", [0, 1], [2], CONV)],
        r"input 1 \(t1\) is computed",
    ),
    "weights that are integers": (
        [IMAGE, T((1, 1, 1, 2), "INT32", data=np.ones((1, 1, 1, 2), np.int32)), x(1, 4, 4, 1)],
        [Op("CONV_2D", [0, 1], [2], CONV)],
        r"tensor 1 \(t1\) holds constants of INT32",
    ),
    "a constant where a tensor belongs": (
        [IMAGE, w(1, 4, 4, 2), IMAGE],
        [Op("RELU", [1], [2])],
        r"input 0 \(t1\) is a constant",
    ),
    "an op behind a softmax": (
        [x(1, 4), x(1, 4), x(1, 4)],
        [Op("SOFTMAX", [0], [1], {"Beta": 1.0}), Op("RELU", [1], [2])],
        "reads the result of a softmax",
    ),
    "a number without dimensions": (
        [x(1, 1), x(), x()],
        [Op("SQUEEZE", [0], [1]), Op("RELU", [1], [2])],
        "a number without dimensions",
    ),
    "a softmax of pixels": ([IMAGE, IMAGE], [Op("SOFTMAX", [0], [1], {"Beta": 1.0})], r"last axis of \(1, 4, 4, 2\)"),
    "a softmax with a temperature": ([x(1, 4), x(1, 4)], [Op("SOFTMAX", [0], [1], {"Beta": 0.5})], "its beta is 0.5"),
    "an image op on a vector": (
        [x(1, 4), w(1, 1, 1, 2), x(1, 4)],
        [Op("CONV_2D", [0, 1], [2], CONV)],
        r"reads shape \(1, 4\)",
    ),
    "five dimensions": (
        [IMAGE, whole([1, 2, 2, 4, 2]), x(1, 2, 2, 4, 2), w(1, 1, 1, 2), x(1, 2, 2, 4, 1)],
        [Op("RESHAPE", [0, 1], [2]), Op("CONV_2D", [2, 3], [4], CONV)],
        r"reads a tensor of shape \(1, 2, 2, 4, 2\)",
    ),
    "channels before rows": (
        [IMAGE, whole([0, 3, 1, 2]), x(1, 2, 4, 4)],
        [Op("TRANSPOSE", [0, 1], [2])],
        r"keep \(1, H, W, C\)",
    ),
    "rows joined": ([IMAGE, x(1, 8, 4, 2)], [Op("CONCATENATION", [0, 0], [1], {"Axis": 1})], "joins axis 1"),
    "ones around an image": (
        [IMAGE, whole([[0, 0], [1, 1], [1, 1], [0, 0]]), number(1), x(1, 6, 6, 2)],
        [Op("PADV2", [0, 1, 2], [3])],
        "something else than zeros",
    ),
    "a negative padding": (
        [IMAGE, whole([[0, 0], [-1, 0], [0, 0], [0, 0]]), x(1, 3, 4, 2)],
        [Op("PAD", [0, 1], [2])],
        "pads by",
    ),
    "an uneven enlargement": (
        [IMAGE, whole([6, 8]), x(1, 6, 8, 2)],
        [Op("RESIZE_NEAREST_NEIGHBOR", [0, 1], [2])],
        "resizes 4x4 to 6x8",
    ),
    "an enlargement from corner to corner": (
        [IMAGE, whole([8, 8]), x(1, 8, 8, 2)],
        [Op("RESIZE_NEAREST_NEIGHBOR", [0, 1], [2], {"AlignCorners": True})],
        "corners not aligned",
    ),
    "an image repeated": (
        [IMAGE, whole([1, 2, 1, 1]), x(1, 8, 4, 2)],
        [Op("TILE", [0, 1], [2])],
        "only one axis of extent 1",
    ),
    "a mean of channels": ([IMAGE, whole([3]), x(1, 4, 4)], [Op("MEAN", [0, 1], [2])], r"reduces axes \[3\]"),
    "a mean of a vector": (
        [x(1, 4), whole([1]), x(1)],
        [Op("MEAN", [0, 1], [2])],
        r"reduces a tensor of shape \(1, 4\)",
    ),
    "shuffled weights": (
        [x(1, 4), w(2, 4), x(1, 2)],
        [Op("FULLY_CONNECTED", [0, 1], [2], {"WeightsFormat": 1})],
        "weights are shuffled",
    ),
    "images that broadcast": (
        [IMAGE, whole([1]), x(1, 1, 4, 2), IMAGE],
        [Op("MEAN", [0, 1], [2], {"KeepDims": True}), Op("ADD", [0, 2], [3])],
        "broadcasts shapes",
    ),
    "a constant per pixel": ([IMAGE, w(4, 4, 2), IMAGE], [Op("MUL", [0, 1], [2])], r"a constant of shape \(4, 4, 2\)"),
    "a division by a tensor": ([IMAGE, IMAGE], [Op("DIV", [0, 0], [1])], "divides by a tensor"),
    "a maximum of tensors": ([IMAGE, IMAGE], [Op("MAXIMUM", [0, 0], [1])], "compares tensors"),
    "blocks without a convolution": (
        [IMAGE, whole([2, 2]), whole([[0, 0], [0, 0]]), x(4, 2, 2, 2), x(4, 2, 2, 2)],
        [Op("SPACE_TO_BATCH_ND", [0, 1, 2], [3]), Op("RELU", [3], [4])],
        "an image spread over the batch",
    ),
    "blocks put together that were not cut": (
        [IMAGE, whole([1, 1]), whole([[0, 0], [0, 0]]), IMAGE],
        [Op("BATCH_TO_SPACE_ND", [0, 1, 2], [3])],
        "does not undo",
    ),
    "blocks of one axis": (
        [IMAGE, whole([2]), whole([[0, 0]]), x(2, 2, 4, 2)],
        [Op("SPACE_TO_BATCH_ND", [0, 1, 2], [3])],
        r"its blocks are \(2,\)",
    ),
    "more cropped than padded": (
        [
            IMAGE,
            whole([2, 2]),
            whole([[0, 0], [0, 0]]),
            x(4, 2, 2, 2),
            w(1, 1, 1, 2),
            x(4, 2, 2, 1),
            whole([[1, 0], [0, 0]]),
            x(1, 3, 4, 1),
        ],
        [
            Op("SPACE_TO_BATCH_ND", [0, 1, 2], [3]),
            Op("CONV_2D", [3, 4], [5], CONV),
            Op("BATCH_TO_SPACE_ND", [5, 1, 6], [7]),
        ],
        "crops more than was padded",
    ),
    "strides over blocks": (
        [IMAGE, whole([2, 2]), whole([[0, 0], [0, 0]]), x(4, 2, 2, 2), w(1, 1, 1, 2), x(4, 1, 1, 1)],
        [Op("SPACE_TO_BATCH_ND", [0, 1, 2], [3]), Op("CONV_2D", [3, 4], [5], {**CONV, "StrideH": 2})],
        "an image spread over the batch",
    ),
    "integers of two dimensions sliced": (
        [IMAGE, whole([[1, 2]]), whole([0]), whole([1]), whole([1]), T((1,), "INT32")],
        [Op("STRIDED_SLICE", [1, 2, 3, 4], [5])],
        "slices constants of several dimensions",
    ),
    "a slice with a new axis": (
        [IMAGE, whole([1, 2]), whole([0]), whole([1]), whole([1]), T((1,), "INT32")],
        [Op("STRIDED_SLICE", [1, 2, 3, 4], [5], {"NewAxisMask": 1})],
        "mean no plain range",
    ),
    "lists stacked": ([IMAGE, whole([1, 2]), T((2, 2), "INT32")], [Op("PACK", [1, 1], [2])], "stacks constants"),
    "tables joined": (
        [IMAGE, whole([[1, 2]]), T((2, 2), "INT32")],
        [Op("CONCATENATION", [1, 1], [2])],
        "joins constants",
    ),
    "tables gathered": (
        [IMAGE, whole([[1, 2]]), T((1, 2), "INT32")],
        [Op("GATHER", [1, 1], [2])],
        "gathers from constants",
    ),
    "lists of other lengths multiplied": (
        [IMAGE, whole([1, 2]), whole([1, 2, 3]), T((3,), "INT32")],
        [Op("MUL", [1, 2], [3])],
        "constants of different shapes",
    ),
    "arithmetic on many integers": (
        [IMAGE, whole(list(range(17))), T((17,), "INT32")],
        [Op("CAST", [1], [2])],
        "computes with 17 constants",
    ),
}


def load(folder: Path, tensors: list[T], operators: list[Op], **settings: Any) -> None:
    import_float(read_tflite(write(folder / "net.tflite", tensors, operators, **settings)), "net")


@pytest.mark.parametrize("case", UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_what_has_no_counterpart_is_refused_by_name_and_place(
    case: tuple[list[T], list[Op], str], tmp_path: Path
) -> None:
    tensors, operators, message = case
    with pytest.raises(UnsupportedOpError, match=re.compile(message, re.DOTALL)) as caught:
        load(tmp_path, tensors, operators)
    assert f"operator {operators[-1].inputs and len(operators) - 1} (" in str(caught.value)
    assert caught.value.hint
