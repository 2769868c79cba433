from pathlib import Path

import numpy as np
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
    random_inputs,
    runtime,
    w,
)

from ptee_mcu.passes.fold import fold

CONVOLUTIONS = {
    "conv": only("Conv", "k", k=w(5, 3, 3, 3), kinds=["Conv2d"]),
    "conv with bias, uneven everything": only(
        "Conv", "k", "b", k=w(4, 3, 3, 2), b=w(4), strides=[2, 1], dilations=[1, 2], pads=[2, 1, 0, 3]
    ),
    "conv, SAME_UPPER": only("Conv", "k", k=w(4, 3, 4, 3), strides=[2, 2], auto_pad="SAME_UPPER"),
    "conv, SAME_LOWER": only("Conv", "k", k=w(4, 3, 4, 2), strides=[3, 2], auto_pad="SAME_LOWER"),
    "conv, VALID": only("Conv", "k", k=w(4, 3, 3, 3), auto_pad="VALID"),
    "depthwise with multiplier": only("Conv", "k", k=w(6, 1, 3, 3), group=3, kinds=["Conv2d"]),
    "grouped": Case(
        [node("Conv", ["x", "a"], ["h"]), node("Conv", ["h", "k"], ["y"], group=2)],
        {"a": w(4, 3, 1, 1), "k": w(6, 2, 3, 3)},
    ),
    "one dimension": only("Conv", "k", "b", k=w(5, 3, 4), b=w(5), shape=SEQUENCE, strides=[2], pads=[1, 2]),
    "one dimension, SAME_UPPER": only("Conv", "k", k=w(5, 3, 4), shape=SEQUENCE, auto_pad="SAME_UPPER", strides=[3]),
    "pad before conv is taken in": Case(
        [node("Pad", ["x", "p"], ["h"]), node("Conv", ["h", "k"], ["y"])],
        {"p": ints(0, 0, 0, 1, 0, 0, 2, 1), "k": w(4, 3, 3, 3)},
        kinds=["Conv2d"],
    ),
    "transposed": only("ConvTranspose", "k", "b", k=w(3, 4, 3, 2), b=w(4), strides=[2, 3], pads=[1, 0, 0, 1]),
    "transposed, output padding": only("ConvTranspose", "k", k=w(3, 4, 3, 3), strides=[2, 2], output_padding=[1, 0]),
    "transposed, one dimension": only("ConvTranspose", "k", k=w(3, 4, 3), shape=SEQUENCE, strides=[2]),
    "batch norm": only("BatchNormalization", "a", "b", "m", "v", a=w(3), b=w(3), m=w(3), v=np.abs(w(3)), epsilon=1e-3),
}
ELEMENTWISE = {
    "relu": only("Relu", kinds=["Clamp"]),
    "clip": only("Clip", "low", "high", low=np.float32(-0.5), high=np.float32(0.25)),
    "clip from above": only("Clip", "", "high", high=np.float32(0.25)),
    "clip from below": only("Clip", "low", low=np.float32(-0.25)),
    "min with a number": only("Min", "high", high=np.float32(0.5), kinds=["Clamp"]),
    "max with a number": only("Max", "low", low=w(1), kinds=["Clamp"]),
    "leaky relu": only("LeakyRelu", alpha=0.2),
    "prelu": only("PRelu", "s", s=w(3, 1, 1)),
    "prelu with one slope": only("PRelu", "s", s=w(1)),
    "sigmoid": only("Sigmoid"),
    "tanh": only("Tanh"),
    "hard sigmoid of Keras": only("HardSigmoid"),
    "hard sigmoid of torch": only("HardSigmoid", alpha=1 / 6, beta=0.5, kinds=["HardSigmoid"]),
    "hard swish": only("HardSwish", opset=14, kinds=["HardSwish"]),
    "hard swish from hard sigmoid": Case(
        [node("HardSigmoid", ["x"], ["s"], alpha=1 / 6), node("Mul", ["x", "s"], ["y"])], kinds=["HardSwish"]
    ),
    "hard swish from clip": Case(
        [
            node("Add", ["x", "three"], ["a"]),
            node("Clip", ["a", "zero", "six"], ["c"]),
            node("Mul", ["x", "c"], ["m"]),
            node("Div", ["m", "six"], ["y"]),
        ],
        {"three": np.float32(3), "zero": np.float32(0), "six": np.float32(6)},
        kinds=["HardSwish"],
    ),
    "silu": Case([node("Sigmoid", ["x"], ["s"]), node("Mul", ["s", "x"], ["y"])], kinds=["SiLU"]),
    "dropout and identity": Case(
        [node("Dropout", ["x"], ["d"]), node("Identity", ["d"], ["i"]), node("Relu", ["i"], ["y"])],
        kinds=["Dropout", "Clamp"],
    ),
    "add of tensors": Case([node("Relu", ["x"], ["r"]), node("Add", ["x", "r"], ["y"])], kinds=["Clamp", "Add"]),
    "mul of tensors": Case([node("Tanh", ["x"], ["r"]), node("Mul", ["x", "r"], ["y"])], kinds=["Tanh", "Mul"]),
    "squeeze and excitation": Case(
        [
            node("GlobalAveragePool", ["x"], ["p"]),
            node("Conv", ["p", "k"], ["q"]),
            node("Sigmoid", ["q"], ["s"]),
            node("Mul", ["x", "s"], ["y"]),
        ],
        {"k": w(3, 3, 1, 1)},
        kinds=["AvgPool2d", "Conv2d", "Sigmoid", "Mul"],
    ),
    "squeeze and excitation through Gemm": Case(
        [
            node("ReduceMean", ["x"], ["p"], axes=[2, 3], keepdims=0),
            node("Gemm", ["p", "k"], ["q"]),
            node("Sigmoid", ["q"], ["s"]),
            node("Reshape", ["s", "shape"], ["g"]),
            node("Mul", ["g", "x"], ["y"]),
        ],
        {"k": w(3, 3), "shape": ints(1, 3, 1, 1)},
    ),
    "scale per channel": only("Mul", "c", c=w(3, 1, 1), kinds=["Mul"]),
    "scale and shift of pixels": Case(
        [node("Sub", ["x", "m"], ["h"]), node("Div", ["h", "s"], ["y"])], {"m": w(1, 3, 1, 1), "s": np.float32(0.3)}
    ),
    "constant less tensor": only("Neg"),
    "one less tensor": Case([node("Sub", ["c", "x"], ["y"])], {"c": np.float32(1)}),
    "bias behind a conv": Case(
        [node("Conv", ["x", "k"], ["h"]), node("Add", ["h", "b"], ["y"])],
        {"k": w(4, 3, 3, 3), "b": w(1, 4, 1, 1)},
        kinds=["Conv2d"],
    ),
    "bias behind a conv that others read": Case(
        [
            node("Conv", ["x", "k"], ["h"]),
            node("Transpose", ["h"], ["t"], perm=[0, 1, 2, 3]),
            node("Transpose", ["h"], ["u"], perm=[0, 1, 2, 3]),
            node("Add", ["t", "b"], ["v"]),
            node("Add", ["u", "v"], ["y"]),
        ],
        {"k": w(4, 3, 3, 3), "b": w(1, 4, 1, 1)},
    ),
}
POOLS = {
    "max pool": only("MaxPool", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]),
    "max pool, rounded up": only("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "max pool, SAME_UPPER": only("MaxPool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    "max pool, one dimension": only("MaxPool", kernel_shape=[3], strides=[2], shape=SEQUENCE),
    "average pool": only("AveragePool", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]),
    "average pool that counts padding": only(
        "AveragePool", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1], count_include_pad=1
    ),
    "average pool, SAME_LOWER": only("AveragePool", kernel_shape=[4, 4], strides=[2, 3], auto_pad="SAME_LOWER"),
    "average pool, rounded up": only("AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "global average": only("GlobalAveragePool", kinds=["AvgPool2d"]),
    "global max": only("GlobalMaxPool", kinds=["MaxPool2d"]),
    "mean, keeping dimensions": only("ReduceMean", axes=[-2, -1], kinds=["AvgPool2d"]),
    "mean, axes as input": only("ReduceMean", "a", a=ints(2, 3), keepdims=0, opset=18),
    "mean over height": only("ReduceMean", axes=[2], keepdims=1),
    "max over both": only("ReduceMax", axes=[2, 3], keepdims=0),
    "mean over a merged dimension": Case(
        [node("Reshape", ["x", "s"], ["h"]), node("ReduceMean", ["h"], ["y"], axes=[2])], {"s": ints(0, 0, -1)}
    ),
    "resize": only(
        "Resize",
        "",
        "s",
        s=np.float32([1, 1, 2, 3]),
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
        kinds=["ResizeNearest"],
    ),
    "resize to sizes": only("Resize", "", "", "s", s=ints(1, 3, 18, 7), mode="nearest"),
    "pad": only("Pad", "p", p=ints(0, 1, 2, 0, 0, 0, 1, 3), kinds=["Pad"]),
    "slice": only(
        "Slice", "a", "b", "c", "d", a=ints(1, -6), b=ints(9, 100), c=ints(2, 3), d=ints(2, 1), kinds=["Slice"]
    ),
    "slice of channels": only("Slice", "a", "b", "c", a=ints(1), b=ints(3), c=ints(1), kinds=["Slice"]),
    "split and concat": Case(
        [node("Split", ["x", "n"], ["a", "b"], axis=1), node("Concat", ["b", "a"], ["y"], axis=1)], {"n": ints(1, 2)}
    ),
}

MAPS = {**CONVOLUTIONS, **ELEMENTWISE, **POOLS}


@pytest.mark.parametrize("case", MAPS.values(), ids=MAPS)
def test_a_layer_answers_as_onnxruntime(case: Case, tmp_path: Path) -> None:
    alone = model(case.nodes, case.shape, case.constants, opset=case.opset)
    elements = runtime(alone, random_inputs(case.shape, 1)).size
    nodes = [*case.nodes, node("Flatten", ["y"], ["f"]), node("Gemm", ["f", "projection"], ["z"])]
    constants = {**case.constants, "projection": w(elements, 7)}
    graph = assert_same(model(nodes, case.shape, constants, opset=case.opset), tmp_path, case.shape)
    if case.kinds is not None:
        assert kinds(graph) == [*case.kinds, "Linear"]
    fold(graph)
