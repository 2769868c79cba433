"""Small ONNX files that would grow without bound, and values that no layer can have."""

import os
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_files import MAP, Array, edited, float_graph, imported, model, node, small, w

from ptee_mcu.errors import PteeError

ONE_NUMBER = [
    node("ReduceMean", ["x"], ["a"], axes=[2, 3]),
    node("Conv", ["a", "k"], ["b"]),
    node("Squeeze", ["b"], ["c"]),
]


def _called(*functions: onnx.FunctionProto, times: int = 1) -> onnx.ModelProto:
    """A model that calls the first function `times` times, one after the other."""

    def edit(proto: onnx.ModelProto) -> None:
        names = ["x", *(f"h{i}" for i in range(1, times)), "y"]
        del proto.graph.node[:]
        for source, target in pairwise(names):
            proto.graph.node.append(helper.make_node(functions[0].name, [source], [target], domain="own"))
        proto.functions.extend(functions)
        proto.opset_import.append(helper.make_opsetid("own", 1))

    return edited(small(), edit)


def _function(name: str, nodes: Sequence[onnx.NodeProto]) -> onnx.FunctionProto:
    return helper.make_function("own", name, ["a"], ["b"], nodes, [helper.make_opsetid("", 13)])


def _branching(name: str, inside: str) -> onnx.FunctionProto:
    """Calls `inside` a hundred times in a branch."""
    calls = [helper.make_node(inside, ["a"], [f"c{i}"], domain="own") for i in range(100)]
    branch = helper.make_graph(calls, "branch", [], [helper.make_tensor_value_info("c0", 1, None)])
    return _function(name, [helper.make_node("If", ["a"], ["b"], then_branch=branch, else_branch=branch)])


def _branches_of_calls() -> onnx.ModelProto:
    return _called(*(_branching(f"F{i}", f"F{i + 1}") for i in range(4)))


def _heavy_function() -> onnx.ModelProto:
    weight = numpy_helper.from_array(np.zeros(1 << 16, dtype=np.float32))
    body = [helper.make_node("Constant", [], ["w"], value=weight), helper.make_node("Identity", ["a"], ["b"])]
    return _called(_function("F", body), times=600)


def _two_of_one_name() -> onnx.ModelProto:
    body = [helper.make_node("Identity", ["a"], ["b"])]
    return _called(_function("F", body), _function("F", body))


def _shared_weight() -> onnx.ModelProto:
    nodes = [node("Conv", [f"h{i}" if i else "x", "k"], [f"h{i + 1}"], pads=[1, 1, 1, 1]) for i in range(5000)]
    return model(nodes, (1, 64, 9, 7), {"k": w(64, 64, 3, 3)})


def _chain_of_constants() -> onnx.ModelProto:
    shape = np.array([1 << 23], dtype=np.int64)
    nodes = [node("ConstantOfShape", ["s"], ["h0"]), *(node("Neg", [f"h{i}"], [f"h{i + 1}"]) for i in range(2000))]
    return model([*nodes, node("Mul", ["x", "h2000"], ["y"])], MAP, {"s": shape})


def _one_constant_joined_often() -> onnx.ModelProto:
    shape = np.array([1 << 20], dtype=np.int64)
    nodes = [node("ConstantOfShape", ["s"], ["h"]), node("Concat", ["h"] * 4000, ["k"], axis=0)]
    return model([*nodes, node("Mul", ["x", "k"], ["y"])], MAP, {"s": shape})


def _integers_read_often() -> onnx.ModelProto:
    constants: dict[str, Array] = {"q": np.zeros(1 << 20, dtype=np.int8), "s": np.array(0.1, dtype=np.float32)}
    nodes = [node("DequantizeLinear", ["q", "s"], [f"k{i}"]) for i in range(100)]
    sums = [node("Mul", [f"h{i}" if i else "x", f"k{i}"], [f"h{i + 1}"]) for i in range(100)]
    return model([*nodes, *sums], (1, 1 << 20), constants)


def _not_a_number(op: str) -> onnx.ModelProto:
    return model([node(op, ["x", "n"], ["y"])], MAP, {"n": np.array(np.nan, dtype=np.float32)})


GROWING: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "functions in branches": (_branches_of_calls, "nodes once its functions are inlined; the limit is 20000"),
    "a function of many bytes": (_heavy_function, "may take 1573.* B once its functions are inlined; the limit is"),
    "functions of one name": (_two_of_one_name, r"net\.onnx: two functions of the model have one name"),
    "one weight of many layers": (_shared_weight, "makes 36864 elements of constants; .* are left of 67108864"),
    "constants of constants": (_chain_of_constants, r"Neg \(node 8, h8\): makes 8388608 elements of constants; 0 are"),
    "one constant joined often": (_one_constant_joined_often, r"Concat \(node 1, k\): makes 4194304000 elements"),
    "integers read often": (_integers_read_often, r"\(node \d+, .*\): makes 1048576 elements of constants; 0 are left"),
}
IMPOSSIBLE: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "axes of one number": (
        lambda: model([*ONE_NUMBER, node("Squeeze", ["c", "i"], ["y"])], MAP, {"k": w(1, 3, 1, 1), "i": _axis()}),
        r"Squeeze \(node 3, y\): axes \(0,\) of shape \(\)",
    ),
    "a product of one number": (
        lambda: model([*ONE_NUMBER, node("MatMul", ["c", "g"], ["y"])], MAP, {"k": w(1, 3, 1, 1), "g": w(1, 4)}),
        "multiplies one number without dimensions by a matrix",
    ),
    "a limit that is left out": (lambda: model([node("Max", ["x", ""], ["y"])], MAP), "compares tensors|onnx.checker"),
    "a limit that is no number": (lambda: _not_a_number("Min"), "its limit is NaN"),
    "a lower limit that is no number": (lambda: _not_a_number("Clip"), "its lower limit is NaN"),
    "a slope that is no number": (
        lambda: model([node("LeakyRelu", ["x"], ["y"], alpha=float("nan"))], MAP),
        r"LeakyRelu \(node 0, y\): attribute alpha is nan",
    ),
    "weights of text": (
        lambda: model(
            [node("Cast", ["k"], ["t"], to=TensorProto.STRING), node("Conv", ["x", "t"], ["y"])],
            MAP,
            {"k": w(2, 3, 3, 3)},
        ),
        r"Cast \(node 0, t\): makes constants of type .*, which are not supported",
    ),
    "weights of no output": (
        lambda: model([node("Gemm", ["x", "k"], ["y"])], (1, 6), {"k": w(6, 0)}),
        r"Gemm \(node 0, y\): its output has 0 elements",
    ),
}


def _axis() -> Array:
    return np.zeros(1, dtype=np.int64)


@pytest.mark.parametrize(("make", "match"), GROWING.values(), ids=GROWING)
def test_files_that_grow_without_bound_are_refused_before_they_do(
    make: Callable[[], onnx.ModelProto], match: str, tmp_path: Path
) -> None:
    proto = make()
    start = time.monotonic()
    with pytest.raises(PteeError, match=match):
        imported(proto, tmp_path)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize(("make", "match"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_no_layer_can_have_is_refused(make: Callable[[], onnx.ModelProto], match: str, tmp_path: Path) -> None:
    with pytest.raises(PteeError, match=match):
        imported(make(), tmp_path)


def test_many_nodes_of_one_name_are_numbered_in_time(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", [f"h{i}" if i else "x"], [f"h{i + 1}"], name="same") for i in range(10_000)]
    start = time.monotonic()
    graph = float_graph(model([*nodes, node("Gemm", ["h10000", "k"], ["y"])], (1, 6), {"k": w(6, 4)}), tmp_path)
    assert time.monotonic() - start < 10
    assert [each.name for each in graph.nodes[:3]] == ["same", "same_1", "same_2"]


def test_an_output_of_constants_that_is_left_out_shifts_no_other(tmp_path: Path) -> None:
    nodes = [helper.make_node("Split", ["c"], ["", "s"], axis=0)]
    pair = np.array([2, 3], dtype=np.float32).reshape(2, 1, 1, 1)
    graph = float_graph(
        model([*nodes, node("Mul", ["x", "s"], ["h"]), node("GlobalMaxPool", ["h"], ["y"])], MAP, {"c": pair}), tmp_path
    )
    np.testing.assert_array_equal(graph.nodes[0].params["factor"], [3.0])


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_external_data_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    proto = small()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="data")
    (tmp_path / "data").write_bytes(bytes(96))
    (tmp_path / "data").chmod(0)
    with pytest.raises(PteeError, match=r"constant k: .*data cannot be read: Permission denied"):
        imported(proto, tmp_path)
