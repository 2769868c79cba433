from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tflite", reason="reading TFLite files needs the package tflite")

from support.tflite_cases import fully_connected
from support.tflite_files import Op, T, code, whole, write
from support.tflite_wrong import IMAGE, NUMBERS, Make, changed_case, net, one_op

from ptee_mcu.errors import ModelError, PteeError, QuantizationError
from ptee_mcu.frontends.tflite.load import load_tflite

WRONG: dict[str, tuple[Make, str]] = {
    "declared shape": (one_op("RELU", made=T((1, 4, 4, 3), **code(0.5, 3))), "makes .1, 4, 4, 2.; the file declares"),
    "reshape of another size": (
        one_op("RESHAPE", T((2,), "INT32", data=np.array([1, 5], np.int32)), made=T((1, 5), **code(0.5, 3))),
        r"it makes \(1, 5\) of \(1, 4, 4, 2\)",
    ),
    "rank of weights": (
        net(
            [IMAGE, T((1, 1, 1), data=np.ones((1, 1, 1), np.int8), **code(0.1, 0)), IMAGE],
            Op("FULLY_CONNECTED", (0, 1), (2,)),
        ),
        r"has weights of shape \(1, 1, 1\); 2 dimensions belong there",
    ),
    "weights without a scale": (changed_case("convolution", {1: {"scales": ()}}), "has weights without a scale"),
    "scales along another axis": (
        net(
            [IMAGE, T((2, 1, 1, 2), data=np.ones((2, 1, 1, 2), np.int8), scales=(1, 2), zeros=(0, 0), axis=3), IMAGE],
            Op("CONV_2D", (0, 1, -1), (2,), {"StrideH": 1, "StrideW": 1}),
        ),
        "has a scale per index of axis 3 of its weights, not of 0",
    ),
    "features": (
        net(
            [IMAGE, T((2, 5), data=np.ones((2, 5), np.int8), **code(0.1, 0)), T((1, 2), **code(0.5, 0))],
            Op("FULLY_CONNECTED", (0, 1), (2,)),
        ),
        r"has 5 columns of weights for the shape \(1, 4, 4, 2\)",
    ),
    "channels": (
        net(
            [IMAGE, T((2, 1, 1, 3), data=np.ones((2, 1, 1, 3), np.int8), **code(0.1, 0)), IMAGE],
            Op("CONV_2D", (0, 1), (2,), {"StrideH": 1, "StrideW": 1}),
        ),
        r"operator 0 \(CONV_2D\), which makes t2, conv_2d_0: weights of shape \(2, 1, 1, 3\) on 2 channels",
    ),
    "activation scale": (one_op("RELU", made=replace(IMAGE, scales=(0.0,))), "t1: scale 0.0 is not a positive"),
    "input scale": (one_op("RELU", source=replace(IMAGE, scales=(0.0,))), "tensor 0 .t0.: scale 0.0 is not a positive"),
    "no input scale": (one_op("RELU", source=replace(IMAGE, scales=())), "tensor 0 .t0. has no single scale"),
    "pixels without a scale": (
        net([T(IMAGE.shape, "UINT8"), IMAGE, IMAGE], Op("QUANTIZE", (0,), (1,)), Op("RELU", (1,), (2,))),
        "tensor 0 .t0. has no single positive scale",
    ),
    "zero point": (one_op("RELU", made=replace(IMAGE, zeros=(500,))), "t1: zero point 500 lies outside"),
    "axes": (one_op("MEAN", whole([7])), r"names axes \[7\] of \(1, 4, 4, 2\)"),
    "many integers": (
        one_op("MEAN", whole(list(range(17)))),
        r"input 1 \(t1\) holds 17 values of int32, not a few integers",
    ),
    "axes in float": (
        one_op("MEAN", T((1,), "FLOAT32", data=np.ones(1, np.float32))),
        r"input 1 \(t1\) holds 1 values of float32, not a few integers",
    ),
    "shape of nothing": (
        net(
            [IMAGE, T((4,), "INT32"), whole([9]), T((1,), "INT32"), T((1, 1), signature=(-1, -1), **code(0.5, 3))],
            Op("SHAPE", (0,), (1,)),
            Op("GATHER", (1, 2), (3,)),
            Op("RESHAPE", (0, 3), (4,)),
        ),
        r"operator 1 .GATHER., which makes t3: it takes elements \[9\] of 4",
    ),
    "shape of many": (
        net(
            [IMAGE, T((4,), "INT32"), T((20,), "INT32"), T((1, 1), signature=(-1, -1), **code(0.5, 3))],
            Op("SHAPE", (0,), (1,)),
            Op("CONCATENATION", (1,) * 5, (2,), {"Axis": 0}),
            Op("RESHAPE", (0, 2), (3,)),
        ),
        "operator 1 .CONCATENATION.*it joins constants of several dimensions, or too many",
    ),
    "output shape of a transposed convolution": (
        changed_case("transposed convolution", {3: {"data": np.array([1, 2], np.int32), "shape": (2,)}}),
        r"has the output shape \(1, 2\)",
    ),
    "small output of a transposed convolution": (
        changed_case(
            "transposed convolution",
            {3: {"data": np.array([1, 1, 1, 1], np.int32)}},
            options={"Padding": 1, "StrideH": 3, "StrideW": 3},
        ),
        "operator 0 .TRANSPOSE_CONV.*does not make 1x1 of a 5x1 map",
    ),
    "sides of blocks": (one_op("SPACE_TO_BATCH_ND", whole([2, 2]), whole([-1, 0, 0, 0])), r"pads or crops by \(-1, 0"),
    "permutation": (one_op("TRANSPOSE", whole([0, 1, 1, 2])), r"permutes \(1, 4, 4, 2\) by \(0, 1, 1, 2\)"),
    "pad of the batch": (one_op("PAD", whole([[1, 0], [0, 0], [0, 0], [0, 0]])), "pads 4 dimensions by"),
    "uneven pad": (one_op("PAD", whole([0, 0, 0])), "pads 4 dimensions by"),
    "fill": (
        one_op("PADV2", whole([[0, 0]] * 4), T((2,), data=np.zeros(2, np.int8), **code(0.5, 3))),
        r"fills with \(0, 0\), which is not one code",
    ),
    "join of two heights": (
        net(
            [IMAGE, whole([[0, 0], [1, 0], [0, 0], [0, 0]]), T((1, 5, 4, 2), **code(0.5, 3)), IMAGE],
            Op("PAD", (0, 1), (2,)),
            Op("CONCATENATION", (0, 2), (3,), {"Axis": 3}),
        ),
        r"joins \[\(1, 4, 4, 2\), \(1, 5, 4, 2\)\] along axis 3",
    ),
    "split of the batch": (
        net([IMAGE, whole(0), IMAGE], Op("SPLIT", (1, 0), (2,), {"NumSplits": 1})),
        r"splits axis 0 of \(1, 4, 4, 2\) into 1 parts",
    ),
    "sizes of a split": (
        net(
            [IMAGE, whole([1, 5]), whole(3), IMAGE, IMAGE, IMAGE],
            Op("SPLIT_V", (0, 1, 2), (3, 4), {"NumSplits": 2}),
            Op("ADD", (3, 4), (5,)),
        ),
        r"splits 2 elements into \(1, 5\)",
    ),
    "lengths of a cut": (
        one_op("SLICE", whole([0, 0]), whole([1, 1])),
        r"cuts \(1, 4, 4, 2\) from \(0, 0\) by \(1, 1\)",
    ),
    "cut outside": (one_op("SLICE", whole([0, 3, 0, 0]), whole([1, 2, 4, 2])), "out of .1, 4, 4, 2."),
    "size to enlarge to": (one_op("RESIZE_NEAREST_NEIGHBOR", whole([0, 8])), r"has the output size \(0, 8\)"),
    "slopes in float": (
        one_op("PRELU", T((2,), "FLOAT32", data=np.array([np.nan, 1], np.float32))),
        "t1 is float32, not int8",
    ),
    "gate for a number without dimensions": (
        net(
            [T((1, 1), **code(0.5, 3)), T((), **code(0.5, 3)), T((1, 1), **code(0.5, 3))],
            Op("RESHAPE", (0,), (1,)),
            Op("MUL", (1, 0), (2,)),
        ),
        r"its inputs have the shapes \(\) and \(1, 1\)",
    ),
    "cut of a number without dimensions": (
        net(
            [
                T((1, 1), **code(0.5, 3)),
                T((), **code(0.5, 3)),
                whole([1]),
                whole([0]),
                T((1,), "INT32"),
                T((), **code(0.5, 3)),
            ],
            Op("RESHAPE", (0,), (1,)),
            Op("STRIDED_SLICE", (2, 3, 3, 2), (4,)),  # nothing of a list
            Op("SLICE", (1, 4, 4), (5,)),
        ),
        r"operator 2 .SLICE.*it cuts \(\) by steps of \[\]",
    ),
    "reshape to negative extents": (
        net(
            [T((1, 6), **code(0.5, 3)), whole([-2, -3]), T((1, 1), signature=(-1, -1), **code(0.5, 3))],
            Op("RESHAPE", (0, 1), (2,)),
        ),
        r"it makes \(-2, -3\) of \(1, 6\)",
    ),
    "a row more than a transposed convolution makes": (
        changed_case(
            "transposed convolution",
            {3: {"data": np.array([1, 90, 1, 1], np.int32)}},
            options={"Padding": 0, "StrideH": 3, "StrideW": 3},
        ),
        "does not make 90x1 of a 5x1 map",
    ),
    "window": (
        one_op("MAX_POOL_2D", Padding=1, FilterHeight=9, FilterWidth=1, StrideH=1, StrideW=1),
        "max_pool_2d_0: QMaxPool2d: kernel 9x1 .* exceeds the padded input 4x4",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_refused_by_place_and_reason(case: tuple[Make, str], tmp_path: Path) -> None:
    make, message = case
    path = write(tmp_path / "net.tflite", *make())
    with pytest.raises(PteeError, match=f"(?s)net.tflite: .*{message}"):
        load_tflite(path, "net")


def test_an_output_that_ignores_the_input_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "net.tflite", [IMAGE, NUMBERS, T((4,), **code(0.5, 3))], [Op("RELU", (1,), (2,))])
    with pytest.raises(ModelError, match=r"the output does not depend on the input t0"):
        load_tflite(path, "net")


def test_an_accumulator_that_could_exceed_int32_is_refused(tmp_path: Path) -> None:
    tensors, operators = fully_connected(np.random.default_rng(0))
    out = tensors[2].shape[0]
    tensors[2] = replace(tensors[2], data=np.full(out, 2**31 - 1, np.int32))
    path = write(tmp_path / "net.tflite", tensors, [replace(operators[0], inputs=(0, 1, 2))])
    with pytest.raises(QuantizationError, match=r"fully_connected_0: the accumulator of output channel \d can reach"):
        load_tflite(path, "net")


def test_weights_that_many_layers_share_have_a_limit_in_all(tmp_path: Path) -> None:
    x, one = T((1, 2048, 2048, 1), **code(0.5, 3)), T((1, 1, 1, 1), **code(0.5, 3))
    weights = T(x.shape, data=np.zeros(x.shape, np.int8), **code(0.1, 0))
    convolve = {"Padding": 1, "StrideH": 1, "StrideW": 1}
    operators = [Op("CONV_2D", (0, 1), (i,), convolve) for i in range(2, 20)]
    operators.append(Op("CONCATENATION", range(2, 20), (20,), {"Axis": 3}))
    path = write(tmp_path / "net.tflite", [x, weights, *[one] * 18, T((1, 1, 1, 18), **code(0.5, 3))], operators)
    with pytest.raises(ModelError, match=r"operator 15 .*layers hold more than 67,108,864 B of constants"):
        load_tflite(path, "net")


def test_what_means_over_one_axis_hold_has_a_limit_in_all(tmp_path: Path) -> None:
    x, row = T((1, 4096, 2, 2048), **code(0.5, 3)), T((1, 2, 2048), **code(0.5, 3))
    operators = [Op("MEAN", (0, 1), (i,)) for i in range(2, 12)]
    operators.append(Op("CONCATENATION", range(2, 12), (12,), {"Axis": 2}))
    path = write(tmp_path / "net.tflite", [x, whole([1]), *[row] * 10, T((1, 2, 20_480), **code(0.5, 3))], operators)
    with pytest.raises(ModelError, match=r"operator 7 \(MEAN\).*layers hold more than 67,108,864 B of constants"):
        load_tflite(path, "net")
