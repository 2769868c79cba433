"""What an ONNX file holds, counted without importing it."""

from collections.abc import Iterator
from math import prod
from pathlib import Path

import onnx

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.listing import UNKNOWN, Border, Listing, at_the_end, count_ops
from ptee_mcu.frontends.onnx.constants import FOLDABLE
from ptee_mcu.frontends.onnx.file import MOST_ELEMENTS, parsed
from ptee_mcu.frontends.onnx.ops import CONVERTERS, HINTS
from ptee_mcu.frontends.onnx.tail import BEHIND, SOFTMAX

_CODES = frozenset({"QuantizeLinear", "DequantizeLinear"})  # whose second and third inputs are scale and zero point
_MAKES_CONSTANTS = frozenset({"Constant", "Shape", "Size"})
_LEFT_OUT = SOFTMAX | BEHIND  # where they end the network


def list_onnx(path: Path) -> Listing:
    """What the file at `path` holds; a file of another opset or several outputs too.

    Raises:
        ModelError: where it is damaged or too large.
    """
    graph = parsed(path).graph
    held = {tensor.name for tensor in graph.initializer}
    codes = {name for node in graph.node if node.op_type in _CODES for name in node.input[1:]}
    sizes = {tensor.name: _size(path, tensor) for tensor in graph.initializer}
    integral = {t.name for t in graph.initializer if t.data_type in (onnx.TensorProto.INT64, onnx.TensorProto.BOOL)}
    return Listing(
        tuple(_border(value) for value in graph.input if value.name not in held),
        tuple(_border(value) for value in graph.output),
        count_ops(_ops(graph)),
        sum(count for name, (count, _) in sizes.items() if name not in codes | integral),
        sum(nbytes for _, nbytes in sizes.values()),
        None,
    )


def _ops(graph: onnx.GraphProto) -> Iterator[tuple[str, str]]:
    """Kind and fault of every node, as a walk over the graph meets them: what has only constants to read is folded."""
    constants = {"", *(tensor.name for tensor in graph.initializer)}
    ops = [(i, node.op_type, node.input[:1], node.output) for i, node in enumerate(graph.node)]
    last = at_the_end(ops, [value.name for value in graph.output], _LEFT_OUT)
    for i, node in enumerate(graph.node):
        kind = node.op_type
        if node.domain not in ("", "ai.onnx"):
            yield f"{node.domain}.{kind}", f"belongs to the domain {node.domain!r}: export standard operators only"
        elif kind in _MAKES_CONSTANTS or (kind in FOLDABLE and constants.issuperset(node.input)):
            constants.update(node.output)
            yield kind, ""
        elif kind in CONVERTERS or i in last:
            yield kind, ""
        else:
            yield kind, HINTS.get(kind, UNKNOWN)


def _size(path: Path, tensor: onnx.TensorProto) -> tuple[int, int]:
    """Elements and bytes of a constant, by what the file says of its shape."""
    count = prod(tensor.dims) if min(tensor.dims, default=0) >= 0 else -1
    if not 0 <= count <= MOST_ELEMENTS:
        raise ModelError(f"{path}: constant {tensor.name} has the shape {tuple(tensor.dims)}, which is not possible")
    try:
        return count, count * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except KeyError as error:
        raise ModelError(f"{path}: constant {tensor.name} has element type {tensor.data_type}, unknown") from error


def _border(value: onnx.ValueInfoProto) -> Border:
    kind = value.type.tensor_type
    known = onnx.TensorProto.DataType.values()
    dtype = onnx.TensorProto.DataType.Name(kind.elem_type).lower() if kind.elem_type in known else str(kind.elem_type)
    dims = (dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in kind.shape.dim)
    return Border(value.name, tuple(dims), "float32" if dtype == "float" else dtype)
