"""Reads a TFLite file into plain values; nothing in it is trusted.

Every offset, count, index, enum and size is checked before it is used; memory and time are bounded by the file's size.
Source: schema.fbs of TensorFlow Lite, version 3, through the classes of the package `tflite`.
"""

import struct
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import tflite

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.tflite.model import ABSENT, Code, Dtype, Operator, Tensor, TfliteModel
from ptee_mcu.frontends.tflite.options import DECODERS, MOST_DIMS, Options
from ptee_mcu.tensor import Shape

MOST_BYTES = 256 * 1024 * 1024  # far above any network for a microcontroller
MOST_ENTRIES = 20_000  # operators, tensors, buffers: thousands are the most that real networks have
MOST_ELEMENTS = 2**24  # of one tensor: more than any microcontroller's memory
_KINDS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if not name.startswith("_")}
_TABLES = {code: name for name, code in vars(tflite.BuiltinOptions).items() if not name.startswith("_")}
_FAULTS = (struct.error, IndexError, TypeError, ValueError, OverflowError, KeyError)  # what a wild offset ends in
_EXTERNAL_BUFFER = 24  # slot of Tensor.external_buffer, which schemas of 2025 know

T = TypeVar("T")


def read_tflite(path: Path) -> TfliteModel:
    """The one network in the file at `path`.

    Raises:
        ModelError: where the file is damaged, or holds what is never read: several subgraphs, sparse tensors, data
            outside the file, a batch above 1.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise ModelError(f"{path}: has more than {MOST_BYTES:,} B, the most that are read")
    return _Reader(path.name, data).model()


@dataclass(slots=True)
class _Reader:
    """One file; `left` is how many bytes may still become Python values: two tables may not share a long vector."""

    name: str
    data: bytes
    left: int = 0

    def model(self) -> TfliteModel:
        """Raises ModelError where any part is damaged."""
        if len(self.data) < 8 or self.data[4:8] != b"TFL3":
            raise ModelError(f"{self.name}: is not a TFLite file: bytes 4 to 7 are not TFL3")
        self.left = 4 * len(self.data)
        try:
            return self._model(tflite.Model.GetRootAs(self.data, 0))
        except ModelError as error:
            raise ModelError(f"{self.name}: {error.args[0]}", hint=error.hint) from error
        except _FAULTS as error:
            raise ModelError(f"{self.name}: is damaged: an offset leads outside the file ({error})") from error

    def _model(self, model: Any) -> TfliteModel:
        if model.Version() != 3:
            raise ModelError(f"schema version {model.Version()}; only version 3 is known")
        count = self._count("subgraphs", model.SubgraphsLength())
        if count != 1:
            raise ModelError(
                f"has {count} subgraphs; only networks of one are read: others hold loops, branches or states",
                hint="convert the inference function alone, without recurrent layers",
            )
        graph = model.Subgraphs(0)
        buffers = self._tables("buffers", model.BuffersLength(), model.Buffers)
        tensors = tuple(
            self._at(f"tensor {i}", partial(self._tensor, i, table, buffers))
            for i, table in enumerate(self._tables("tensors", graph.TensorsLength(), graph.Tensors))
        )
        codes = self._tables("operator codes", model.OperatorCodesLength(), model.OperatorCodes)
        kinds = [self._at(f"operator code {i}", partial(self._kind, c)) for i, c in enumerate(codes)]
        operators = tuple(
            self._at(f"operator {i}", partial(self._operator, i, table, kinds, len(tensors)))
            for i, table in enumerate(self._tables("operators", graph.OperatorsLength(), graph.Operators))
        )
        inputs = self._indices("inputs", graph.InputsLength(), graph.InputsAsNumpy, len(tensors), 0)
        outputs = self._indices("outputs", graph.OutputsLength(), graph.OutputsAsNumpy, len(tensors), 0)
        read = TfliteModel(self.name, tensors, operators, inputs, outputs)
        _check_order(read)
        _check_inputs(read)
        return read

    def _at(self, place: str, read: Callable[[], T]) -> T:
        """What `read` returns; its faults name the place."""
        try:
            return read()
        except ModelError as error:
            raise ModelError(f"{place}: {error.args[0]}", hint=error.hint) from error
        except _FAULTS as error:
            raise ModelError(f"{place}: is damaged: an offset leads outside the file ({error})") from error

    def _spend(self, nbytes: int) -> None:
        self.left -= nbytes
        if self.left < 0:
            raise ModelError("is damaged: its tables claim more bytes than the file has")

    def _count(self, what: str, count: int) -> int:
        if not 0 <= count <= MOST_ENTRIES:
            raise ModelError(f"has {count:,} {what}; at most {MOST_ENTRIES:,} are read")
        self._spend(4 * count)
        return count

    def _tables(self, what: str, count: int, get: Callable[[int], Any]) -> list[Any]:
        return [get(i) for i in range(self._count(what, count))]

    def _indices(
        self, what: str, count: int, get: Callable[[], npt.NDArray[np.int32]], end: int, least: int
    ) -> tuple[int, ...]:
        """Tensor indices; -1 only where `least` allows it."""
        if not self._count(what, count):
            return ()
        found = tuple(get().tolist())
        if wrong := [i for i in found if not least <= i < end]:
            raise ModelError(f"{what} name tensor {wrong[0]} of {end}")
        return found

    def _text(self, what: str, value: bytes | None) -> str:
        if value is None:
            return ""
        self._spend(len(value))
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ModelError(f"its {what} is not text") from None

    def _kind(self, code: Any) -> tuple[str, str | None]:
        """BuiltinOperator by name, and the name of a custom operator."""
        # Files older than TFLite 2.4 have the first field alone; it saturates at 127.
        number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
        kind = _KINDS.get(number)
        if kind is None:
            raise ModelError(f"builtin operator {number} does not exist in schema version 3")
        return kind, self._text("custom code", code.CustomCode()) if kind == "CUSTOM" else None

    def _operator(self, index: int, op: Any, kinds: Sequence[tuple[str, str | None]], tensors: int) -> Operator:
        code = op.OpcodeIndex()
        if not 0 <= code < len(kinds):
            raise ModelError(f"names operator code {code} of {len(kinds)}")
        kind, custom = kinds[code]
        return Operator(
            index,
            kind,
            custom,
            self._indices("inputs", op.InputsLength(), op.InputsAsNumpy, tensors, ABSENT),
            self._indices("outputs", op.OutputsLength(), op.OutputsAsNumpy, tensors, 0),
            self._at(kind, partial(_options, kind, op)),
        )

    def _tensor(self, index: int, tensor: Any, buffers: Sequence[Any]) -> Tensor:
        name = self._text("name", tensor.Name())
        if not name:
            return self._named(index, f"tensor_{index}", tensor, buffers)
        return self._at(f"({name})", partial(self._named, index, name, tensor, buffers))

    def _named(self, index: int, name: str, tensor: Any, buffers: Sequence[Any]) -> Tensor:
        dtype = _dtype(tensor.Type())
        shape = self._shape("shape", tensor.ShapeLength(), tensor.Shape, 0)
        signature = self._shape("shape signature", tensor.ShapeSignatureLength(), tensor.ShapeSignature, -1)
        if signature and len(signature) != len(shape):
            raise ModelError(f"has {len(shape)} dimensions, {len(signature)} in its signature")
        if tensor.Sparsity() is not None:
            raise ModelError("is sparse, which is not supported", hint="convert without sparsity")
        if tensor._tab.Offset(_EXTERNAL_BUFFER):  # noqa: SLF001 - a field that the package's classes lack
            raise ModelError("keeps its data in another file, which is not read")
        known = -1 not in signature[1:]
        data = self._data(tensor.Buffer(), buffers, shape, dtype)
        code = self._code(tensor.Quantization(), shape)
        variable, open_batch = bool(tensor.IsVariable()), signature[:1] == (-1,)
        return Tensor(index, name, shape, dtype, code, data, known, variable, open_batch)

    def _shape(self, what: str, rank: int, get: Callable[[int], int], least: int) -> Shape:
        if not 0 <= rank <= MOST_DIMS:
            raise ModelError(f"has a {what} of {rank:,} dimensions; at most {MOST_DIMS} are read")
        shape = tuple(get(i) for i in range(rank))
        if any(extent < least for extent in shape):
            raise ModelError(f"has the {what} {shape}, which no tensor can have")
        if abs(prod(shape)) > MOST_ELEMENTS:
            raise ModelError(f"has the {what} {shape}; at most {MOST_ELEMENTS:,} elements are read")
        return shape

    def _data(self, index: int, buffers: Sequence[Any], shape: Shape, dtype: Dtype) -> npt.NDArray[Any] | None:
        """The constant, a view of the file; None where the buffer is empty."""
        if not 0 <= index < len(buffers):
            raise ModelError(f"names buffer {index} of {len(buffers)}")
        raw = self._buffer(index, buffers[index])
        if raw.size == 0:
            return None
        if dtype.numpy is None:
            raise ModelError(f"holds constants of type {dtype.name}, which are not read")
        want = prod(shape) * dtype.numpy.itemsize
        if raw.nbytes != want:
            raise ModelError(f"has the shape {shape} of {want:,} B of {dtype.name}; its buffer has {raw.nbytes:,} B")
        return raw.view(dtype.numpy).reshape(shape)

    def _buffer(self, index: int, buffer: Any) -> npt.NDArray[np.uint8]:
        start, size = buffer.Offset(), buffer.Size()
        if start > 1:  # 0 and 1 say that the bytes are in the buffer itself
            if start + size > len(self.data):
                raise ModelError(f"buffer {index} ends at byte {start + size:,} of a file of {len(self.data):,}")
            return np.frombuffer(self.data, np.uint8, size, start)
        return np.empty(0, np.uint8) if buffer.DataIsNone() or not buffer.DataLength() else buffer.DataAsNumpy()

    def _code(self, quantization: Any, shape: Shape) -> Code | None:
        if quantization is None or quantization.ScaleLength() == 0:
            return None
        if quantization.DetailsType() != 0:
            raise ModelError("has a quantization of its own kind, which is not supported")
        scales, axis = quantization.ScaleAsNumpy(), quantization.QuantizedDimension()
        if len(shape) == 1:
            axis = 0  # files of 2019 keep the weights' axis at biases
        if quantization.ZeroPointLength() == 0:
            zeros = np.zeros(len(scales), np.int64)
        else:
            zeros = quantization.ZeroPointAsNumpy()
        if len(scales) > 1 and not (0 <= axis < len(shape) and shape[axis] == len(scales)):
            raise ModelError(f"has {len(scales)} scales along axis {axis} of {shape}")
        if len(zeros) == 1 < len(scales):
            zeros = np.broadcast_to(zeros, scales.shape)
        if len(zeros) != len(scales):
            raise ModelError(f"has {len(scales)} scales and {len(zeros)} zero points")
        if not (np.isfinite(scales).all() and (scales >= 0).all()):
            raise ModelError("has a scale that is negative or not finite")
        self._spend(12 * len(scales))
        return Code(scales, zeros, axis)


def _options(kind: str, op: Any) -> Options | None:
    decoder = DECODERS.get(kind)
    if decoder is None:
        return None
    code, table = op.BuiltinOptionsType(), op.BuiltinOptions()
    if code == 0 or table is None:
        if decoder.default is None:
            raise ModelError(f"has no {decoder.table}, which it cannot do without")
        return decoder.default
    if _TABLES.get(code) != decoder.table:
        raise ModelError(f"has options {_TABLES.get(code, code)}, not {decoder.table}")
    options = getattr(tflite, decoder.table)()
    options.Init(table.Bytes, table.Pos)
    return decoder.decode(options)


def _dtype(code: int) -> Dtype:
    try:
        return Dtype(code)
    except ValueError:
        raise ModelError(f"has element type {code}, which does not exist") from None


def _check_order(model: TfliteModel) -> None:
    """Every operator reads what is there already, and makes what is not."""
    there = {t.index for t in model.tensors if t.data is not None or t.variable or 0 in t.shape}
    if filled := [i for i in model.inputs if model.tensors[i].data is not None]:
        raise ModelError(f"input {model.tensors[filled[0]].place} holds constant data")
    there.update(model.inputs)
    for op in model.operators:
        place = f"operator {op.index} ({op.custom or op.kind})"
        if missing := [i for i in op.inputs if i != ABSENT and i not in there]:
            raise ModelError(f"{place} reads {model.tensors[missing[0]].place}, which nothing before it makes")
        made = Counter(op.outputs)
        if twice := [i for i in op.outputs if made[i] > 1 or (i in there and not model.tensors[i].variable)]:
            raise ModelError(f"{place} writes {model.tensors[twice[0]].place}, which is there already")
        there.update(op.outputs)
    if missing := [i for i in model.outputs if i not in there]:
        raise ModelError(f"output {model.tensors[missing[0]].place} is made by no operator")


def _check_inputs(model: TfliteModel) -> None:
    for tensor in (model.tensors[i] for i in model.inputs):
        if not tensor.known:
            raise ModelError(
                f"input {tensor.place} leaves dimensions open", hint="give the model a fixed input shape, batch 1"
            )
        if tensor.shape and tensor.shape[0] != 1:
            raise ModelError(
                f"input {tensor.place} has the shape {tensor.shape}: a batch of {tensor.shape[0]}",
                hint="convert the model for a batch of 1; inference on a microcontroller takes one input",
            )
