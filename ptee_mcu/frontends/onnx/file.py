"""An ONNX file, which nobody vouches for, as an OnnxModel: limits first, then parsing, then onnx's own checker."""

from math import prod
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import onnx
import onnx.checker

from ptee_mcu.errors import ModelError, UnsupportedOpError
from ptee_mcu.frontends.onnx.functions import inlined
from ptee_mcu.frontends.onnx.model import OnnxModel, OnnxNode
from ptee_mcu.frontends.onnx.tensors import array, inline_external, tensors_of
from ptee_mcu.tensor import Shape

OPSETS = range(11, 23)
MOST_BYTES = 128 << 20  # of a file with its external data: a network of 30 million float parameters
MOST_NODES = 20_000
MOST_ELEMENTS = 1 << 26  # of one tensor; no microcontroller holds a thousandth of that
_INPUT_TYPES: dict[int, npt.DTypeLike] = {
    onnx.TensorProto.FLOAT: np.float32,
    onnx.TensorProto.UINT8: np.uint8,
    onnx.TensorProto.INT8: np.int8,
}


def read_onnx(path: Path) -> OnnxModel:
    """The network in the file at `path`.

    Raises:
        ModelError: where the file is damaged, too large, of an unknown opset, or not of one input and one output.
        UnsupportedOpError: where a node belongs to no standard domain.
    """
    proto = parsed(path)
    opset = _opset(path, proto)
    if len(proto.graph.node) > MOST_NODES:
        raise ModelError(f"{path}: has {len(proto.graph.node)} nodes; the limit is {MOST_NODES}")
    inline_external(proto, path.parent, MOST_BYTES)
    for index, node in enumerate(proto.graph.node):
        _require_standard(OnnxNode(index, node))
    _check(path, proto)
    return _model(path, proto, opset)


def parsed(path: Path) -> onnx.ModelProto:
    """What the file at `path` says, its own functions inlined; nothing more is checked than that names are text.

    Raises:
        ModelError: where it cannot be read, is damaged, or is too large, by itself or with its functions inlined.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ModelError(f"{path}: has {size} B; the limit is {MOST_BYTES} B")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        proto = onnx.ModelProto()
        proto.ParseFromString(data)
    except Exception as error:  # protobuf's own class of error has changed its place over releases
        raise ModelError(f"{path}: is no ONNX file, or a damaged one: {error}") from error
    try:
        proto = inlined(proto, MOST_NODES, MOST_BYTES)
    except ModelError as error:
        raise ModelError(f"{path}: {error.args[0]}") from error
    _require_text(path, proto)
    return proto


def _opset(path: Path, proto: onnx.ModelProto) -> int:
    versions = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    if len(versions) != 1 or versions[0] not in OPSETS:
        found = ", ".join(map(str, versions)) or "none"
        raise ModelError(
            f"{path}: opset {found}; supported are {OPSETS[0]} to {OPSETS[-1]}",
            hint="export it with another opset, or convert it with onnx.version_converter.convert_version",
        )
    return int(versions[0])


def _require_text(path: Path, proto: onnx.ModelProto) -> None:
    """Names that are no UTF-8 arrive as bytes, which mix with no text."""
    graph = proto.graph
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    tensors = (*graph.initializer, *(tensor for a in attributes for tensor in (a.t, *a.tensors)))
    names = [named.name for named in (*tensors, *graph.input, *graph.output)]
    names += [t for n in graph.node for t in (n.name, n.op_type, n.domain, *n.input, *n.output)]
    names += [text for tensor in tensors for entry in tensor.external_data for text in (entry.key, entry.value)]
    names += [dim.dim_param for value in graph.input for dim in value.type.tensor_type.shape.dim]
    names += [attribute.name for attribute in attributes]
    if not all(isinstance(name, str) for name in names):
        raise ModelError(f"{path}: is damaged: a name in it is no text")


def _require_standard(node: OnnxNode) -> None:
    if node.proto.domain not in ("", "ai.onnx"):
        raise UnsupportedOpError(
            f"{node.place}: belongs to the domain {node.proto.domain!r}",
            hint="export the model with standard ONNX operators only, before any runtime has optimised it",
        )
    if any(attribute.HasField("g") or attribute.graphs for attribute in node.proto.attribute):
        raise UnsupportedOpError(
            f"{node.place}: holds a graph of its own",
            hint="control flow must not depend on the data; export with fixed shapes",
        )


def _check(path: Path, proto: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(proto)
    except Exception as error:  # the checker is C++ and raises what its parts raise
        reason = str(error).strip().splitlines()
        raise ModelError(f"{path}: onnx.checker: {reason[0] if reason else type(error).__name__}") from error


def _model(path: Path, proto: onnx.ModelProto, opset: int) -> OnnxModel:
    graph = proto.graph
    if graph.sparse_initializer:
        raise ModelError(f"{path}: holds {len(graph.sparse_initializer)} sparse constants", hint="make them dense")
    constants = {tensor.name: array(tensor, "constant") for tensor in tensors_of(graph.initializer)}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        names = [value.name for value in [*inputs, *graph.output]]
        raise ModelError(
            f"{path}: has {len(inputs)} inputs and {len(graph.output)} outputs ({', '.join(names)}); "
            "one of each is supported",
            hint="cut it with onnx.utils.extract_model; exits are attached here",
        )
    return OnnxModel(
        opset=opset,
        input=inputs[0].name,
        input_shape=_input_shape(path, inputs[0]),
        input_dtype=_input_dtype(path, inputs[0]),
        output=graph.output[0].name,
        nodes=tuple(OnnxNode(index, node) for index, node in enumerate(graph.node)),
        constants=MappingProxyType(constants),
    )


def _input_shape(path: Path, value: onnx.ValueInfoProto) -> Shape:
    """Its shape; a batch that is left open is 1."""
    dims = value.type.tensor_type.shape.dim
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]
    said = ", ".join(str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in dims)
    if len(sizes) not in (2, 3, 4):
        raise ModelError(
            f"{path}: input {value.name} of shape ({said}) has {len(sizes)} dimensions; supported are 2 to 4",
            hint="(1, features), (1, channels, length), (1, channels, height, width) or (1, height, width, channels)",
        )
    batch, *rest = sizes
    if batch not in (None, 1, 0, -1):
        raise ModelError(f"{path}: input {value.name} of shape ({said}) has a batch of {batch}", hint="export batch 1")
    shape = (1, *(size if size is not None else 0 for size in rest))
    if min(shape) < 1:
        raise ModelError(
            f"{path}: input {value.name} of shape ({said}) leaves a size open",
            hint="fix it with onnxruntime.tools.make_dynamic_shape_fixed or onnx.tools.update_model_dims",
        )
    if prod(shape) > MOST_ELEMENTS:
        raise ModelError(f"{path}: input {value.name} has {prod(shape)} elements; the limit is {MOST_ELEMENTS}")
    return shape


def _input_dtype(path: Path, value: onnx.ValueInfoProto) -> "np.dtype[np.generic]":
    code = value.type.tensor_type.elem_type
    if code not in _INPUT_TYPES:
        known = onnx.TensorProto.DataType.values()
        kind = onnx.TensorProto.DataType.Name(code) if code in known else str(code)
        raise ModelError(
            f"{path}: input {value.name} is of type {kind}; supported are FLOAT, and UINT8 and INT8 of quantized models"
        )
    return np.dtype(_INPUT_TYPES[code])
