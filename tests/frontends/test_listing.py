"""What a first look at a file counts, whether or not the file can be imported."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.data import require_shared

from ptee_mcu.errors import ModelError, ToolMissingError
from ptee_mcu.frontends.listing import Border, ListedOp, count_ops, list_file, listed_ops

onnx = pytest.importorskip("onnx", reason="ONNX files need onnx")
from ptee_mcu.frontends.onnx.listing import list_onnx  # noqa: E402 - needs onnx

helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT


def saved(
    folder: Path,
    nodes: Sequence[object],
    *,
    weights: Mapping[str, npt.NDArray[Any]] = MappingProxyType({}),
    shape: Sequence[int | str] = (1, 4),
) -> Path:
    """A file with the input x and the output y."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    path = folder / "net.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_kinds_are_counted_the_most_frequent_first_and_bad_if_any_of_them_is() -> None:
    ops = [("Conv", ""), ("Gather", ""), ("Gather", "reads a tensor"), ("Add", ""), ("Conv", ""), ("Conv", "")]
    assert count_ops(ops) == (
        ListedOp("Conv", 3, supported=True),
        ListedOp("Gather", 2, supported=False, why="reads a tensor"),
        ListedOp("Add", 1, supported=True),
    )


def test_every_unsupported_op_of_an_onnx_file_is_listed_with_what_to_do(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Gelu", ["a"], ["b"]),
        helper.make_node("LSTM", ["b", "w", "r"], ["c"], hidden_size=2),
        helper.make_node("Gelu", ["c"], ["d"]),
        helper.make_node("Frobnicate", ["d"], ["y"], domain="org.example"),
    ]
    found = listed_ops(saved(tmp_path, nodes))
    assert [(op.kind, op.count, op.supported) for op in found] == [
        ("Gelu", 2, False),
        ("LSTM", 1, False),
        ("Relu", 1, True),
        ("org.example.Frobnicate", 1, False),
    ]
    assert "recurrent" in found[1].why
    assert "'org.example'" in found[3].why


def test_an_op_on_constants_is_supported_where_the_same_op_on_tensors_is_not(tmp_path: Path) -> None:
    folded = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    zero = {"zero": np.zeros(1, np.int64)}
    assert all(op.supported for op in listed_ops(saved(tmp_path, folded, weights=zero)))
    computed = [helper.make_node("Gather", ["x", "zero"], ["y"])]
    assert [(op.kind, op.supported) for op in listed_ops(saved(tmp_path, computed, weights=zero))] == [
        ("Gather", False)
    ]


def test_a_softmax_is_supported_at_the_end_and_not_before(tmp_path: Path) -> None:
    nodes = [helper.make_node("Softmax", ["x"], ["y"])]
    assert listed_ops(saved(tmp_path, nodes)) == (ListedOp("Softmax", 1, supported=True),)
    nodes = [helper.make_node("Softmax", ["x"], ["a"]), helper.make_node("Relu", ["a"], ["y"])]
    assert not listed_ops(saved(tmp_path, nodes))[1].supported


def test_parameters_are_weights_and_not_the_integers_of_shapes(tmp_path: Path) -> None:
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["a"]), helper.make_node("Reshape", ["a", "to"], ["y"])]
    arrays = {"w": np.ones((4, 3), np.float32), "b": np.ones(3, np.float32), "to": np.array([1, 3], np.int64)}
    listing = list_file(saved(tmp_path, nodes, weights=arrays, shape=("batch", 4)))
    assert listing is not None
    assert listing.parameters == 15
    assert listing.weight_bytes == 4 * 15 + 8 * 2
    assert listing.inputs == (Border("x", (None, 4), "float32"),)


def test_an_absurd_constant_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, [helper.make_node("Gemm", ["x", "w"], ["y"])], weights={"w": np.ones((4, 3), np.float32)})
    model = onnx.ModelProto.FromString(path.read_bytes())
    model.graph.initializer[0].dims[0] = 2**40
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"constant w has the shape \(1099511627776, 3\), which is not possible"):
        list_file(path)
    model.graph.initializer[0].dims[0] = 4
    model.graph.initializer[0].data_type = 99
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="constant w has element type 99"):
        list_file(path)


def test_a_damaged_onnx_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\xff" * 40)
    with pytest.raises(ModelError, match="is no ONNX file, or a damaged one"):
        list_file(tmp_path / "net.onnx")


def test_a_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, [helper.make_node("Sigmoid", ["x"], ["y"])])
    path.write_bytes(path.read_bytes().replace(b"Sigmoid", b"\xffigmoid"))
    with pytest.raises(ModelError, match="is damaged: a name in it is no text"):
        list_file(path)


def test_an_onnx_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(ModelError, match=r"has 2147483648 B; the limit is \d+ B"):
        list_file(path)


@pytest.mark.parametrize(
    ("suffix", "module", "what"),
    [
        ("tflite", "ptee_mcu.frontends.tflite.listing", "reading TFLite files needs tflite"),
        ("onnx", "ptee_mcu.frontends.onnx.listing", "reading ONNX files needs onnx"),
        ("pt2", "ptee_mcu.frontends.pytorch_listing", "reading it needs torch"),
    ],
)
def test_a_package_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, module: str, what: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / f"net.{suffix}").write_bytes(b"")
    with pytest.raises(ToolMissingError, match=what):
        list_file(tmp_path / f"net.{suffix}")


def test_a_folder_cannot_be_read_as_an_onnx_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        list_onnx(tmp_path)


def test_formats_that_are_imported_as_a_whole_have_no_listing(tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_bytes(b"")
    assert list_file(tmp_path / "net.keras") is None
    assert list_file(tmp_path) is None
    assert listed_ops(tmp_path / "net.keras") == ()


def test_the_ops_of_a_tflite_file_are_those_that_tensorflow_wrote() -> None:
    pytest.importorskip("tflite")
    listing = list_file(require_shared("mlperf_tiny", "ic", "pretrainedResnet_quant.tflite"))
    assert listing is not None
    assert {op.kind: op.count for op in listing.ops} == {
        "CONV_2D": 9, "ADD": 3, "AVERAGE_POOL_2D": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1,
    }  # fmt: skip
    assert all(op.supported for op in listing.ops)
    assert listing.parameters == 77_706
    assert listing.inputs[0].shape == (1, 32, 32, 3)
    assert listing.inputs[0].dtype == "int8"
    assert listing.inputs[0].scale == pytest.approx(1.0)
    assert listing.alive_bytes == 32 * 32 * 16 * 2


@pytest.mark.parametrize(
    ("name", "wanted"), [("keyword_scrambled_8bit", "SVDF"), ("mnist_lstm_int8", "UNIDIRECTIONAL_SEQUENCE_LSTM")]
)
def test_recurrent_tflite_networks_are_listed_although_they_are_refused(name: str, wanted: str) -> None:
    pytest.importorskip("tflite")
    listing = list_file(require_shared("models", "tflm", f"{name}.tflite"))
    assert listing is not None
    refused = [op.kind for op in listing.ops if not op.supported]
    assert wanted in refused
    assert "FULLY_CONNECTED" not in refused
    assert listing.parameters > 1000


def test_an_exported_program_is_listed_by_its_aten_ops(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(inplace=True), torch.nn.GELU())
    torch.export.save(torch.export.export(module, (torch.zeros(1, 4),)), tmp_path / "net.pt2")
    listing = list_file(tmp_path / "net.pt2")
    assert listing is not None
    assert {op.kind: op.supported for op in listing.ops} == {
        "aten.linear.default": True,
        "aten.relu_.default": True,
        "aten.gelu.default": False,
    }
    assert listing.parameters == 15
    assert [border.shape for border in (*listing.inputs, *listing.outputs)] == [(1, 4), (1, 3)]


def test_a_damaged_exported_program_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "net.pt2").write_bytes(b"no zip")
    with pytest.raises(ModelError, match=r"torch\.export\.load cannot read it"):
        list_file(tmp_path / "net.pt2")
