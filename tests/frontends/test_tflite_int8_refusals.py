from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tflite", reason="reading TFLite files needs the package tflite")

from support.data import require_shared
from support.tflite_files import Op, T, code, whole, write
from support.tflite_wrong import IMAGE, NUMBERS, Make, changed_case, net, one_op

from ptee_mcu.errors import ModelError, UnsupportedOpError
from ptee_mcu.frontends.tflite.load import load_tflite

REFUSED: dict[str, tuple[Make, str]] = {
    "recurrent": (one_op("SVDF"), "operator 0 .SVDF., which makes t1, is not supported: it is recurrent.*DS-CNN"),
    "LSTM": (one_op("UNIDIRECTIONAL_SEQUENCE_LSTM"), "keeps a state between inferences"),
    "control flow": (one_op("WHILE"), "chooses at run time what is computed"),
    "custom": (
        lambda: ([IMAGE, IMAGE], [Op("CUSTOM", (0,), (1,), custom="MyOp")]),
        "operator 0 .MyOp., which makes t1, is not supported: it is a custom operator",
    ),
    "no kernel": (one_op("ROUND"), "it has no int8 kernel here.*see `ptee-mcu ops`"),
    "softmax in the middle": (
        net([IMAGE] * 3, Op("SOFTMAX", (0,), (1,), {"Beta": 1.0}), Op("RELU", (1,), (2,))),
        "operator 0 .SOFTMAX., which makes t1, is not supported: an int8 softmax has no kernel",
    ),
    "softmax with a temperature": (
        one_op("SOFTMAX", source=T((1, 4), **code(0.5, 3)), made=T((1, 4), **code(0.5, 3)), Beta=0.5),
        "operator 0 .SOFTMAX.*its beta is 0.5\n  hint: only 1 is supported",
    ),
    "softmax of pixels": (one_op("SOFTMAX", Beta=1.0), r"normalises the last axis of \(1, 4, 4, 2\)"),
    "float in the middle": (
        net(
            [IMAGE, T(IMAGE.shape, "FLOAT32"), T(IMAGE.shape, "FLOAT32"), IMAGE],
            Op("DEQUANTIZE", (0,), (1,)),
            Op("ELU", (1,), (2,)),
            Op("QUANTIZE", (2,), (3,)),
        ),
        "operator 0 .DEQUANTIZE.*computes in float within an int8 network",
    ),
    "legacy uint8": (
        one_op("RELU", source=replace(IMAGE, dtype="UINT8"), made=replace(IMAGE, dtype="UINT8")),
        "reads the uint8 input, and the network behind it is not int8",
    ),
    "int16 input": (one_op("RELU", source=replace(IMAGE, dtype="INT16")), "the input t0 is int16"),
    "int16 inside": (
        net([IMAGE, replace(IMAGE, dtype="INT16"), IMAGE], Op("RELU", (0,), (1,)), Op("RELU", (1,), (2,))),
        "t1 is int16, not int8\n  hint: convert with int8 activations",
    ),
    "activations per channel": (
        one_op("RELU", made=replace(IMAGE, scales=(0.1, 0.2), zeros=(0, 0), axis=3)),
        "t1 has no single scale",
    ),
    "other code": (
        one_op("MAX_POOL_2D", made=replace(IMAGE, scales=(0.7,)), FilterHeight=1, FilterWidth=1, StrideH=1, StrideW=1),
        r"it copies Quant\(.*\) to Quant\(",
    ),
    "fused tanh": (
        changed_case("sum", options={"FusedActivationFunction": 4}),
        "the fused activation TANH has no int8 form",
    ),
    "two constants": (
        net([IMAGE, NUMBERS, NUMBERS, IMAGE, IMAGE], Op("ADD", (1, 2), (3,)), Op("ADD", (0, 3), (4,))),
        "operator 0 .ADD.*its constant has the shape|is a constant",
    ),
    "constant input": (
        net(
            [T((1, 4), **code(0.5, 3)), NUMBERS, *[T((1, 4), **code(0.5, 3))] * 2],
            Op("RELU", (1,), (2,)),
            Op("ADD", (0, 2), (3,)),
        ),
        r"its input 0 \(t1\) is a constant",
    ),
    "weights in float": (
        net(
            [IMAGE, T((2, 1, 1, 2), "FLOAT32", data=np.zeros((2, 1, 1, 2), np.float32)), IMAGE],
            Op("CONV_2D", (0, 1), (2,), {"StrideH": 1, "StrideW": 1}),
        ),
        "its weights are float32",
    ),
    "weights with a zero point": (changed_case("depthwise", {1: {"zeros": (3,)}}), "its weights have a zero point"),
    "biases in int64": (
        changed_case(
            "fully connected",
            {2: {"dtype": "INT64", "data": np.zeros(1, np.int64), "shape": (1,), "scales": ()}},
            inputs=(0, 1, 2),
        ),
        "its biases are int64",
    ),
    "shuffled weights": (changed_case("fully connected", options={"WeightsFormat": 1}), "its weights are shuffled"),
    "difference of two tensors": (
        changed_case("sum", kind="SUB", table="SubOptions", options={}),
        "CMSIS-NN has no difference of two tensors",
    ),
    "sum with many numbers": (
        changed_case("sum with a number", {1: {"shape": (5,), "data": np.zeros(5, np.int8)}}),
        r"its constant has the shape \(5,\)",
    ),
    "sum of two shapes": (
        net(
            [IMAGE, whole([1, 2]), T((1, 1, 1, 2), **code(0.5, 3)), IMAGE],
            Op("MEAN", (0, 1), (2,), {"KeepDims": True}),
            Op("ADD", (0, 2), (3,)),
        ),
        r"its inputs have the shapes \(1, 4, 4, 2\) and \(1, 1, 1, 2\)",
    ),
    "product with an image": (
        one_op("MUL", T((4, 2), data=np.zeros((4, 2), np.int8), **code(0.1, 0))),
        r"its constant has the shape \(4, 2\)",
    ),
    "gate per row": (
        net(
            [IMAGE, whole([2, 3]), T((1, 4, 1, 1), **code(0.5, 3)), IMAGE],
            Op("REDUCE_MAX", (0, 1), (2,), {"KeepDims": True}),
            Op("MUL", (0, 2), (3,)),
        ),
        r"it reduces axes \[2, 3\] of \(1, 4, 4, 2\)",
    ),
    "wide gate": (
        net(
            [IMAGE, whole(2), T((1, 2, 4, 2), **code(0.5, 3)), T((1, 2, 4, 2), **code(0.5, 3)), IMAGE, whole(1)],
            Op("SPLIT", (5, 0), (2, 3), {"NumSplits": 2}),
            Op("MUL", (0, 2), (4,)),
        ),
        r"its inputs have the shapes \(1, 4, 4, 2\) and \(1, 2, 4, 2\)\n  hint: a gate is \(1, 1, 1, 2\)",
    ),
    "slopes per pixel": (
        one_op("PRELU", T((4, 4, 2), data=np.zeros((4, 4, 2), np.int8), **code(0.1, 0))),
        r"its slopes have the shape \(4, 4, 2\)",
    ),
    "mean of channels": (one_op("MEAN", whole([3]), made=T((1, 4, 4), **code(0.5, 3))), r"it reduces axes \[3\]"),
    "transposed output": (
        one_op("TRANSPOSE", whole([0, 3, 1, 2]), made=T((1, 2, 4, 4), **code(0.5, 3))),
        "the output is transposed",
    ),
    "read transposed": (
        net(
            [IMAGE, whole([0, 2, 1, 3]), IMAGE, IMAGE],
            Op("TRANSPOSE", (0, 1), (2,)),
            Op("MAX_POOL_2D", (2,), (3,), {"FilterHeight": 1, "FilterWidth": 1, "StrideH": 1, "StrideW": 1}),
        ),
        "it reads what a TRANSPOSE left",
    ),
    "transpose of 5 dimensions": (
        net(
            [IMAGE, T((1, 2, 2, 4, 2), **code(0.5, 3)), whole([0, 2, 1, 3, 4]), T((1, 2, 2, 4, 2), **code(0.5, 3))],
            Op("RESHAPE", (0,), (1,)),
            Op("TRANSPOSE", (1, 2), (3,)),
        ),
        r"it permutes \(1, 2, 2, 4, 2\)",
    ),
    "pool of 5 dimensions": (
        net(
            [IMAGE, T((1, 2, 2, 4, 2), **code(0.5, 3)), IMAGE],
            Op("RESHAPE", (0,), (1,)),
            Op("MAX_POOL_2D", (1,), (2,), {"FilterHeight": 1, "FilterWidth": 1, "StrideH": 1, "StrideW": 1}),
        ),
        r"its input has the shape \(1, 2, 2, 4, 2\)",
    ),
    "fused join": (changed_case("join", options={"Axis": 3, "FusedActivationFunction": 1}), "it ends with RELU"),
    "reshape to what is computed": (
        net(
            [IMAGE, T((2,), "INT32"), T((1, 1), signature=(-1, -1), **code(0.5, 3)), T((2,), "INT32")],
            Op("ARG_MAX", (0, 3), (1,)),
            Op("RESHAPE", (0, 1), (2,)),
        ),
        "reads tensor 3|its input t1 is computed",
    ),
    "reshape to nothing known": (
        one_op("RESHAPE", made=T((1, 1), signature=(-1, -1), **code(0.5, 3))),
        r"it makes \(\) of \(1, 4, 4, 2\), or its shape is not known",
    ),
    "cut by a step of channels": (
        one_op("STRIDED_SLICE", whole([0, 0, 0, 0]), whole([1, 4, 4, 2]), whole([1, 1, 1, -1])),
        "axis 3 has the step -1",
    ),
    "every other channel": (
        one_op(
            "STRIDED_SLICE",
            whole([0] * 4),
            whole([1, 4, 4, 4]),
            whole([1, 1, 1, 2]),
            source=T((1, 4, 4, 4), **code(0.5, 3)),
        ),
        r"it cuts \(1, 4, 4, 4\) by steps of \[1, 1, 1, 2\]",
    ),
    "new axis": (
        one_op("STRIDED_SLICE", whole([0] * 4), whole([1, 4, 4, 2]), whole([1] * 4), NewAxisMask=1),
        "its masks or lengths",
    ),
    "blocks that are not put together": (
        net(
            [IMAGE, whole([2, 2]), whole([[0, 0]] * 2), T((4, 2, 2, 2), **code(0.5, 3))],
            Op("SPACE_TO_BATCH_ND", (0, 1, 2), (3,)),
        ),
        "the output is a batch of blocks",
    ),
    "pool of blocks": (
        net(
            [
                IMAGE,
                whole([2, 2]),
                whole([[0, 0]] * 2),
                T((4, 2, 2, 2), **code(0.5, 3)),
                T((4, 2, 2, 2), **code(0.5, 3)),
            ],
            Op("SPACE_TO_BATCH_ND", (0, 1, 2), (3,)),
            Op("RELU", (3,), (4,)),
        ),
        "it reads what SPACE_TO_BATCH_ND dealt out",
    ),
    "blocks of nothing": (
        one_op("BATCH_TO_SPACE_ND", whole([2, 2]), whole([[0, 0]] * 2)),
        "it does not undo a SPACE_TO_BATCH_ND",
    ),
    "crops beyond the padding": (
        changed_case("dilated convolution", {7: {"data": np.array([[3, 1], [0, 0]], np.int32)}}),
        "it crops more than was padded",
    ),
    "blocks of rows": (one_op("SPACE_TO_BATCH_ND", whole([2]), whole([[0, 0]])), r"its blocks are \(2,\)"),
    "enlarged by half": (
        one_op("RESIZE_NEAREST_NEIGHBOR", whole([6, 6]), made=T((1, 6, 6, 2), **code(0.5, 3))),
        "it enlarges 4x4 to 6x6, not pixel by pixel",
    ),
    "enlarged to the corners": (
        one_op("RESIZE_NEAREST_NEIGHBOR", whole([12, 8]), made=T((1, 12, 8, 2), **code(0.5, 3)), AlignCorners=1),
        "not pixel by pixel",
    ),
    "repeated twice": (
        one_op("TILE", whole([1, 2, 2, 1]), made=T((1, 8, 8, 2), **code(0.5, 3))),
        r"it repeats \(1, 4, 4, 2\) by \(1, 2, 2, 1\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_has_no_counterpart_is_refused_by_place_and_reason(case: tuple[Make, str], tmp_path: Path) -> None:
    make, message = case
    path = write(tmp_path / "net.tflite", *make())
    with pytest.raises((UnsupportedOpError, ModelError), match=f"(?s)net.tflite: .*{message}") as refusal:
        load_tflite(path, "net")
    assert isinstance(refusal.value, UnsupportedOpError) or "reads tensor" in str(refusal.value)


def test_several_inputs_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "net.tflite", [IMAGE] * 3, [Op("ADD", (0, 1), (2,))], inputs=(0, 1))
    with pytest.raises(UnsupportedOpError, match=r"takes 2 inputs\n  hint: keep one input"):
        load_tflite(path, "net")


def test_several_outputs_are_refused(tmp_path: Path) -> None:
    operators = [Op("RELU", (0,), (1,)), Op("RELU", (0,), (2,))]
    path = write(tmp_path / "net.tflite", [IMAGE] * 3, operators, outputs=(1, 2))
    with pytest.raises(UnsupportedOpError, match=r"answers with 2 tensors"):
        load_tflite(path, "net")


def test_an_input_of_five_dimensions_is_refused(tmp_path: Path) -> None:
    volume = T((1, 2, 2, 2, 2), **code(0.5, 3))
    path = write(tmp_path / "net.tflite", [volume] * 2, [Op("RELU", (0,), (1,))])
    with pytest.raises(UnsupportedOpError, match=r"the input t0 has the shape \(1, 2, 2, 2, 2\)"):
        load_tflite(path, "net")


def test_an_input_with_two_codes_is_refused(tmp_path: Path) -> None:
    tensors = [T((1, 4), "FLOAT32"), *(T((1, 4), **code(scale, 0)) for scale in (0.5, 0.6, 0.7))]
    operators = [Op("QUANTIZE", (0,), (1,)), Op("QUANTIZE", (0,), (2,)), Op("ADD", (1, 2), (3,))]
    path = write(tmp_path / "net.tflite", tensors, operators)
    with pytest.raises(UnsupportedOpError, match=r"operator 1 \(QUANTIZE\).*the input is quantized twice"):
        load_tflite(path, "net")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("keyword_scrambled_8bit", r"operator 1 \(SVDF\).*it is recurrent"),
        ("mnist_lstm_int8", r"operator 0 \(UNIDIRECTIONAL_SEQUENCE_LSTM\).*it is recurrent"),
    ],
)
def test_published_recurrent_networks_are_refused(name: str, message: str) -> None:
    path = require_shared("models", "tflm", f"{name}.tflite")
    with pytest.raises(UnsupportedOpError, match=message):
        load_tflite(path, "net")
