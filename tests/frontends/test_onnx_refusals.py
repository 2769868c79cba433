"""ONNX files that nobody vouches for, and operators that have no counterpart: every one a PteeError that says why."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.onnx_files import MAP, edited, imported, ints, model, node, one, small, w

from ptee_mcu.errors import PteeError, UnsupportedOpError


def _with_branches() -> onnx.ModelProto:
    branch = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["z"])], "b", [], [helper.make_tensor_value_info("z", 1, [1, 6])]
    )
    nodes = [node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)]
    return model(nodes, (1, 6), {"c": np.array(True)})


UNSUPPORTED: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "unknown operator": (lambda: one("Erf"), r"Erf \(node 0, y\): has no counterpart here\n  hint: replace GELU"),
    "operator without a hint": (
        lambda: one("Sin"),
        r"Sin \(node 0, y\): has no counterpart here\n.*supported are Add,",
    ),
    "softmax inside": (
        lambda: model([node("Softmax", ["x"], ["h"]), node("Relu", ["h"], ["y"])], (1, 6)),
        r"Softmax \(node 0, h\): has no counterpart here\n  hint: end the network at its logits",
    ),
    "softmax over pixels": (
        lambda: model([node("Softmax", ["x"], ["y"], axis=2)], MAP),
        r"normalises dimension 2 of \(1, 3, 9, 7\)",
    ),
    "a global pool over channels": (
        lambda: model(
            [node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]), node("GlobalAveragePool", ["t"], ["y"])], (1, 3, 4, 5)
        ),
        r"GlobalAveragePool \(node 1, y\): reduces dimensions \[2, 3\] of \(1, 4, 5, 3\)",
    ),
    "resize that keeps the aspect ratio": (
        lambda: one(
            "Resize",
            "",
            "",
            "s",
            s=ints(1, 3, 18, 28),
            keep_aspect_ratio_policy="not_larger",
            opset=18,
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        r"Resize \(node 0, y\): keeps the aspect ratio \(not_larger\)",
    ),
    "another domain": (
        lambda: edited(small(), lambda p: setattr(p.graph.node[0], "domain", "com.microsoft")),
        r"Gemm \(node 0, y\): belongs to the domain 'com.microsoft'",
    ),
    "control flow": (_with_branches, "If .*holds a graph of its own"),
    "weights that are computed": (
        lambda: model(
            [node("Reshape", ["x", "s"], ["k"]), node("Conv", ["x", "k"], ["y"])], MAP, {"s": ints(1, 3, 9, 7)}
        ),
        "its weight is computed at run time",
    ),
    "a constant as input": (
        lambda: model([node("Conv", ["k", "x"], ["y"])], MAP, {"k": w(1, 3, 9, 7)}),
        "has a constant as input 0",
    ),
    "transposed input of Gemm": (lambda: one("Gemm", "k", k=w(1, 4), transA=1, shape=(1, 6)), r"\(transA\)"),
    "Gemm that adds a matrix": (
        lambda: model([node("Gemm", ["x", "k", "b"], ["y"])], (1, 6), {"k": w(6, 4), "b": w(1, 1, 4)[0:1]}),
        "adds a matrix of shape",
    ),
    "matrices of three dimensions": (
        lambda: one("MatMul", "k", k=w(2, 7, 4)),
        r"multiplies by a matrix of shape \(2, 7, 4\)",
    ),
    "product over pixels": (lambda: one("MatMul", "k", k=w(7, 4)), r"multiplies a tensor of shape \(1, 3, 9, 7\)"),
    "3-D pool": (lambda: one("MaxPool", kernel_shape=[2], shape=(1, 6)), "reads a tensor of 2 dimensions"),
    "dilated pool": (lambda: one("MaxPool", kernel_shape=[2, 2], dilations=[2, 1]), "has a dilation of 2x1"),
    "padding as large as the kernel": (
        lambda: one("MaxPool", kernel_shape=[2, 2], pads=[2, 0, 0, 0]),
        "pads by as much as its kernel",
    ),
    "mean over channels": (lambda: one("ReduceMean", axes=[1]), r"reduces dimensions \[1\] of \(1, 3, 9, 7\)"),
    "mean over a part of a merged dimension": (
        lambda: model(
            [
                node("Reshape", ["x", "s"], ["h"]),
                node("Reshape", ["h", "t"], ["i"]),
                node("ReduceMean", ["i"], ["y"], axes=[2]),
            ],
            MAP,
            {"s": ints(1, 189), "t": ints(1, 27, 7)},
        ),
        "holds no logits",
    ),
    "channel shuffle": (
        lambda: model([node("Reshape", ["x", "s"], ["y"])], (1, 4, 6, 6), {"s": ints(1, 2, 2, 6, 6)}),
        r"reshapes \(1, 4, 6, 6\) to \(1, 2, 2, 6, 6\)",
    ),
    "convolution over a transposed map": (
        lambda: model(
            [node("Transpose", ["x"], ["t"], perm=[0, 2, 1, 3]), node("Conv", ["t", "k"], ["y"])],
            MAP,
            {"k": w(4, 9, 1, 1)},
        ),
        r"reads a tensor of shape \(1, 9, 3, 7\) whose elements lie in another order",
    ),
    "padding by reflection": (
        lambda: one("Pad", "p", p=ints(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect"),
        "pads by reflect",
    ),
    "padding with ones": (
        lambda: one("Pad", "p", "v", p=ints(0, 0, 1, 1, 0, 0, 1, 1), v=np.float32(1)),
        "pads by constant with 1.0",
    ),
    "padding of the batch": (lambda: one("Pad", "p", p=ints(1, 0, 0, 0, 0, 0, 0, 0)), "pads NCHW by"),
    "backward slice": (
        lambda: one("Slice", "a", "b", "c", "d", a=ints(8), b=ints(0), c=ints(2), d=ints(-1)),
        "steps by -1",
    ),
    "every other channel": (
        lambda: one("Slice", "a", "b", "c", "d", a=ints(0), b=ints(3), c=ints(1), d=ints(2)),
        "takes 0:3:2 of dimension 1",
    ),
    "concat of pixels": (
        lambda: model([node("Concat", ["x", "x"], ["y"], axis=2)], MAP),
        r"joins dimension 2 of \(1, 3, 9, 7\)",
    ),
    "resize by a half": (
        lambda: one("Resize", "", "s", s=np.float32([1, 1, 0.5, 1])),
        r"resizes by \(1.0, 1.0, 0.5, 1.0\) \(nearest\)",
    ),
    "resize without end": (
        lambda: one("Resize", "", "s", s=np.float32([1, 1, np.inf, 1])),
        r"resizes by \(1.0, 1.0, inf",
    ),
    "linear resize": (lambda: one("Resize", "", "s", s=np.float32([1, 1, 2, 2]), mode="linear"), r"\(linear\)"),
    "resize by corners": (
        lambda: one("Resize", "", "s", s=np.float32([1, 1, 2, 2]), coordinate_transformation_mode="align_corners"),
        "places pixels by align_corners",
    ),
    "resize of some axes": (
        lambda: one("Resize", "", "s", s=np.float32([2, 2]), axes=[2, 3], opset=18),
        r"has scales of shape \(2,\)",
    ),
    "sum of unlike shapes": (
        lambda: model([node("GlobalMaxPool", ["x"], ["g"]), node("Add", ["x", "g"], ["y"])], MAP),
        "broadcasts shapes",
    ),
    "product of unlike shapes": (
        lambda: model([node("ReduceMax", ["x"], ["g"], axes=[2]), node("Mul", ["x", "g"], ["y"])], MAP),
        "multiplies tensors of shapes",
    ),
    "constants per pixel": (lambda: one("Add", "k", k=w(9, 7)), r"constants of shape \(9, 7\)"),
    "quotient of tensors": (lambda: model([node("Div", ["x", "x"], ["y"])], MAP), "combines two tensors"),
    "division by zero": (lambda: one("Div", "k", k=np.float32(0)), "divides by a tensor, or by zero"),
    "largest of two tensors": (lambda: model([node("Max", ["x", "x"], ["y"])], MAP), "compares tensors"),
    "crossed limits": (lambda: one("Clip", "a", "b", a=np.float32(1), b=np.float32(0)), r"clamps to \[1.0, 0.0\]"),
    "limits per channel": (lambda: one("Clip", "a", a=w(3, 1, 1)), "its lower limit has 3 values"),
    "cast to integers": (lambda: one("Cast", to=TensorProto.INT32), "casts to another type than float32"),
    "grouped transposed convolution": (
        lambda: one("ConvTranspose", "k", k=w(3, 1, 3, 3), group=3),
        "has groups or an output_shape",
    ),
    "dilated transposed convolution": (
        lambda: one("ConvTranspose", "k", k=w(3, 4, 3, 3), dilations=[2, 2]),
        "has a dilation, or SAME padding",
    ),
    "batch norm in training mode": (
        lambda: model(
            [node("BatchNormalization", ["x", "a", "a", "a", "v"], ["y", "m", "n"], training_mode=1)],
            MAP,
            {"a": w(3), "v": np.abs(w(3))},
            opset=15,
        ),
        "is in training mode",
    ),
    "places of maxima": (
        lambda: model(
            [
                node("MaxPool", ["x"], ["m", "i"], kernel_shape=[2, 2]),
                node("Cast", ["i"], ["j"], to=1),
                node("Add", ["m", "j"], ["y"]),
            ],
            MAP,
        ),
        "gives the places of its maxima to other nodes",
    ),
    "mask of dropout": (
        lambda: model(
            [node("Dropout", ["x"], ["d", "m"]), node("Cast", ["m"], ["j"], to=1), node("Add", ["d", "j"], ["y"])], MAP
        ),
        "gives its mask to other nodes",
    ),
    "constants that do not fold": (
        lambda: model([node("Sin", ["k"], ["h"]), node("Add", ["x", "h"], ["y"])], MAP, {"k": w(1)}),
        r"Sin \(node 0, h\): computes with constants only",
    ),
    "text": (
        lambda: model([node("Constant", [], ["h"], value_string="a"), node("Add", ["x", "h"], ["y"])], MAP),
        r"Constant \(node 0, h\): holds no tensor and no number",
    ),
}


@pytest.mark.parametrize(("make", "match"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_what_is_not_supported_is_said_with_its_place(
    make: Callable[[], onnx.ModelProto], match: str, tmp_path: Path
) -> None:
    with pytest.raises(PteeError, match=match) as caught:
        imported(make(), tmp_path)
    assert caught.value.hint


def test_unsupported_ops_have_their_own_error(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOpError, match=r"(?s)LSTM .*recurrent layers are not supported"):
        imported(
            model([node("LSTM", ["x", "k", "r"], ["y"], hidden_size=2)], (1, 1, 3), {"k": w(1, 8, 3), "r": w(1, 8, 2)}),
            tmp_path,
        )
