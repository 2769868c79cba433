from pathlib import Path

import numpy as np
import onnx
import pytest
from support.data import cifar10_test, require_shared
from support.onnx_files import (
    MAP,
    assert_same,
    float_graph,
    imported,
    ints,
    kinds,
    model,
    node,
    runtime,
    w,
)

from ptee_mcu.frontends.onnx.load import load_onnx
from ptee_mcu.graph import forward
from ptee_mcu.ops import Clamp, Conv2d, Linear, Pad
from ptee_mcu.tensor import Padding

CHANNELS_LAST = (1, 9, 7, 3)


@pytest.mark.parametrize("opset", [11, 13, 17, 20, 22])
def test_convolution_pool_and_product_answer_as_onnxruntime_in_every_opset(opset: int, tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "k"], ["h"], pads=[1, 1, 1, 1]),
        node("Relu", ["h"], ["r"]),
        node("MaxPool", ["r"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["m"], ["f"]),
        node("Gemm", ["f", "g"], ["y"]),
    ]
    graph = assert_same(model(nodes, MAP, {"k": w(4, 3, 3, 3), "g": w(48, 5)}, opset=opset), tmp_path, MAP)
    assert kinds(graph) == ["Conv2d", "Clamp", "MaxPool2d", "Linear"]


def test_an_input_of_channels_last_stays_so(tmp_path: Path) -> None:
    nodes = [
        node("Mul", ["x", "s"], ["c"]),
        node("Sub", ["c", "m"], ["d"]),
        node("Transpose", ["d"], ["t"], perm=[0, 3, 1, 2]),
        node("Conv", ["t", "k"], ["h"], strides=[2, 2], auto_pad="SAME_UPPER"),
        node("Transpose", ["h"], ["u"], perm=[0, 2, 3, 1]),
        node("ReduceMean", ["u"], ["y"], axes=[1, 2], keepdims=0),
    ]
    proto = model(nodes, CHANNELS_LAST, {"s": np.float32(1 / 255), "m": w(3), "k": w(4, 3, 3, 3)})
    graph = assert_same(proto, tmp_path, CHANNELS_LAST, channels_first=False)
    assert graph.input_shape == CHANNELS_LAST
    assert [type(each.op) for each in graph.nodes][:2] == [Conv2d, Conv2d]


def test_an_open_batch_is_one(tmp_path: Path) -> None:
    proto = model([node("GlobalAveragePool", ["x"], ["y"])], ["N", 3, 5, 5])
    assert float_graph(proto, tmp_path).input_shape == (1, 5, 5, 3)


@pytest.mark.parametrize(("opset", "axis"), [(11, 1), (13, -1)])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_a_final_softmax_is_left_to_the_host(op: str, opset: int, axis: int, tmp_path: Path) -> None:
    nodes = [node("Gemm", ["x", "k"], ["h"]), node(op, ["h"], ["s"], axis=axis), node("Identity", ["s"], ["y"])]
    found = imported(model(nodes, (1, 6), {"k": w(6, 4)}, opset=opset), tmp_path)
    assert found.graph is not None
    assert found.graph.softmax
    assert kinds(found.graph) == ["Linear"]
    assert found.notes == (f"{op} (node 1, s) at the end is left out; the host may apply it to the logits",)


def test_nodes_without_use_are_never_looked_at(tmp_path: Path) -> None:
    nodes = [node("Einsum", ["x", "x"], ["unused"], equation="ab,ab->a"), node("Gemm", ["x", "k"], ["y"])]
    assert kinds(float_graph(model(nodes, (1, 6), {"k": w(6, 4)}), tmp_path)) == ["Linear"]


def test_functions_of_the_model_are_inlined(tmp_path: Path) -> None:
    proto = model([node("Twice", ["x"], ["h"]), node("Gemm", ["h", "k"], ["y"])], (1, 6), {"k": w(6, 4)})
    proto.graph.node[0].domain = "own"
    inside = [onnx.helper.make_node("Add", ["a", "a"], ["b"])]
    imports = [onnx.helper.make_opsetid("", 13)]
    proto.functions.append(onnx.helper.make_function("own", "Twice", ["a"], ["b"], inside, imports))
    proto.opset_import.append(onnx.helper.make_opsetid("own", 1))
    assert kinds(float_graph(proto, tmp_path)) == ["Add", "Linear"]


def test_weights_that_lie_beside_the_model_are_read(tmp_path: Path) -> None:
    proto = model([node("Gemm", ["x", "k"], ["y"])], (1, 64), {"k": w(64, 32)})
    onnx.save(proto, tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    found = load_onnx(tmp_path / "net.onnx", "net").graph
    assert found is not None
    np.testing.assert_array_equal(found.nodes[0].params["weight"], w(64, 32).T)


def test_weights_in_whole_codes_of_a_float_network_become_float(tmp_path: Path) -> None:
    nodes = [node("DequantizeLinear", ["q", "s"], ["k"], axis=1), node("Gemm", ["x", "k"], ["y"])]
    codes = np.arange(-12, 12, dtype=np.int8).reshape(6, 4)
    scale = np.float32([0.5, 0.25, 2, 1])
    found = imported(model(nodes, (1, 6), {"q": codes, "s": scale}), tmp_path)
    assert found.graph is not None
    np.testing.assert_array_equal(found.graph.nodes[0].params["weight"], (codes * scale).T)
    assert found.notes == ("its weights are quantized, its activations are not: they became float again",)


def test_padding_and_activation_stay_nodes_of_their_own(tmp_path: Path) -> None:
    nodes = [
        node("Pad", ["x", "p"], ["h"]),
        node("MaxPool", ["h"], ["m"], kernel_shape=[3, 3]),
        node("Relu", ["m"], ["r"]),
        node("GlobalAveragePool", ["r"], ["y"]),
    ]
    graph = assert_same(model(nodes, MAP, {"p": ints(0, 0, 1, 1, 0, 0, 1, 1)}), tmp_path, MAP)
    assert isinstance(graph.nodes[0].op, Pad)
    assert graph.nodes[0].op.padding == Padding(1, 1, 1, 1)
    assert isinstance(graph.nodes[2].op, Clamp)


def test_the_published_float_resnet8_answers_as_onnxruntime_on_real_images() -> None:
    path = require_shared("models", "onnx", "resnet8_float_kai_jiang.onnx")
    graph = load_onnx(path, "resnet8").graph
    assert graph is not None
    assert graph.input_shape == (1, 32, 32, 3)
    pixels, _ = cifar10_test(50)
    x = pixels.astype(np.float32)
    proto = onnx.load(path)
    expected = runtime(proto, x.transpose(0, 3, 1, 2), proto.graph.node[-1].input[0])
    logits = graph.exits[-1].logits
    actual = forward(graph, x, [logits])[logits].reshape(expected.shape)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert sum(isinstance(each.op, Conv2d | Linear) for each in graph.nodes) == 10
