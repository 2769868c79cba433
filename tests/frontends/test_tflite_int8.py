from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tflite", reason="reading TFLite files needs the package tflite")

from support.data import require_shared
from support.litert import reference
from support.tflite_cases import LAYERS, Case, fully_connected
from support.tflite_files import Op, T, code, whole, write
from support.tflite_moves import MOVES

from ptee_mcu.frontends.tflite.file import read_tflite
from ptee_mcu.frontends.tflite.load import load_tflite
from ptee_mcu.ops import QConv2d, QDepthwiseConv2d, QFullyConnected, QPad
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.sim import evaluate
from ptee_mcu.sim.kernels import KERNELS
from ptee_mcu.tensor import Int8, Padding, Quant

CASES = LAYERS | MOVES
SHARES = {  # bytes at the input of the final softmax that may differ, in 10,000: fully connected layers alone differ
    "mlperf_tiny/ic/pretrainedResnet_quant.tflite": 300,
    "mlperf_tiny/kws/kws_ref_model.tflite": 100,
    "mlperf_tiny/vww/vww_96_int8.tflite": 300,
    "mlperf_tiny/sww/str_ww_ref_model.tflite": 100,
    "models/tflm/micro_speech_quantized.tflite": 100,
    "models/mcunet/mcunet_vww.tflite": 100,
}


def _network(path: Path) -> QuantGraph:
    found = load_tflite(path, "net")
    assert found.graph is None
    assert found.quantized is not None
    return found.quantized


def _answers(network: QuantGraph, x: Int8) -> Int8:
    return evaluate(network, x.reshape(len(x), *network.input_tensor.shape[1:])).logits


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_operator_computes_the_bytes_of_the_reference_kernel(case: Case, tmp_path: Path) -> None:
    for seed in range(8):
        chance = np.random.default_rng(seed)
        path = write(tmp_path / "net.tflite", *case(chance))
        model, network = read_tflite(path), _network(path)
        x = chance.integers(-128, 128, (4, *model.tensors[0].shape[1:])).astype(np.int8)
        x[0].reshape(-1)[:256] = np.arange(-128, 128, dtype=np.int8)[: x[0].size]
        (expected,) = reference(path, x, model.outputs).values()
        np.testing.assert_array_equal(_answers(network, x), expected.reshape(len(x), -1), err_msg=f"seed {seed}")


def test_a_fully_connected_layer_differs_by_its_two_roundings_alone(tmp_path: Path) -> None:
    """LiteRT's reference kernel rounds once, from double; TFLite Micro and CMSIS-NN round twice, from integers."""
    differ = total = 0
    for seed in range(30):
        chance = np.random.default_rng(seed)
        path = write(tmp_path / "net.tflite", *fully_connected(chance))
        model, network = read_tflite(path), _network(path)
        x = chance.integers(-128, 128, (8, *model.tensors[0].shape[1:])).astype(np.int8)
        (expected,) = reference(path, x, model.outputs).values()
        given, weights, _, made = model.tensors
        assert given.code is not None
        assert weights.code is not None
        assert made.code is not None
        op = network.nodes[-1].op
        assert isinstance(op, QFullyConnected | QConv2d)
        rows = x.reshape(-1, weights.shape[1]).astype(np.int64) - given.code.zero_points[0]
        sums = rows @ op.weights.reshape(len(op.bias), -1).T.astype(np.int64) + op.bias
        factors = given.code.scales.astype(np.float64) * weights.code.scales / made.code.scales.astype(np.float64)
        exact = np.trunc(sums * factors + np.copysign(0.5, sums)) + made.code.zero_points[0]
        once = np.clip(exact, op.act_min, op.act_max).reshape(len(x), -1)
        np.testing.assert_array_equal(expected.reshape(len(x), -1), once)
        off = np.abs(_answers(network, x).astype(np.int64) - once)
        assert off.max() <= 1
        differ, total = differ + int((off > 0).sum()), total + off.size
    assert 0 < differ < total / 100


@pytest.mark.parametrize("name", SHARES)
def test_a_published_network_answers_as_the_reference_kernels_do(name: str) -> None:
    path = require_shared(*name.split("/"))
    model, network = read_tflite(path), _network(path)
    x = np.random.default_rng(0).integers(-128, 128, (10, *network.input_tensor.shape[1:])).astype(np.int8)
    inputs = x if model.tensors[model.inputs[0]].dtype.name == "INT8" else network.input_tensor.quant.reals(x)
    last = next(op for op in reversed(model.operators) if op.kind not in ("SOFTMAX", "DEQUANTIZE"))
    expected = reference(path, inputs, last.outputs)[last.outputs[0]].reshape(len(x), -1)
    found = _answers(network, x)
    np.testing.assert_array_equal(found.argmax(axis=1), expected.argmax(axis=1))
    assert (found != expected).mean() <= SHARES[name] / 10_000
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    "name",
    [
        "mlperf_tiny/ic/pretrainedResnet_quant.tflite",
        "mlperf_tiny/kws/kws_ref_model.tflite",
        "mlperf_tiny/ad/ad01_int8.tflite",
        "models/tflm/hello_world_int8.tflite",
    ],
)
def test_every_layer_of_a_published_network_agrees_on_equal_inputs(name: str) -> None:
    path = require_shared(*name.split("/"))
    model, network = read_tflite(path), _network(path)
    x = np.random.default_rng(0).integers(-128, 128, (5, *network.input_tensor.shape[1:])).astype(np.int8)
    made = {node.output: model.operators[int(node.name.rsplit("_", 1)[1])].outputs[0] for node in network.nodes}
    tensors = reference(path, x, list(made.values()))
    values = {network.input: x}
    for node in network.nodes:
        expected = tensors[made[node.output]].reshape(len(x), *network.tensors[node.output].shape[1:])
        found = KERNELS[type(node.op)](node.op, [values[t] for t in node.inputs], network.tensors[node.output])
        off = np.abs(found.astype(int) - expected)
        assert off.max() <= (1 if isinstance(node.op, QFullyConnected) else 0), node.name
        assert (off > 0).mean() <= 0.05, node.name
        values[node.output] = expected


def test_scales_and_integers_are_those_of_the_file() -> None:
    path = require_shared("mlperf_tiny", "ic", "pretrainedResnet_quant.tflite")
    model, network = read_tflite(path), _network(path)
    for node in network.nodes:
        op = model.operators[int(node.name.rsplit("_", 1)[1])]
        given = model.output(op).code
        assert given is not None
        assert network.tensors[node.output].quant == Quant(float(given.scales[0]), int(given.zero_points[0]))
        if isinstance(node.op, QConv2d | QFullyConnected):
            np.testing.assert_array_equal(node.op.weights, model.constant(op, 1))
            np.testing.assert_array_equal(node.op.bias, model.constant(op, 2))


def test_person_detect_is_read_though_litert_refuses_it() -> None:
    network = _network(require_shared("models", "tflm", "person_detect.tflite"))
    assert (len(network.nodes), network.macs(network.nodes), network.classes) == (29, 7_157_888, 2)
    assert isinstance(network.nodes[0].op, QDepthwiseConv2d)


def test_the_autoencoder_answers_with_all_its_codes() -> None:
    network = _network(require_shared("mlperf_tiny", "ad", "ad01_int8.tflite"))
    assert (network.classes, network.softmax) == (640, False)


def test_a_softmax_at_the_end_is_left_out_and_noted() -> None:
    found = load_tflite(require_shared("mlperf_tiny", "kws", "kws_ref_model.tflite"), "kws")
    assert found.quantized is not None
    assert found.quantized.softmax
    assert found.notes == ("SOFTMAX (operator 12) at the end is left out; the host may apply it to the logits",)


def test_an_input_of_rows_becomes_an_image_of_one_row_and_is_noted(tmp_path: Path) -> None:
    rows = T((1, 5, 3), **code(0.5, 3))
    found = load_tflite(write(tmp_path / "net.tflite", [rows, rows], [Op("RELU", (0,), (1,))]), "net")
    assert found.quantized is not None
    assert found.quantized.input_tensor.shape == (1, 1, 5, 3)
    note = "the input of shape (1, 5, 3) is taken as (1, 1, 5, 3): the same numbers in the same order"
    assert found.notes == (note,)


def test_float_borders_are_left_out_and_noted() -> None:
    found = load_tflite(require_shared("models", "mcunet", "mcunet_vww.tflite"), "vww")
    assert found.notes == (
        (
            "QUANTIZE (operator 0) of the float32 input is left out: inputs are int8 codes, scale 0.007839307, "
            "zero point 0"
        ),
        "DEQUANTIZE (operator 62) at the end is left out: the answer is int8 codes, not float32",
    )


@pytest.mark.parametrize(("scale", "zero"), [(0.5, 0), (0.37, 11)], ids=["the same steps", "other steps"])
def test_a_uint8_input_becomes_an_exact_table(scale: float, zero: int, tmp_path: Path) -> None:
    inner = code(0.5, -128)
    tensors = [T((1, 16, 16, 3), "UINT8", **code(scale, zero)), T((1, 16, 16, 3), **inner), T((1, 16, 16, 3), **inner)]
    tensors.append(T((1, 16, 16, 3), "UINT8", **code(0.5, 0)))
    operators = [Op("QUANTIZE", (0,), (1,)), Op("RELU", (1,), (2,)), Op("QUANTIZE", (2,), (3,))]
    path = write(tmp_path / "net.tflite", tensors, operators)
    found = load_tflite(path, "net")
    assert found.quantized is not None
    pixels = np.arange(768, dtype=np.uint8).reshape(1, 16, 16, 3)
    codes = reference(path, pixels, [1, 2])
    np.testing.assert_array_equal(found.quantized.input_codes(pixels), codes[1][0])
    np.testing.assert_array_equal(_answers(found.quantized, codes[1][0]), codes[2][0].reshape(1, -1))
    assert found.notes == (
        "QUANTIZE (operator 0) of the uint8 input became the table of pixels to scale 0.5, zero point -128",
        "QUANTIZE (operator 2) at the end is left out: the answer is int8 codes, not uint8",
    )


def test_a_pad_becomes_the_padding_of_the_convolution_behind_it(tmp_path: Path) -> None:
    network = _network(write(tmp_path / "net.tflite", *LAYERS["padded convolution"](np.random.default_rng(0))))
    (node,) = network.nodes
    assert isinstance(node.op, QConv2d)
    assert node.op.padding == Padding(1, 2, 2, 0)


def test_a_pad_wider_than_the_kernel_stays(tmp_path: Path) -> None:
    tensors, operators = LAYERS["padded convolution"](np.random.default_rng(0))
    tensors[3], tensors[4] = (
        whole([[0, 0], [1, 3], [0, 0], [0, 0]]),
        T((1, 10, 5, 3), scales=tensors[0].scales, zeros=tensors[0].zeros),
    )
    tensors[5] = T((1, 4, 2, 4), scales=tensors[5].scales, zeros=tensors[5].zeros)
    network = _network(write(tmp_path / "net.tflite", tensors, operators))
    assert [type(node.op) for node in network.nodes] == [QPad, QConv2d]


def test_an_open_batch_and_the_arithmetic_of_its_shapes_leave_nothing_behind(tmp_path: Path) -> None:
    same = code(0.5, 3)
    tensors = [
        T((1, 4, 3, 2), signature=(-1, 4, 3, 2), **same),
        T((4,), "INT32"),
        whole([0]),
        whole([1]),
        T((), "INT32"),
        whole(24),
        T((2,), "INT32"),
        T((1, 1), signature=(-1, -1), **same),
        T((1, 24), signature=(-1, 24), **same),
    ]
    operators = [
        Op("SHAPE", (0,), (1,)),
        Op("STRIDED_SLICE", (1, 2, 3, 3), (4,), {"ShrinkAxisMask": 1}),
        Op("PACK", (4, 5), (6,)),
        Op("RESHAPE", (0, 6), (7,)),
        Op("RELU", (7,), (8,)),
    ]
    network = _network(write(tmp_path / "net.tflite", tensors, operators))
    assert [node.name for node in network.nodes] == ["relu_4"]
