"""Constants of an ONNX file as arrays; external data only from inside the model's own folder."""

from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.onnx.model import Array
from ptee_mcu.tensor import readonly

_TYPES = {
    getattr(onnx.TensorProto, name)
    for name in (
        "FLOAT", "DOUBLE", "FLOAT16", "INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64", "BOOL",
    )
}  # fmt: skip


def array(tensor: onnx.TensorProto, what: str) -> Array:
    """The values of `tensor`, read-only.

    Raises:
        ModelError: where its type, sizes and bytes do not agree.
    """
    place = f"{what} {tensor.name or '(unnamed)'}"
    if tensor.data_type not in _TYPES:
        known = onnx.TensorProto.DataType.values()
        kind = onnx.TensorProto.DataType.Name(tensor.data_type) if tensor.data_type in known else tensor.data_type
        raise ModelError(f"{place}: values of type {kind} are not supported")
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    dims, count = tuple(tensor.dims), _stored(tensor, dtype)
    if any(size < 0 for size in dims) or prod(dims) != count:
        raise ModelError(f"{place}: shape {dims} does not match its {count} values")
    try:
        return readonly(numpy_helper.to_array(tensor), dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise ModelError(f"{place}: cannot be read: {error}") from error


def _stored(tensor: onnx.TensorProto, dtype: "np.dtype[np.generic]") -> int:
    """How many values its bytes hold."""
    if tensor.HasField("raw_data"):
        whole, rest = divmod(len(tensor.raw_data), dtype.itemsize)
        return whole if rest == 0 else -1
    fields = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    return max(len(field) for field in fields)


def tensors_of(tensors: Iterable[onnx.TensorProto]) -> Iterator[onnx.TensorProto]:
    """`tensors`, whose names must differ."""
    seen: set[str] = set()
    for tensor in tensors:
        if tensor.name in seen:
            raise ModelError(f"constant {tensor.name}: is given twice")
        seen.add(tensor.name)
        yield tensor


def inline_external(proto: onnx.ModelProto, folder: Path, most_bytes: int) -> None:
    """Puts data that lies in other files into `proto`.

    Raises:
        ModelError: where a path leaves `folder`, its bytes are not there, or they exceed `most_bytes` in all.
    """
    left = most_bytes
    for tensor in _all_tensors(proto.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            data = _external(tensor, folder, left)
            left -= len(data)
            tensor.raw_data = data
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]


def _all_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Its constants and those in attributes; subgraphs are refused as operators."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t


def _external(tensor: onnx.TensorProto, folder: Path, most: int) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    place, location = f"constant {tensor.name}", entries.get("location", "")
    root = folder.resolve()
    try:
        path = (root / location).resolve()
        inside = path.is_relative_to(root) and path.is_file() and not Path(location).is_absolute()
    except (OSError, ValueError, RuntimeError):  # a loop of links, a NUL in the name
        inside = False
    if not inside:
        raise ModelError(
            f"{place}: its data lies in {location[:80]!r}, which is no file inside the model's folder",
            hint="keep external data beside the model, or save it as one file",
        )
    size = path.stat().st_size
    offset = _count(place, entries.get("offset", "0"))
    length = _count(place, entries.get("length", str(max(size - offset, 0))))
    if offset + length > size:
        raise ModelError(f"{place}: bytes {offset} to {offset + length} of {location!r}, which has {size} B")
    if length > most:
        raise ModelError(f"{place}: external data of {length} B exceeds the limit of what a model may hold by then")
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            data: bytes = stream.read(length)
    except OSError as error:
        raise ModelError(f"{place}: {path} cannot be read: {error.strerror}") from error
    return data


def _count(place: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ModelError(f"{place}: {text[:40]!r} is no offset or length of external data")
    return int(text)
