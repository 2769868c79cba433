from pathlib import Path

import numpy as np
import onnx
import pytest
from support.onnx_files import (
    SEQUENCE,
    Case,
    assert_same,
    ints,
    kinds,
    model,
    node,
    only,
    w,
)

from ptee_mcu.passes.fold import fold

ROWS = {
    "gemm": only("Gemm", "k", "b", k=w(6, 4), b=w(4), shape=(1, 6), kinds=["Linear"]),
    "gemm, transposed, alpha and beta": only(
        "Gemm", "k", "b", k=w(4, 6), b=w(1, 4), transB=1, alpha=0.5, beta=2.0, shape=(1, 6)
    ),
    "gemm, one number added": only("Gemm", "k", "b", k=w(6, 4), b=w(1, 1), shape=(1, 6)),
    "matmul and add": Case(
        [node("MatMul", ["x", "k"], ["h"]), node("Add", ["b", "h"], ["y"])],
        {"k": w(6, 4), "b": w(4)},
        (1, 6),
        kinds=["Linear"],
    ),
    "a row scaled and shifted": Case(
        [node("Mul", ["x", "s"], ["h"]), node("Add", ["h", "b"], ["i"]), node("Gemm", ["i", "k"], ["y"])],
        {"s": w(6), "b": w(1, 6), "k": w(6, 4)},
        (1, 6),
    ),
    "flattened map, relu, gemm": Case(
        [node("Flatten", ["x"], ["f"]), node("Relu", ["f"], ["r"]), node("Gemm", ["r", "k"], ["y"])],
        {"k": w(189, 4)},
        kinds=["Clamp", "Linear"],
    ),
    "reshape with 0 and -1": Case(
        [node("Reshape", ["x", "s"], ["f"]), node("Gemm", ["f", "k"], ["y"])], {"s": ints(0, -1), "k": w(189, 4)}
    ),
    "shape arithmetic of torch": Case(
        [
            node("Shape", ["x"], ["s"]),
            node("Gather", ["s", "zero"], ["n"], axis=0),
            node("Unsqueeze", ["n", "first"], ["u"]),
            node("Constant", [], ["rest"], value=onnx.numpy_helper.from_array(ints(-1))),
            node("Concat", ["u", "rest"], ["t"], axis=0),
            node("Reshape", ["x", "t"], ["f"]),
            node("Gemm", ["f", "k"], ["y"], transB=1),
        ],
        {"zero": np.int64(0), "first": ints(0), "k": w(4, 189)},
    ),
    "flattened channels last": Case(
        [
            node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
            node("Reshape", ["t", "s"], ["f"]),
            node("MatMul", ["f", "k"], ["y"]),
        ],
        {"s": ints(-1, 189), "k": w(189, 4)},
        kinds=["Linear"],
    ),
    "matmul on channels last": Case(
        [
            node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
            node("MatMul", ["t", "k"], ["h"]),
            node("ReduceMean", ["h"], ["y"], axes=[1, 2], keepdims=0),
        ],
        {"k": w(3, 4)},
        kinds=["Conv2d", "AvgPool2d"],
    ),
    "a row as a map of one channel": Case(
        [node("Reshape", ["x", "s"], ["m"]), node("Conv", ["m", "k"], ["h"]), node("GlobalAveragePool", ["h"], ["y"])],
        {"s": ints(1, 1, 6, 5), "k": w(4, 1, 3, 3)},
        (1, 30),
        kinds=["Reshape", "Conv2d", "AvgPool2d"],
    ),
    "a sequence as a map of one row": Case(
        [
            node("Unsqueeze", ["x", "a"], ["m"]),
            node("Conv", ["m", "k"], ["h"]),
            node("Squeeze", ["h", "b"], ["q"]),
            node("ReduceMean", ["q"], ["y"], axes=[2], keepdims=0),
        ],
        {"a": ints(3), "b": ints(-1), "k": w(4, 3, 3, 1)},
        SEQUENCE,
    ),
    "max pool, rounded up, without a last window in the padding alone": Case(
        [
            node("MaxPool", ["x"], ["h"], kernel_shape=[1, 2], strides=[1, 3], pads=[0, 1, 0, 1], ceil_mode=1),
            node("ReduceMean", ["h"], ["y"], axes=[2, 3], keepdims=0),
        ],
        kinds=["MaxPool2d", "AvgPool2d"],
    ),
    "heads that are joined": Case(
        [
            node("GlobalAveragePool", ["x"], ["a"]),
            node("GlobalMaxPool", ["x"], ["b"]),
            node("Concat", ["a", "b"], ["c"], axis=1),
            node("Flatten", ["c"], ["f"]),
            node("Gemm", ["f", "k"], ["y"]),
        ],
        {"k": w(6, 4)},
    ),
}


@pytest.mark.parametrize("case", ROWS.values(), ids=ROWS)
def test_layers_that_end_in_a_row_answer_as_onnxruntime(case: Case, tmp_path: Path) -> None:
    proto = model(case.nodes, case.shape, case.constants, opset=case.opset)
    graph = assert_same(proto, tmp_path, case.shape)
    if case.kinds is not None:
        assert kinds(graph) == case.kinds
    fold(graph)
