"""Small ONNX models, and what onnxruntime makes of a model, for comparison."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.shape_inference
import pytest
from onnx import TensorProto, helper, numpy_helper

from ptee_mcu.frontends.imported import Imported
from ptee_mcu.frontends.onnx.load import load_onnx
from ptee_mcu.graph import Graph, forward
from ptee_mcu.tensor import Float, Shape

Array = npt.NDArray[Any]
MAP = (1, 3, 9, 7)
SEQUENCE = (1, 3, 20)
TOLERANCE = 1e-4  # of the largest output; float32 sums in another order


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: object) -> onnx.NodeProto:
    """A node named as its first output."""
    return helper.make_node(op, inputs, outputs, name=outputs[0], **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str | None],
    constants: Mapping[str, Array] | None = None,
    *,
    opset: int = 13,
    kind: int = TensorProto.FLOAT,
    output_kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A model from "x" of `shape` to the last node's first output."""
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", kind, list(shape))],
        [onnx.ValueInfoProto(name=nodes[-1].output[0], type=helper.make_tensor_type_proto(output_kind, None))],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    proto = onnx.shape_inference.infer_shapes(proto)
    output = proto.graph.output[0].type.tensor_type
    if not output.HasField("shape"):  # functions, and pools that round up, are not inferred
        output.CopyFrom(helper.make_tensor_type_proto(output_kind, [None, None]).tensor_type)
    return proto


def imported(proto: onnx.ModelProto, folder: Path) -> Imported:
    """`proto` through a file."""
    path = folder / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    return load_onnx(path, "net")


def float_graph(proto: onnx.ModelProto, folder: Path) -> Graph:
    """The float graph of `proto`."""
    found = imported(proto, folder)
    assert found.graph is not None
    return found.graph


def runtime(proto: onnx.ModelProto, x: Array, output: str | None = None) -> Array:
    """What onnxruntime, its graph optimisations off, makes of `x` (any batch, one after the other) at `output`."""
    ort = pytest.importorskip("onnxruntime")
    if output is not None:
        proto = onnx.ModelProto.FromString(proto.SerializeToString())
        del proto.graph.output[:]
        proto.graph.output.append(onnx.ValueInfoProto(name=output))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: one[None]})[0] for one in x])


def to_graph(x: Array, shape: Shape) -> Array:
    """ONNX inputs, channels first, as a graph of input `shape` takes them."""
    if x.ndim == 4:
        x = x.transpose(0, 2, 3, 1)
    elif x.ndim == 3:
        x = x.transpose(0, 2, 1)
    return np.ascontiguousarray(x.reshape(len(x), *shape[1:]))


def w(*shape: int, seed: int = 0) -> Float:
    """Random weights."""
    weights: Float = np.random.default_rng(seed).uniform(-0.6, 0.6, shape).astype(np.float32)
    return weights


def ints(*values: int) -> Array:
    """A constant list of integers."""
    return np.array(values, dtype=np.int64)


def one(op: str, *more: str, shape: Sequence[int] = MAP, opset: int = 13, **rest: Any) -> onnx.ModelProto:
    """A model of one node that reads x and, by name, constants; `rest` are those constants and the attributes."""
    constants = {name: rest.pop(name) for name in more if name in rest}
    return model([node(op, ["x", *more], ["y"], **rest)], shape, constants, opset=opset)


@dataclass(frozen=True)
class Case:
    """Nodes from x to y, and the graph nodes that they become."""

    nodes: list[onnx.NodeProto]
    constants: Mapping[str, Array] = field(default_factory=dict)
    shape: tuple[int, ...] = MAP
    kinds: list[str] | None = None
    opset: int = 13


def only(op: str, *more: str, shape: tuple[int, ...] = MAP, opset: int = 13, **rest: Any) -> Case:
    """One node that reads x and, by name, constants; `rest` are those constants, the attributes, and `kinds`."""
    constants = {name: rest.pop(name) for name in more if name}
    kinds = rest.pop("kinds", None)
    return Case([node(op, ["x", *more], ["y"], **rest)], constants, shape, kinds, opset)


def kinds(graph: Graph) -> list[str]:
    """Names of its ops, in order."""
    return [type(each.op).__name__ for each in graph.nodes]


def small() -> onnx.ModelProto:
    """A fully connected layer."""
    return model([node("Gemm", ["x", "k"], ["y"])], (1, 6), {"k": w(6, 4)})


def edited(proto: onnx.ModelProto, edit: Callable[[onnx.ModelProto], Any]) -> onnx.ModelProto:
    """`proto` after `edit`."""
    edit(proto)
    return proto


def random_inputs(shape: Sequence[int], count: int = 3, seed: int = 0) -> Float:
    """Standard normal values of (count, ...)."""
    values: Float = np.random.default_rng(seed).standard_normal((count, *shape[1:])).astype(np.float32)
    return values


def assert_same(
    proto: onnx.ModelProto, folder: Path, shape: Sequence[int], *, channels_first: bool = True, at: str | None = None
) -> Graph:
    """The float graph of `proto`, after it answers as onnxruntime does; feature maps are compared channels last."""
    graph = float_graph(proto, folder)
    x = random_inputs(shape)
    expected = runtime(proto, x, at)
    logits = graph.exits[-1].logits
    given = to_graph(x, graph.input_shape) if channels_first else x.reshape(len(x), *graph.input_shape[1:])
    actual = forward(graph, given, [logits])[logits]
    np.testing.assert_allclose(
        actual.reshape(len(x), -1),
        expected.reshape(len(x), -1),
        rtol=0,
        atol=TOLERANCE * float(np.abs(expected).max() or 1.0),
    )
    return graph


def through_codes(
    source: str, target: str, scale: float, zero_point: int, constants: dict[str, Array], kind: npt.DTypeLike = np.int8
) -> list[onnx.NodeProto]:
    """QuantizeLinear and DequantizeLinear from `source` to `target`; the codes between are `target`.codes."""
    constants[f"{target}.scale"] = np.float32(scale)
    constants[f"{target}.zero"] = np.array(zero_point, dtype=kind)
    code = [f"{target}.scale", f"{target}.zero"]
    return [
        node("QuantizeLinear", [source, *code], [f"{target}.codes"]),
        node("DequantizeLinear", [f"{target}.codes", *code], [target]),
    ]


def integers(
    target: str, codes: Array, scale: npt.ArrayLike, constants: dict[str, Array], *, axis: int = 0, zero_point: int = 0
) -> onnx.NodeProto:
    """A constant `target` behind a DequantizeLinear."""
    steps = np.asarray(scale, dtype=np.float32)
    constants[f"{target}.codes"] = codes
    constants[f"{target}.scale"] = steps
    constants[f"{target}.zero"] = np.full(steps.shape, zero_point, dtype=codes.dtype)
    return node("DequantizeLinear", [f"{target}.{part}" for part in ("codes", "scale", "zero")], [target], axis=axis)
