"""ONNX files that nobody vouches for, and operators that have no counterpart: every one a PteeError that says why."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_files import MAP, edited, imported, ints, model, node, one, small, w

from ptee_mcu.errors import ModelError, PteeError
from ptee_mcu.frontends.onnx.load import load_onnx


def _input(p: onnx.ModelProto) -> Any:
    return p.graph.input[0].type.tensor_type


def _dims(p: onnx.ModelProto, *dims: int) -> None:
    _input(p).CopyFrom(helper.make_tensor_type_proto(1, dims).tensor_type)


def _external(p: onnx.ModelProto, **entries: str) -> None:
    tensor = p.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)


def _function(p: onnx.ModelProto, name: str, inside: str, count: int) -> None:
    nodes = [helper.make_node(inside, ["a"], [f"b{i}"], domain="own") for i in range(count)]
    function = helper.make_function("own", name, ["a"], ["b0"], nodes, [helper.make_opsetid("", 13)])
    p.functions.append(function)


def _bomb(p: onnx.ModelProto) -> None:
    for i in range(9):
        _function(p, f"F{i}", f"F{i + 1}", 10)
    p.graph.node[0].CopyFrom(helper.make_node("F0", ["x"], ["y"], domain="own"))


def _large_constant(p: onnx.ModelProto) -> None:
    shape = numpy_helper.from_array(ints(1 << 20, 1 << 20), "s")
    p.graph.initializer.append(shape)
    p.graph.node.insert(0, helper.make_node("ConstantOfShape", ["s"], ["huge"]))
    p.graph.node[1].input[1] = "huge"


DAMAGE: dict[str, tuple[Callable[[onnx.ModelProto], Any], str]] = {
    "old opset": (lambda p: setattr(p.opset_import[0], "version", 10), "opset 10; supported are 11 to 22"),
    "new opset": (lambda p: setattr(p.opset_import[0], "version", 23), "opset 23; supported are 11 to 22"),
    "no opset": (lambda p: p.ClearField("opset_import"), "opset none; supported"),
    "an unknown attribute": (
        lambda p: p.graph.node[0].attribute.append(helper.make_attribute("colour", 1)),
        "onnx.checker: ",
    ),
    "an attribute of another type": (
        lambda p: p.graph.node[0].attribute.append(helper.make_attribute("alpha", 1)),
        "onnx.checker: ",
    ),
    "a tensor that nobody makes": (lambda p: p.graph.node[0].input.__setitem__(0, "nobody"), "onnx.checker: "),
    "a circle": (lambda p: p.graph.node[0].input.__setitem__(0, "y"), "onnx.checker: "),
    "two inputs": (
        lambda p: p.graph.input.append(helper.make_tensor_value_info("z", 1, [1])),
        r"has 2 inputs and 1 outputs \(x, z, y\)",
    ),
    "no input": (lambda p: p.graph.ClearField("input"), "onnx.checker: |has 0 inputs"),
    "integers as input": (
        lambda p: setattr(_input(p), "elem_type", 7),
        "input x is of type INT64; supported are FLOAT",
    ),
    "a batch of eight": (lambda p: _dims(p, 8, 6), r"input x of shape \(8, 6\) has a batch of 8"),
    "one dimension": (lambda p: _dims(p, 6), r"input x of shape \(6\) has 1 dimensions; supported are 2 to 4"),
    "an open size": (
        lambda p: _input(p).CopyFrom(helper.make_tensor_type_proto(1, (1, "W")).tensor_type),
        r"\(1, W\) leaves a size open",
    ),
    "a negative size": (lambda p: _dims(p, 1, -6), r"\(1, -6\) leaves a size open"),
    "2**31 elements": (lambda p: _dims(p, 1, 1 << 16, 1 << 15, 1), "has 2147483648 elements; the limit is 67108864"),
    "weights of another size": (
        lambda p: p.graph.initializer[0].dims.__setitem__(0, 7),
        r"onnx.checker|does not match",
    ),
    "weights of a negative size": (lambda p: p.graph.initializer[0].dims.__setitem__(0, -6), "onnx.checker|constant k"),
    "weights of 2**62 elements": (
        lambda p: p.graph.initializer[0].dims.extend([1 << 31, 1 << 31]),
        "onnx.checker|constant k",
    ),
    "weights of strange type": (
        lambda p: setattr(p.graph.initializer[0], "data_type", 16),
        "constant k: values of type BFLOAT16|onnx.checker",
    ),
    "weights given twice": (
        lambda p: p.graph.initializer.append(p.graph.initializer[0]),
        "k: is given twice|onnx.checker",
    ),
    "weights that do not fit": (
        lambda p: p.graph.initializer[0].CopyFrom(numpy_helper.from_array(w(5, 4), "k")),
        "6 features times a matrix of 5 rows",
    ),
    "weights that are not finite": (
        lambda p: p.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((6, 4), np.nan, np.float32), "k")),
        "24 of 24 values of weight are NaN or infinite",
    ),
    "external data elsewhere": (
        lambda p: _external(p, location="../secret"),
        r"'\.\./secret', which is no file inside",
    ),
    "external data at an absolute path": (lambda p: _external(p, location="/etc/hostname"), "which is no file inside"),
    "external data behind a link": (lambda p: _external(p, location="link"), "'link', which is no file inside"),
    "external data nowhere": (lambda p: _external(p, location="none"), "'none', which is no file inside"),
    "external data without a name": (_external, "'', which is no file inside"),
    "external data of a strange name": (lambda p: _external(p, location="a\0b"), "which is no file inside"),
    "external data behind its end": (
        lambda p: _external(p, location="data", offset="4", length="96"),
        "bytes 4 to 100 of 'data', which has 96 B",
    ),
    "external data at no number": (
        lambda p: _external(p, location="data", offset="-4"),
        "'-4' is no offset or length of external data",
    ),
    "functions that call each other": (
        lambda p: (
            _function(p, "F", "G", 1),
            _function(p, "G", "F", 1),
            setattr(p.graph.node[0], "domain", "own"),
            setattr(p.graph.node[0], "op_type", "F"),
        ),
        "function F: calls itself",
    ),
    "functions that grow without bound": (_bomb, "1000000000 nodes once its functions are inlined; the limit is 20000"),
    "constants that grow without bound": (
        _large_constant,
        r"ConstantOfShape \(node 0, huge\): makes 1099511627776 elements of constants",
    ),
    "an output that is a constant": (lambda p: setattr(p.graph.output[0], "name", "k"), "onnx.checker|does not depend"),
    "an output that is the input": (
        lambda p: setattr(p.graph.output[0], "name", "x"),
        "computes nothing from its input",
    ),
}


@pytest.mark.parametrize(("damage", "match"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_files_are_refused(damage: Callable[[onnx.ModelProto], Any], match: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(96))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "data").write_bytes(bytes(96))
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelError, match=match):
        imported(edited(small(), damage), folder)


@pytest.mark.parametrize("data", [b"", b"\0" * 50, b"no model at all", bytes(range(256)) * 4])
def test_files_that_are_no_models_are_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"net\.onnx"):
        load_onnx(path, "net")


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    proto = small()
    proto.graph.node[0].name = "marked"
    path = tmp_path / "net.onnx"
    path.write_bytes(proto.SerializeToString().replace(b"marked", b"mark\xff\xfe"))
    with pytest.raises(ModelError, match=r"a name in it is no text|is no ONNX file"):
        load_onnx(path, "net")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx: cannot be read: No such file"):
        load_onnx(tmp_path / "none.onnx", "net")


def test_a_file_that_is_too_large_is_not_even_opened(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with path.open("wb") as stream:
        stream.truncate((128 << 20) + 1)
    with pytest.raises(ModelError, match="has 134217729 B; the limit is 134217728 B"):
        load_onnx(path, "net")


def test_an_answer_that_is_a_map_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"net: its output of shape \(1, 3, 9, 7\) holds no logits"):
        imported(one("Relu"), tmp_path)


def test_mutated_files_end_in_a_model_or_a_pteeerror(tmp_path: Path) -> None:
    """Bytes flipped, cut off, doubled: whatever is left, nothing but a PteeError comes out."""
    nodes = [
        node("Conv", ["x", "k"], ["h"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["h"], ["r"]),
        node("Reshape", ["r", "s"], ["f"]),
        node("Gemm", ["f", "g"], ["y"], transB=1),
    ]
    data = model(nodes, MAP, {"k": w(2, 3, 3, 3), "s": ints(0, -1), "g": w(3, 40)}).SerializeToString()
    generator = np.random.default_rng(0)
    path = tmp_path / "net.onnx"
    refused = 0
    for _ in range(300):
        mutated = bytearray(data)
        for _ in range(int(generator.integers(1, 4))):
            at = int(generator.integers(len(mutated)))
            kind = int(generator.integers(3))
            if kind == 0:
                mutated[at] ^= 1 << int(generator.integers(8))
            elif kind == 1:
                del mutated[at : at + int(generator.integers(1, 9))]
            else:
                mutated[at:at] = mutated[at : at + int(generator.integers(1, 9))]
        path.write_bytes(mutated)
        try:
            load_onnx(path, "net")
        except PteeError:
            refused += 1
    assert refused > 100
