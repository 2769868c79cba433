from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto
from support.onnx_files import imported, integers, model, node, runtime, through_codes, to_graph

from ptee_mcu.ops import (
    QAdd,
    QConv2d,
    QConvTranspose2d,
    QDepthwiseConv2d,
    QFullyConnected,
    QLookup,
    QMaxPool2d,
    QMean,
    QMul,
)
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import Int8, Quant

Array = npt.NDArray[Any]
MAP = (1, 3, 6, 5)
SCALE = 0.05  # of the inputs
PUBLISHED = ("ad", "kws", "resnet8", "vww")


def codes(*shape: int, seed: int = 0, kind: npt.DTypeLike = np.int8) -> Array:
    return np.random.default_rng(seed).integers(-127, 128, shape).astype(kind)


def quantized(proto: onnx.ModelProto, folder: Path) -> QuantGraph:
    found = imported(proto, folder).quantized
    assert found is not None
    return found


def logits(network: QuantGraph, x: Int8) -> Int8:
    return evaluate(network, x).logits


def layer(
    folder: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, Array],
    output: tuple[float, int],
    *,
    shape: tuple[int, ...] = MAP,
    opset: int = 13,
    kind: npt.DTypeLike = np.int8,
) -> tuple[QuantGraph, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The network "x" -> codes -> `nodes` ("a" to "b") -> codes, its answers and those of onnxruntime, as int8 codes.

    Feature maps end in a mean over height and width of the same code, so that the network ends in a row.
    """
    zero = 3 if kind == np.int8 else 131
    before = through_codes("x", "a", SCALE, zero, constants, kind)
    scale, zero_out = output
    after = through_codes("b", "y", scale, zero_out, constants, kind)
    proto = model([*before, *nodes, *after], shape, constants, opset=opset)
    network = quantized(proto, folder)
    given = np.random.default_rng(1).integers(-128, 128, (50, *shape[1:]))
    reals = ((given - 3) * np.float32(SCALE)).astype(np.float32)
    expected = runtime(proto, reals, "y.codes").astype(np.int64) - (128 if kind == np.uint8 else 0)
    actual = logits(network, to_graph(given.astype(np.int8), network.input_tensor.shape))
    return network, actual.reshape(len(given), -1).astype(np.int64), expected.reshape(len(given), -1)


def ops(network: QuantGraph) -> list[type]:
    return [type(each.op) for each in network.nodes]


def assert_close(actual: npt.NDArray[np.int64], expected: npt.NDArray[np.int64], *, equal: float) -> None:
    """At most one code apart, and the share `equal` of them not at all."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 1
    assert np.mean(actual == expected) >= equal
    assert len(np.unique(expected)) > 5


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
def test_a_convolution_keeps_its_integers(kind: npt.DTypeLike, tmp_path: Path) -> None:
    """uint8 codes become int8 ones, 128 less."""
    constants: dict[str, Array] = {}
    weights, offset = codes(4, 3, 6, 5), 128 if kind == np.uint8 else 0
    scales = np.float32([0.01, 0.002, 0.005, 0.003])
    biases = np.array([1000, -2000, 30, 4], dtype=np.int32)
    nodes = [
        integers("w", (weights.astype(np.int64) + offset).astype(kind), scales, constants, zero_point=offset),
        integers("c", biases, SCALE * scales, constants),
        node("Conv", ["a", "w", "c"], ["h"]),
        node("Relu", ["h"], ["r"]),
        node("Flatten", ["r"], ["b"]),
    ]
    zero = -128 + offset
    network, actual, expected = layer(tmp_path, nodes, constants, (0.05, zero), kind=kind)
    conv = network.nodes[0].op
    assert isinstance(conv, QConv2d)
    np.testing.assert_array_equal(conv.weights, weights.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(conv.bias, biases)
    np.testing.assert_allclose(conv.requant.real(), scales * SCALE / 0.05, rtol=1e-6)
    assert (conv.input_offset, conv.output_offset, conv.act_min) == (-3, -128, -128)
    assert network.input_tensor.quant == Quant(float(np.float32(SCALE)), 3)
    assert_close(actual, expected, equal=0.98)


def test_a_depthwise_convolution_and_its_clip_become_one(tmp_path: Path) -> None:
    constants: dict[str, Array] = {"low": np.float32(0), "high": np.float32(1.5)}
    nodes = [
        integers("w", codes(6, 1, 6, 5), np.float32(0.01), constants),
        node("Conv", ["a", "w"], ["h"], group=3),
        node("Clip", ["h", "low", "high"], ["r"]),
        node("Flatten", ["r"], ["b"]),
    ]
    network, actual, expected = layer(tmp_path, nodes, constants, (0.02, -100))
    op = network.nodes[0].op
    assert isinstance(op, QDepthwiseConv2d)
    assert (op.act_min, op.act_max) == (-100, -25)
    assert_close(actual, expected, equal=0.98)


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_product_behind_a_flatten_has_its_columns_in_the_order_of_the_bytes(
    per_channel: bool,  # noqa: FBT001 - a parameter of the test
    tmp_path: Path,
) -> None:
    constants: dict[str, Array] = {}
    scale = np.float32([0.003, 0.002, 0.001, 0.004]) if per_channel else np.float32(0.003)
    nodes = [
        integers("w", codes(90, 4), scale, constants, axis=1),
        node("Flatten", ["a"], ["f"]),
        node("MatMul", ["f", "w"], ["m"]),
        integers("c", np.array([900, -400, 0, 50], np.int32), np.float32(SCALE) * scale, constants),
        node("Add", ["m", "c"], ["b"]),
    ]
    network, actual, expected = layer(tmp_path, nodes, constants, (0.08, 10))
    assert (QFullyConnected in ops(network)) is not per_channel
    assert_close(actual, expected, equal=0.98)


def test_a_bias_of_another_scale_or_in_float_is_rounded_to_the_products_scale(tmp_path: Path) -> None:
    reals = np.float32([1.0, -2.0, 0.5, 0.0])
    for own in (True, False):
        constants: dict[str, Array] = {"c": reals} if not own else {}
        nodes = [integers("w", codes(6, 4), np.float32(0.01), constants, axis=1)]
        nodes += [integers("c", (reals * 64).astype(np.int32), np.float32(1 / 64), constants)] if own else []
        nodes += [node("Gemm", ["a", "w", "c"], ["b"])]
        network, actual, expected = layer(tmp_path, nodes, constants, (0.07, 10), shape=(1, 6))
        op = network.nodes[-1].op
        assert isinstance(op, QFullyConnected)
        np.testing.assert_array_equal(op.bias, np.rint(reals / (SCALE * 0.01)))
        assert_close(actual, expected, equal=0.98)


def test_pools_between_codes(tmp_path: Path) -> None:
    """A mean over the whole map goes to its own code at once; windows of other codes are convolutions of ones."""
    constants: dict[str, Array] = {}
    nodes = [
        node("MaxPool", ["a"], ["m"], kernel_shape=[2, 2], strides=[1, 1]),
        *through_codes("m", "n", SCALE, 3, constants),
        node("AveragePool", ["n"], ["v"], kernel_shape=[2, 2], strides=[1, 1]),
        *through_codes("v", "u", 0.04, -5, constants),
        node("GlobalAveragePool", ["u"], ["g"]),
        node("Flatten", ["g"], ["b"]),
    ]
    network, actual, expected = layer(tmp_path, nodes, constants, (0.03, -60))
    assert ops(network)[:3] == [QMaxPool2d, QDepthwiseConv2d, QMean]
    assert_close(actual, expected, equal=0.8)  # a mean is rounded twice, with few bits between


def test_sums_products_and_functions_of_codes(tmp_path: Path) -> None:
    constants: dict[str, Array] = {}
    nodes = [
        node("Sigmoid", ["a"], ["s"]),
        *through_codes("s", "t", 1 / 256, -128, constants),
        node("Mul", ["a", "t"], ["m"]),
        *through_codes("m", "n", 0.03, -10, constants),
        node("Add", ["n", "a"], ["h"]),
        node("Relu", ["h"], ["r"]),
        *through_codes("r", "q", 0.05, -128, constants),
        node("Flatten", ["q"], ["b"]),
    ]
    network, actual, expected = layer(tmp_path, nodes, constants, (0.05, -128), shape=(1, 30))
    assert ops(network)[:3] == [QLookup, QMul, QAdd]
    assert_close(actual, expected, equal=0.99)


def test_joined_tensors_take_on_one_code_before(tmp_path: Path) -> None:
    constants: dict[str, Array] = {"half": np.float32(0.5)}
    nodes = [
        node("LeakyRelu", ["a"], ["l"], alpha=0.25),
        *through_codes("l", "m", 0.03, -60, constants),
        node("Mul", ["a", "half"], ["h"]),
        *through_codes("h", "i", 0.04, 9, constants),
        node("Concat", ["m", "i"], ["b"], axis=1),
    ]
    network, actual, expected = layer(tmp_path, nodes, constants, (0.04, 9), shape=(1, 12))
    assert ops(network).count(QLookup) == 3
    assert_close(actual, expected, equal=1.0)


def test_a_second_code_of_a_tensor_is_a_table(tmp_path: Path) -> None:
    constants: dict[str, Array] = {}
    nodes = through_codes("a", "b", 0.1, -20, constants)
    network, actual, expected = layer(tmp_path, nodes, constants, (0.1, -20), shape=(1, 30))
    assert ops(network) == [QLookup]
    assert_close(actual, expected, equal=1.0)


def test_a_transposed_convolution_keeps_its_integers(tmp_path: Path) -> None:
    constants: dict[str, Array] = {}
    nodes = [
        integers("w", codes(3, 4, 3, 3), np.float32([0.01, 0.02, 0.005, 0.01]), constants, axis=1),
        node("ConvTranspose", ["a", "w"], ["h"], strides=[2, 2]),
        *through_codes("h", "i", 0.2, 0, constants),
        node("GlobalMaxPool", ["i"], ["g"]),
        node("Flatten", ["g"], ["b"]),
    ]
    network, actual, expected = layer(tmp_path, nodes, constants, (0.2, 0))
    assert isinstance(network.nodes[0].op, QConvTranspose2d)
    assert_close(actual, expected, equal=0.9)


@pytest.mark.parametrize(("kind", "numpy_kind"), [(TensorProto.UINT8, np.uint8), (TensorProto.INT8, np.int8)])
def test_integer_inputs_need_no_conversion(kind: int, numpy_kind: npt.DTypeLike, tmp_path: Path) -> None:
    constants: dict[str, Array] = {"s": np.float32(0.1), "z": np.array(5, dtype=numpy_kind)}
    nodes = [
        node("DequantizeLinear", ["x", "s", "z"], ["a"]),
        integers("w", codes(4, 2, 1, 1), np.float32(0.01), constants),
        node("Conv", ["a", "w"], ["h"]),
        *through_codes("h", "i", 0.1, 0, constants, np.uint8),
        node("GlobalAveragePool", ["i"], ["g"]),
        node("QuantizeLinear", ["g", "i.scale", "i.zero"], ["y"]),
    ]
    proto = model(nodes, (1, 2, 3, 3), constants, kind=kind, output_kind=TensorProto.UINT8)
    network = quantized(proto, tmp_path)
    offset = 128 if kind == TensorProto.UINT8 else 0
    assert network.input_tensor.quant == Quant(float(np.float32(0.1)), 5 - offset)
    given = np.random.default_rng(0).integers(0, 128, (20, 2, 3, 3)).astype(numpy_kind)
    x = to_graph(given, network.input_tensor.shape)
    if kind == TensorProto.UINT8:
        assert network.preprocess is not None
        assert network.preprocess[200].tolist() == [72, 72]
        x = network.input_codes(x)
    else:
        assert network.preprocess is None
    expected = runtime(proto, given).astype(np.int64) - 128
    assert np.abs(logits(network, x).reshape(20, -1) - expected.reshape(20, -1)).max() <= 1


@pytest.mark.parametrize(("output_dtype", "low"), [(TensorProto.INT8, 0), (TensorProto.UINT8, -128), (0, -128)])
def test_codes_without_a_zero_point_are_of_the_type_that_output_dtype_says(
    output_dtype: int, low: int, tmp_path: Path
) -> None:
    constants: dict[str, Array] = {"s": np.float32(SCALE)}
    nodes = [
        node("QuantizeLinear", ["x", "s"], ["q"], output_dtype=output_dtype),
        node("DequantizeLinear", ["q", "s"], ["a"]),
        integers("w", codes(6, 4), 0.01, constants),
        node("Gemm", ["a", "w"], ["b"]),
        *through_codes("b", "y", 0.1, 0, constants),
    ]
    network = quantized(model(nodes, (1, 6), constants, opset=21), tmp_path)
    assert network.input_tensor.quant == Quant(float(np.float32(SCALE)), low)


@pytest.mark.parametrize(("kind", "zero"), [(TensorProto.UINT8, -128), (TensorProto.INT8, 0)])
def test_an_integer_input_that_is_moved_before_it_is_read_keeps_its_type(kind: int, zero: int, tmp_path: Path) -> None:
    constants: dict[str, Array] = {"s": np.float32(SCALE)}
    nodes = [
        node("Flatten", ["x"], ["f"]),
        node("DequantizeLinear", ["f", "s"], ["a"]),
        integers("w", codes(90, 4), 0.01, constants),
        node("Gemm", ["a", "w"], ["b"]),
        *through_codes("b", "y", 0.1, 0, constants),
    ]
    network = quantized(model(nodes, MAP, constants, kind=kind), tmp_path)
    assert network.input_tensor.quant == Quant(float(np.float32(SCALE)), zero)
