from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tflite", reason="reading TFLite files needs the package tflite")

from support.data import require_shared
from support.float_litert import evaluate, relative_error
from support.tflite_files import Op, T, whole, write

from ptee_mcu import ops
from ptee_mcu.frontends.tflite.file import read_tflite
from ptee_mcu.frontends.tflite.float import float_graph, import_float
from ptee_mcu.graph import Graph
from ptee_mcu.ops import Clamp, Conv2d, HardSigmoid, HardSwish, Linear, Mul, SiLU
from ptee_mcu.tensor import HW, Padding

TOLERANCE = 1e-4  # of the largest logit

PUBLISHED = (
    "mlperf_tiny/ad/ad01_fp32.tflite",
    "mlperf_tiny/ic/pretrainedResnet.tflite",
    "mlperf_tiny/ic/pretrainedResnet_large_float.tflite",
    "mlperf_tiny/vww/vww_96_float.tflite",
    "models/tflm/hello_world_float.tflite",
)


def constant(*shape: int, seed: int = 0) -> T:
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return T(shape, "FLOAT32", data=values)


def real(*values: float) -> T:
    array = np.array(values, np.float32)
    return T(array.shape, "FLOAT32", data=array)


def computed(*shape: int) -> T:
    return T(shape, "FLOAT32")


def kinds(graph: Graph) -> list[type[ops.Op]]:
    return [type(node.op) for node in graph.nodes]


def load(path: Path, tensors: Sequence[T], operators: Sequence[Op]) -> tuple[Graph, tuple[str, ...]]:
    imported = import_float(read_tflite(write(path, tensors, operators)), "net")
    assert imported.graph is not None
    return imported.graph, imported.notes


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_float_file_computes_what_litert_computes(name: str) -> None:
    assert relative_error(require_shared(name)) <= TOLERANCE


def test_the_weights_of_a_published_dynamic_range_file_are_what_their_codes_stand_for() -> None:
    model = read_tflite(require_shared("mlperf_tiny", "kws", "kws_ref_model_float32.tflite"))
    imported = import_float(model, "kws")
    conv = next(op for op in model.operators if op.kind == "CONV_2D")
    tensor = model.tensors[conv.inputs[1]]
    assert tensor.code is not None
    assert tensor.data is not None
    want = tensor.data * tensor.code.scales[0]
    assert imported.graph is not None
    np.testing.assert_array_equal(imported.graph.nodes[0].params["weight"], want.astype(np.float32))
    assert imported.notes[0].startswith("dynamic-range file: its 8-bit weights are taken as the real numbers")


FILES = {
    "fully connected, dimensions kept": (
        [computed(1, 1, 1, 6), constant(4, 6), constant(4), computed(1, 1, 1, 4)],
        [Op("FULLY_CONNECTED", [0, 1, 2], [3], {"KeepNumDims": True, "FusedActivationFunction": 2})],
    ),
    "fully connected on an image": (
        [computed(1, 3, 2, 2), constant(4, 12), computed(1, 4)],
        [Op("FULLY_CONNECTED", [0, 1, -1], [2])],
    ),
    "division": (
        [computed(1, 2, 2, 3), real(2, -4, 0.5), computed(1, 2, 2, 3)],
        [Op("DIV", [0, 1], [2], {"FusedActivationFunction": 1})],
    ),
    "limits": (
        [computed(1, 2, 2, 3), real(0.5), computed(1, 2, 2, 3), real(-0.25), computed(1, 2, 2, 3)],
        [Op("MINIMUM", [0, 1], [2]), Op("MAXIMUM", [2, 3], [4])],
    ),
    "negative, from -1 to 1": (
        [computed(1, 2, 2, 3), computed(1, 2, 2, 3), computed(1, 2, 2, 3)],
        [Op("NEG", [0], [1]), Op("RELU_N1_TO_1", [1], [2])],
    ),
    "sum of a vector and a flat image": (
        [computed(1, 5), constant(3, 5), computed(1, 3), computed(1, 1, 1, 3), constant(3, 5, seed=1), computed(1, 3),
         computed(1, 1, 1, 3)],
        [Op("FULLY_CONNECTED", [0, 1, -1], [2]), Op("EXPAND_DIMS", [2, 7], [8]), Op("EXPAND_DIMS", [8, 7], [3]),
         Op("FULLY_CONNECTED", [0, 4, -1], [5]), Op("ADD", [3, 5], [6])],
    ),
    "axes of extent 1 moved": (
        [computed(1, 4, 1, 3), whole([0, 2, 1, 3]), computed(1, 1, 4, 3), constant(2, 1, 2, 3), computed(1, 1, 3, 2),
         real(1, 2)],
        [Op("TRANSPOSE", [0, 1], [2]), Op("CONV_2D", [2, 3, 5], [4], {"Padding": 1, "StrideH": 1, "StrideW": 1,
                                                                    "DilationHFactor": 1, "DilationWFactor": 1})],
    ),
    "squeezed": (
        [computed(1, 4, 1, 3), computed(4, 3), constant(2, 3), computed(4, 2)],
        [Op("SQUEEZE", [0], [1]), Op("FULLY_CONNECTED", [1, 2, -1], [3])],
    ),
    "one of two rows": (
        [computed(1, 3, 4, 2), whole([1]), computed(1, 4, 2), computed(1, 4, 2)],
        [Op("MEAN", [0, 1], [2]), Op("TANH", [2], [3])],
    ),
    "maximum of a map": (
        [computed(1, 3, 4, 2), whole([1, 2]), computed(1, 1, 1, 2)],
        [Op("REDUCE_MAX", [0, 1], [2], {"KeepDims": True})],
    ),
    "padded channels": (
        [computed(1, 2, 2, 1), whole([[0, 0], [1, 0], [0, 2], [1, 1]]), computed(1, 3, 4, 3)],
        [Op("PAD", [0, 1], [2])],
    ),
}  # fmt: skip
FILES["sum of a vector and a flat image"][0].extend([whole(1), computed(1, 1, 3)])


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_small_file_computes_what_litert_computes(file: tuple[list[T], list[Op]], tmp_path: Path) -> None:
    path = write(tmp_path / "net.tflite", *file)
    assert relative_error(path) <= TOLERANCE


CONV = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}


def test_a_convolution_of_three_by_three_is_what_the_hand_computes(tmp_path: Path) -> None:
    weight = T((1, 2, 2, 1), "FLOAT32", data=np.array([[[[1], [2]], [[3], [4]]]], np.float32))
    file = [computed(1, 2, 3, 1), weight, real(0.5), computed(1, 2, 3, 1)]
    graph, _ = load(tmp_path / "f", file, [Op("CONV_2D", [0, 1, 2], [3], {**CONV, "Padding": 0})])
    y = evaluate(graph, np.arange(1, 7, dtype=np.float32))
    # the even kernel pads below and to the right only
    assert y.ravel().tolist() == [1 + 4 + 12 + 20 + 0.5, 2 + 6 + 15 + 24 + 0.5, 3 + 18 + 0.5, 4 + 10.5, 5 + 12.5, 6.5]
    assert graph.nodes[0].op == Conv2d(padding=Padding(0, 0, 1, 1))


def test_a_constant_after_a_convolution_becomes_part_of_it(tmp_path: Path) -> None:
    image = computed(1, 2, 2, 2)
    file = [computed(1, 2, 2, 3), constant(2, 1, 1, 3), image, real(2, 3), image, real(1.0), image]
    steps = [
        Op("CONV_2D", [0, 1], [2], CONV),
        Op("MUL", [2, 3], [4]),
        Op("ADD", [4, 5], [6], {"FusedActivationFunction": 1}),
    ]
    graph, _ = load(tmp_path / "f", file, steps)
    assert kinds(graph) == [Conv2d, Clamp]
    np.testing.assert_allclose(graph.nodes[0].params["weight"], file[1].data * np.array([2, 3]).reshape(2, 1, 1, 1))
    assert graph.nodes[0].params["bias"].tolist() == [1, 1]


def test_a_clamped_layer_takes_in_what_scales_all_its_channels_alike(tmp_path: Path) -> None:
    file = [computed(1, 2), constant(3, 2), computed(1, 3), real(0.25), computed(1, 3), real(-1.0), computed(1, 3)]
    steps = [
        Op("FULLY_CONNECTED", [0, 1, -1], [2], {"FusedActivationFunction": 3}),
        Op("MUL", [2, 3], [4]),
        Op("ADD", [4, 5], [6]),
    ]
    path = write(tmp_path / "f", file, steps)
    graph = float_graph(read_tflite(path), "net")
    assert [node.op for node in graph.nodes] == [Linear(ops.Activation(-1.0, 0.5))]
    assert relative_error(path) <= TOLERANCE


def test_a_convolution_that_is_read_twice_keeps_its_weights(tmp_path: Path) -> None:
    file = [computed(1, 2, 2, 2), constant(2, 1, 1, 2), computed(1, 2, 2, 2), real(2, 3), computed(1, 2, 2, 2),
            computed(1, 2, 2, 2), real(1, 2)]  # fmt: skip
    steps = [Op("CONV_2D", [0, 1, 6], [2], CONV), Op("MUL", [2, 3], [4]), Op("ADD", [4, 2], [5])]
    path = write(tmp_path / "f", file, steps)
    graph = float_graph(read_tflite(path), "net")
    assert kinds(graph)[:2] == [Conv2d, Mul]
    assert relative_error(path) <= TOLERANCE


def test_scales_and_shifts_in_a_row_become_one(tmp_path: Path) -> None:
    file = [computed(1, 2, 2, 3), real(1, 2, 3), computed(1, 2, 2, 3), real(4.0), computed(1, 2, 2, 3)]
    graph, _ = load(tmp_path / "f", file, [Op("ADD", [0, 1], [2]), Op("MUL", [2, 3], [4])])
    assert kinds(graph) == [Conv2d]
    assert graph.nodes[0].op == Conv2d(groups=3)
    assert graph.nodes[0].params["weight"].ravel().tolist() == [4, 4, 4]
    assert graph.nodes[0].params["bias"].tolist() == [4, 8, 12]


@pytest.mark.parametrize(("gate", "whole_op"), [("LOGISTIC", SiLU), ("HARD", HardSwish)])
def test_a_tensor_that_gates_itself_is_one_op(gate: str, whole_op: type[ops.Op], tmp_path: Path) -> None:
    image = computed(1, 2, 2, 3)
    file = [image, image, real(3.0), image, real(1 / 6), image]
    hard = [Op("ADD", [0, 2], [3], {"FusedActivationFunction": 3}), Op("MUL", [3, 4], [1])]
    steps = [Op("LOGISTIC", [0], [1])] if gate == "LOGISTIC" else hard
    path = write(tmp_path / "f", file, [*steps, Op("MUL", [1, 0], [5])])
    assert kinds(float_graph(read_tflite(path), "net")) == [whole_op]
    assert relative_error(path) <= TOLERANCE


def test_a_gate_keeps_its_form_behind_a_layer(tmp_path: Path) -> None:
    file = [computed(1, 2), constant(3, 2), computed(1, 3), real(3.0), computed(1, 3), real(1 / 6), computed(1, 3)]
    steps = [
        Op("FULLY_CONNECTED", [0, 1, -1], [2]),
        Op("ADD", [2, 3], [4], {"FusedActivationFunction": 3}),
        Op("MUL", [4, 5], [6]),
    ]
    path = write(tmp_path / "f", file, steps)
    assert kinds(float_graph(read_tflite(path), "net")) == [Linear, HardSigmoid]
    assert relative_error(path) <= TOLERANCE


def test_a_sixth_and_a_half_within_0_and_1_is_a_hard_sigmoid(tmp_path: Path) -> None:
    image = computed(1, 2, 2, 3)
    file = [image, real(1 / 6), image, real(0.5), image, image, real(1.0), image]
    steps = [Op("MUL", [0, 1], [2]), Op("ADD", [2, 3], [4]), Op("RELU", [4], [5]), Op("MINIMUM", [5, 6], [7])]
    path = write(tmp_path / "f", file, steps)
    assert kinds(float_graph(read_tflite(path), "net")) == [HardSigmoid]
    assert relative_error(path) <= TOLERANCE


def test_zeros_around_a_convolution_become_its_padding(tmp_path: Path) -> None:
    file = [computed(1, 3, 3, 1), whole([[0, 0], [0, 1], [2, 0], [0, 0]]), computed(1, 4, 5, 1), constant(1, 2, 2, 1),
            computed(1, 3, 4, 1)]  # fmt: skip
    graph, _ = load(tmp_path / "f", file, [Op("PAD", [0, 1], [2]), Op("CONV_2D", [2, 3], [4], CONV)])
    assert [node.op for node in graph.nodes] == [Conv2d(padding=Padding(0, 2, 1, 0))]


def test_a_dilated_convolution_written_with_batches_is_one_convolution(tmp_path: Path) -> None:
    file = [computed(1, 6, 6, 1), whole([2, 2]), whole([[2, 2], [2, 2]]), computed(4, 5, 5, 1), constant(1, 3, 3, 1),
            computed(4, 3, 3, 1), whole([[0, 0], [0, 0]]), computed(1, 6, 6, 1), real(0.5)]  # fmt: skip
    steps = [
        Op("SPACE_TO_BATCH_ND", [0, 1, 2], [3]),
        Op("CONV_2D", [3, 4, 8], [5], CONV),
        Op("BATCH_TO_SPACE_ND", [5, 1, 6], [7]),
    ]
    path = write(tmp_path / "f", file, steps)
    graph = float_graph(read_tflite(path), "net")
    assert [node.op for node in graph.nodes] == [Conv2d(padding=Padding(2, 2, 2, 2), dilation=HW(2, 2))]
    assert relative_error(path) <= TOLERANCE


def test_a_flat_input_takes_the_shape_of_the_image_it_becomes(tmp_path: Path) -> None:
    file = [computed(1, 12), whole([-1, 2, 3, 2]), computed(1, 2, 3, 2), constant(4, 1, 1, 2), computed(1, 2, 3, 4)]
    graph, notes = load(tmp_path / "f", file, [Op("RESHAPE", [0, 1], [2]), Op("CONV_2D", [2, 3], [4], CONV)])
    assert graph.input_shape == (1, 2, 3, 2)
    assert kinds(graph) == [Conv2d]
    assert notes == ("the input of shape (1, 12) is taken as (1, 2, 3, 2): the same numbers in the same order",)


def test_a_final_softmax_is_left_out_and_noted(tmp_path: Path) -> None:
    file = [computed(1, 4), constant(3, 4), computed(1, 3), computed(1, 3)]
    graph, notes = load(
        tmp_path / "f", file, [Op("FULLY_CONNECTED", [0, 1, -1], [2]), Op("SOFTMAX", [2], [3], {"Beta": 1.0})]
    )
    assert graph.softmax
    assert kinds(graph) == [Linear]
    assert notes == ("SOFTMAX (operator 1) at the end is left out; the host may apply it to the logits",)


def test_weights_of_half_precision_and_of_eight_bits_become_float32(tmp_path: Path) -> None:
    half = T((2, 3), "FLOAT16", data=np.array([[1, 2, 3], [4, 5, 6]], np.float16))
    codes = T((2, 2), "INT8", scales=(0.5, 0.25), zeros=(0, 0), data=np.array([[2, 4], [-8, 127]], np.int8))
    file = [computed(1, 3), half, computed(2, 3), computed(1, 2), codes, computed(1, 2)]
    steps = [Op("DEQUANTIZE", [1], [2]), Op("FULLY_CONNECTED", [0, 2, -1], [3]), Op("FULLY_CONNECTED", [3, 4, -1], [5])]
    graph, notes = load(tmp_path / "f", file, steps)
    assert graph.nodes[0].params["weight"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert graph.nodes[1].params["weight"].tolist() == [[1, 2], [-2, 31.75]]
    assert [note[:13] for note in notes] == ["float16 weigh", "dynamic-range"]


def test_a_flatten_that_asks_for_its_shape_is_worked_out_for_a_batch_of_one(tmp_path: Path) -> None:
    file = [computed(1, 2, 2, 2), T((4,), "INT32"), whole([0]), whole([1]), whole([1]), T((), "INT32"), whole(8),
            T((2,), "INT32"), computed(1, 8), constant(3, 8), computed(1, 3)]  # fmt: skip
    steps = [
        Op("SHAPE", [0], [1]),
        Op("STRIDED_SLICE", [1, 2, 3, 4], [5], {"ShrinkAxisMask": 1}),
        Op("PACK", [5, 6], [7]),
        Op("RESHAPE", [0, 7], [8]),
        Op("FULLY_CONNECTED", [8, 9, -1], [10]),
    ]
    path = write(tmp_path / "f", file, steps)
    assert kinds(float_graph(read_tflite(path), "net")) == [Linear]
