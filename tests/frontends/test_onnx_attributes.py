"""ONNX files that nobody vouches for, and operators that have no counterpart: every one a PteeError that says why."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper
from support.onnx_files import MAP, imported, ints, model, node, one, w

from ptee_mcu.errors import ModelError


def _wrong_shape() -> onnx.ModelProto:
    proto = one("Reshape", "s", s=ints(1, 189))
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(w(2), "s"))
    return proto


FALSE_ATTRIBUTES: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "kernel": (
        lambda: one("Conv", "k", k=w(4, 3, 3, 3), kernel_shape=[2, 2]),
        r"kernel_shape \(2, 2\), weight of shape",
    ),
    "strides": (lambda: one("Conv", "k", k=w(4, 3, 3, 3), strides=[0, 1]), r"has strides \(0, 1\)"),
    "pads": (lambda: one("Conv", "k", k=w(4, 3, 3, 3), pads=[-1, 0, 0, 0]), r"has pads \(-1, 0, 0, 0\)"),
    "dimensions of pads": (lambda: one("Conv", "k", k=w(4, 3, 3, 3), pads=[1, 1]), "differ in their dimensions"),
    "groups": (lambda: one("Conv", "k", k=w(4, 3, 3, 3), group=0), "has 0 groups"),
    "dimensions of weights": (lambda: one("Conv", "k", k=w(4, 3, 3)), "a weight of shape .* on 4 dimensions"),
    "bias": (lambda: one("Conv", "k", "b", k=w(4, 3, 3, 3), b=w(4, 1)), r"its bias has shape \(4, 1\)"),
    "kernel of a pool": (lambda: one("MaxPool", kernel_shape=[2]), r"a kernel of \(2,\) on 4 dimensions"),
    "empty kernel": (lambda: one("MaxPool", kernel_shape=[0, 2]), r"has a kernel of \(0, 2\)"),
    "output padding": (
        lambda: one("ConvTranspose", "k", k=w(3, 4, 3, 3), output_padding=[1]),
        r"has an output_padding of \(1,\)",
    ),
    "matrix": (lambda: one("Gemm", "k", k=w(6), shape=(1, 6)), r"its matrix B has shape \(6,\)"),
    "statistics": (
        lambda: one("BatchNormalization", "a", "b", "m", "v", a=w(2), b=w(3), m=w(3), v=w(3)),
        r"its weight has shape \(2,\)",
    ),
    "permutation": (lambda: one("Transpose", perm=[0, 1, 1, 2]), r"perm \(0, 1, 1, 2\) on 4 dimensions"),
    "shape": (lambda: one("Reshape", "s", s=ints(1, 5)), r"shape \(1, 3, 9, 7\) to \(1, 5\)"),
    "shape of two unknowns": (lambda: one("Reshape", "s", s=ints(-1, -1)), r"to shape \(-1, -1\)"),
    "shape of floats": (_wrong_shape, "its shape is no short list of integers"),
    "axis of flatten": (lambda: one("Flatten", axis=7), "axis 7 of 4 dimensions"),
    "axes of squeeze": (lambda: one("Squeeze", "a", a=ints(2)), r"axes \(2,\) of shape \(1, 3, 9, 7\)"),
    "axes of unsqueeze": (lambda: one("Unsqueeze", "a", a=ints(9)), r"axes \(9,\) of shape \(1, 3, 9, 7\)"),
    "axes of a mean": (lambda: one("ReduceMean", axes=[6]), r"axes \(6,\) of 4 dimensions"),
    "pads of pad": (lambda: one("Pad", "p", p=ints(1, 1)), "2 pads for 4 axes of 4 dimensions"),
    "axes of slice": (
        lambda: one("Slice", "a", "b", "c", a=ints(0), b=ints(1), c=ints(8)),
        "starts, ends, axes and steps do not match",
    ),
    "axis of split": (lambda: model([node("Split", ["x"], ["y"], axis=9)], MAP), "axis 9 of shape"),
    "parts of split": (lambda: one("Split", "n", n=ints(2), axis=1), r"parts of \(2,\) of shape"),
    "constants that cannot be added": (
        lambda: model([node("Add", ["k", "l"], ["h"]), node("Add", ["x", "h"], ["y"])], MAP, {"k": w(2), "l": w(3)}),
        "cannot be computed from its constants",
    ),
}


@pytest.mark.parametrize(("make", "match"), FALSE_ATTRIBUTES.values(), ids=FALSE_ATTRIBUTES)
def test_attributes_that_cannot_be_are_refused(make: Callable[[], onnx.ModelProto], match: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=match):
        imported(make(), tmp_path)
