from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto
from support.onnx_files import imported, integers, model, node, through_codes

from ptee_mcu.errors import ModelError, UnsupportedOpError

Array = npt.NDArray[Any]
SCALE = 0.05


def codes(*shape: int, seed: int = 0, kind: npt.DTypeLike = np.int8) -> Array:
    return np.random.default_rng(seed).integers(-127, 128, shape).astype(kind)


def plain(constants: dict[str, Array], **weight: Any) -> list[onnx.NodeProto]:
    return [
        *through_codes("x", "a", SCALE, 0, constants),
        integers("w", weight.pop("codes", codes(6, 4)), weight.pop("scale", np.float32(0.01)), constants, **weight),
        node("Gemm", ["a", "w"], ["b"]),
        *through_codes("b", "y", 0.1, 0, constants),
    ]


def test_asymmetric_weights_are_refused(tmp_path: Path) -> None:
    constants: dict[str, Array] = {}
    proto = model(plain(constants, zero_point=7), (1, 6), constants)
    with pytest.raises(UnsupportedOpError, match=r"DequantizeLinear \(node 2, w\): has constants with zero point 7"):
        imported(proto, tmp_path)


def test_scales_per_input_channel_are_refused(tmp_path: Path) -> None:
    constants: dict[str, Array] = {}
    proto = model(plain(constants, scale=np.float32([1, 2, 3, 4, 5, 6])), (1, 6), constants)
    with pytest.raises(UnsupportedOpError, match=r"b: its weights have scales of shape \(1, 6\)"):
        imported(proto, tmp_path)


def test_weights_of_another_type_are_refused(tmp_path: Path) -> None:
    constants: dict[str, Array] = {}
    nodes = plain(constants, codes=codes(6, 4, kind=np.int32) * 300)
    with pytest.raises(ModelError, match="b: its weights do not fit int8"):
        imported(model(nodes, (1, 6), constants), tmp_path)


def test_a_bias_that_exceeds_int32_is_refused(tmp_path: Path) -> None:
    constants: dict[str, Array] = {"c": np.full(4, 1e9, dtype=np.float32)}
    nodes = plain(constants)
    nodes[3] = node("Gemm", ["a", "w", "c"], ["b"])
    with pytest.raises(ModelError, match="b: a bias does not fit int32"):
        imported(model(nodes, (1, 6), constants), tmp_path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_float_values_that_are_not_finite_are_refused_between_integers(bad: float, tmp_path: Path) -> None:
    constants: dict[str, Array] = {"c": np.full(4, bad, dtype=np.float32)}
    nodes = plain(constants)
    nodes[3] = node("Gemm", ["a", "w", "c"], ["b"])
    with pytest.raises(ModelError, match="b: values of bias are NaN or infinite"):
        imported(model(nodes, (1, 6), constants), tmp_path)


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.INT8])
def test_integers_that_are_read_as_numbers_and_then_quantized_are_refused(kind: int, tmp_path: Path) -> None:
    constants: dict[str, Array] = {}
    nodes = [node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), *plain(constants)]
    nodes[1] = node("QuantizeLinear", ["f", *nodes[1].input[1:]], list(nodes[1].output))
    with pytest.raises(UnsupportedOpError, match=r"net: its input x of u?int8 is read as numbers, not as codes"):
        imported(model(nodes, (1, 6), constants, kind=kind), tmp_path)


def test_float_layers_between_quantized_ones_are_refused(tmp_path: Path) -> None:
    constants: dict[str, Array] = {"k": np.ones((4, 4), dtype=np.float32)}
    nodes = plain(constants)
    with pytest.raises(UnsupportedOpError, match="y: its weights are float, its input is quantized"):
        imported(
            model(
                [*nodes[:3], node("Gemm", ["a", "k"], ["y"]), *through_codes("y", "z", 1, 0, constants)],
                (1, 4),
                constants,
            ),
            tmp_path,
        )
    unfinished = [*nodes[:4], node("Relu", ["b"], ["y"])]
    with pytest.raises(UnsupportedOpError, match="b: Linear is float: no QuantizeLinear follows it"):
        imported(model(unfinished, (1, 6), constants), tmp_path)
    late = [node("Gemm", ["x", "m"], ["h"]), *nodes]
    late[1] = node("QuantizeLinear", ["h", *nodes[0].input[1:]], list(nodes[0].output))
    constants["m"] = np.ones((6, 6), dtype=np.float32)
    with pytest.raises(UnsupportedOpError, match="net: its input is not quantized before the first layer"):
        imported(model(late, (1, 6), constants), tmp_path)


def test_codes_that_change_their_meaning_are_refused(tmp_path: Path) -> None:
    constants: dict[str, Array] = {"other": np.float32(0.5)}
    nodes = plain(constants)
    nodes[1] = node("DequantizeLinear", ["a.codes", "other", "a.zero"], ["a"])
    with pytest.raises(UnsupportedOpError, match=r"reads codes of scale 0\.05 as ones of scale 0\.5"):
        imported(model(nodes, (1, 6), constants), tmp_path)


@pytest.mark.parametrize(
    ("scale", "zero", "match"),
    [
        (np.ones(6, dtype=np.float32), np.zeros(6, dtype=np.int8), "has 6 scales for one activation"),
        (np.float32(0.1), np.int16(0), "makes codes of type int16"),
        (np.float32(0), np.int8(0), "its scale 0.0 is not a positive finite number"),
        (np.float32(np.nan), np.int8(0), "its scale nan is not a positive finite number"),
    ],
)
def test_codes_that_are_not_int8_per_tensor_are_refused(scale: Array, zero: Array, match: str, tmp_path: Path) -> None:
    constants: dict[str, Array] = {}
    nodes = plain(constants)
    constants.update({"a.scale": scale, "a.zero": zero})
    with pytest.raises((UnsupportedOpError, ModelError), match=match):
        imported(model(nodes, (1, 6), constants, opset=21), tmp_path)


def test_a_scale_that_is_not_positive_is_refused_in_weights(tmp_path: Path) -> None:
    constants: dict[str, Array] = {}
    with pytest.raises(ModelError, match=r"\(node 2, w\): a scale is not a positive finite number"):
        imported(model(plain(constants, scale=np.float32(-1)), (1, 6), constants), tmp_path)


def test_as_many_scales_as_channels_are_needed(tmp_path: Path) -> None:
    constants: dict[str, Array] = {}
    nodes = plain(constants, scale=np.ones(5, dtype=np.float32), axis=1)
    with pytest.raises(ModelError, match=r"\(node 2, w\): 5 scales on axis 1 of shape \(6, 4\)"):
        imported(model(nodes, (1, 6), constants), tmp_path)
