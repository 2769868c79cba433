"""ONNX files that parse but say what they must not: cycles, absurd shapes, data outside the folder."""

from collections.abc import Callable

import numpy as np
import onnx

Edit = Callable[[onnx.GraphProto, np.random.Generator], None]
_SIZES = (0, -1, 2**31 - 1, 2**31, 2**40, -(2**31), 2**62, 65536)
_PLACES = (
    "../outside.bin",
    "/etc/hostname",
    "../../../../etc/passwd",
    "model.onnx",
    ".",
    "",
    "a/../../b",
    "/proc/self/mem",
)


def structure_changed(data: bytes, random: np.random.Generator) -> bytes:
    """One to three edits of what the file says; bytes that are no model stay as they are."""
    model = onnx.ModelProto()
    model.ParseFromString(data)
    for _ in range(random.integers(1, 4)):
        _EDITS[random.integers(len(_EDITS))](model.graph, random)
    if not random.integers(0, 8) and model.opset_import:
        model.opset_import[0].version = int(random.integers(-2, 40))
    changed: bytes = model.SerializeToString()
    return changed


def _cycle(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    """A node reads what a later one, or it itself, makes."""
    here = int(random.integers(len(graph.node)))
    there = int(random.integers(here, len(graph.node)))
    if graph.node[here].input and graph.node[there].output:
        graph.node[here].input[0] = graph.node[there].output[0]


def _absurd_shape(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    """A dimension of a weight or of the input."""
    size = int(random.choice(_SIZES))
    if graph.initializer and random.integers(0, 2):
        tensor = graph.initializer[random.integers(len(graph.initializer))]
        if tensor.dims:
            tensor.dims[random.integers(len(tensor.dims))] = size
        return
    sides = graph.input[0].type.tensor_type.shape.dim
    if sides:
        sides[random.integers(len(sides))].dim_value = size


def _absurd_attribute(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    node = graph.node[random.integers(len(graph.node))]
    for attribute in node.attribute:
        if attribute.ints:
            attribute.ints[random.integers(len(attribute.ints))] = int(random.choice(_SIZES))
        elif attribute.type == onnx.AttributeProto.INT:
            attribute.i = int(random.choice(_SIZES))


def _outside_data(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    if not graph.initializer:
        return
    tensor = graph.initializer[random.integers(len(graph.initializer))]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", str(random.choice(_PLACES))), ("offset", str(random.choice(_SIZES)))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def _other_type(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    if graph.initializer:
        graph.initializer[random.integers(len(graph.initializer))].data_type = int(random.integers(0, 30))


def _other_op(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    here, there = random.integers(len(graph.node), size=2)
    graph.node[here].op_type = graph.node[there].op_type


def _without_node(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    if len(graph.node) > 1:
        del graph.node[random.integers(len(graph.node))]


def _node_twice(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    graph.node.add().CopyFrom(graph.node[random.integers(len(graph.node))])


_EDITS: tuple[Edit, ...] = (
    _cycle,
    _absurd_shape,
    _absurd_attribute,
    _outside_data,
    _other_type,
    _other_op,
    _without_node,
    _node_twice,
)
