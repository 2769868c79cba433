"""Writes small TFLite files, whole or wrong on purpose, through the builder functions of the package `tflite`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
import tflite

from ptee_mcu.frontends.tflite.options import DECODERS

Value = int | float | bool | tuple[int, ...]


@dataclass(frozen=True)
class T:
    """A tensor; `data` makes it a constant."""

    shape: tuple[int, ...]
    dtype: str = "INT8"
    scales: Sequence[float] = ()
    zeros: Sequence[int] = (0,)
    axis: int = 0
    data: npt.NDArray[Any] | None = None
    signature: tuple[int, ...] = ()
    sparse: bool = False
    variable: bool = False
    name: str = ""
    buffer: int | None = None  # another than its own


@dataclass(frozen=True)
class Op:
    """An operator; options by the names of the schema."""

    kind: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: Mapping[str, Value] = field(default_factory=dict)
    table: str | None = None  # another than its kind's; "": none
    custom: str = ""


def code(*values: float) -> dict[str, Any]:
    """`scales` and `zeros` of one scale and zero point."""
    return {"scales": (values[0],), "zeros": (int(values[1]),)}


def whole(values: npt.ArrayLike) -> T:
    """A constant of int32."""
    array = np.array(values, dtype=np.int32)
    return T(array.shape, "INT32", data=array)


def write(
    path: Path,
    tensors: Sequence[T],
    operators: Sequence[Op],
    *,
    inputs: Sequence[int] = (0,),
    outputs: Sequence[int] | None = None,
    version: int = 3,
    subgraphs: int = 1,
    outside: tuple[int, int] | None = None,
    tail: bytes = b"",
) -> Path:
    """A file at `path`; the last operator's outputs are the network's where none are given.

    `outside`: offset and size that every buffer with data names instead of holding it; `tail`: bytes after the end.
    """
    b = flatbuffers.Builder(4096)
    buffers = [_buffer(b, None, None)] + [_buffer(b, t.data, outside) for t in tensors]
    made = [_tensor(b, i, t) for i, t in enumerate(tensors)]
    kinds = list(dict.fromkeys((o.kind, o.custom) for o in operators))
    codes = [_code(b, *kind) for kind in kinds]
    ops = [_operator(b, o, kinds.index((o.kind, o.custom))) for o in operators]
    ends = operators[-1].outputs if outputs is None else outputs
    graphs = []
    for _ in range(subgraphs):
        vectors = [
            _offsets(b, tflite.SubGraphStartTensorsVector, made),
            _offsets(b, tflite.SubGraphStartOperatorsVector, ops),
            _ints(b, tflite.SubGraphStartInputsVector, inputs),
            _ints(b, tflite.SubGraphStartOutputsVector, ends),
        ]
        tflite.SubGraphStart(b)
        for add, vector in zip(
            (
                tflite.SubGraphAddTensors,
                tflite.SubGraphAddOperators,
                tflite.SubGraphAddInputs,
                tflite.SubGraphAddOutputs,
            ),
            vectors,
            strict=True,
        ):
            add(b, vector)
        graphs.append(tflite.SubGraphEnd(b))
    parts = [
        _offsets(b, tflite.ModelStartSubgraphsVector, graphs),
        _offsets(b, tflite.ModelStartOperatorCodesVector, codes),
        _offsets(b, tflite.ModelStartBuffersVector, buffers),
    ]
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, version)
    tflite.ModelAddSubgraphs(b, parts[0])
    tflite.ModelAddOperatorCodes(b, parts[1])
    tflite.ModelAddBuffers(b, parts[2])
    b.Finish(tflite.ModelEnd(b), b"TFL3")
    path.write_bytes(bytes(b.Output()) + tail)
    return path


def _buffer(b: Any, data: npt.NDArray[Any] | None, outside: tuple[int, int] | None) -> Any:
    vector = None
    if data is not None and outside is None:
        raw = np.ascontiguousarray(data).tobytes()
        b.StartVector(1, len(raw), 16)  # LiteRT wants constants aligned
        b.head = b.head - len(raw)
        b.Bytes[b.head : b.head + len(raw)] = raw
        vector = b.EndVector()
    tflite.BufferStart(b)
    if vector is not None:
        tflite.BufferAddData(b, vector)
    if data is not None and outside is not None:
        tflite.BufferAddOffset(b, outside[0])
        tflite.BufferAddSize(b, outside[1])
    return tflite.BufferEnd(b)


def _tensor(b: Any, index: int, t: T) -> Any:
    name = b.CreateString(t.name or f"t{index}")
    shape = _ints(b, tflite.TensorStartShapeVector, t.shape)
    signature = _ints(b, tflite.TensorStartShapeSignatureVector, t.signature) if t.signature else None
    quantization, sparsity = _quantization(b, t) if len(t.scales) else None, None
    if t.sparse:
        tflite.SparsityParametersStart(b)
        sparsity = tflite.SparsityParametersEnd(b)
    tflite.TensorStart(b)
    tflite.TensorAddName(b, name)
    tflite.TensorAddShape(b, shape)
    tflite.TensorAddType(b, getattr(tflite.TensorType, t.dtype) if isinstance(t.dtype, str) else t.dtype)
    tflite.TensorAddBuffer(b, index + 1 if t.buffer is None else t.buffer)
    tflite.TensorAddIsVariable(b, t.variable)
    if signature is not None:
        tflite.TensorAddShapeSignature(b, signature)
    if quantization is not None:
        tflite.TensorAddQuantization(b, quantization)
    if sparsity is not None:
        tflite.TensorAddSparsity(b, sparsity)
    return tflite.TensorEnd(b)


def _quantization(b: Any, t: T) -> Any:
    tflite.QuantizationParametersStartScaleVector(b, len(t.scales))
    for scale in reversed(t.scales):
        b.PrependFloat32(scale)
    scales = b.EndVector()
    tflite.QuantizationParametersStartZeroPointVector(b, len(t.zeros))
    for zero in reversed(t.zeros):
        b.PrependInt64(zero)
    zeros = b.EndVector()
    tflite.QuantizationParametersStart(b)
    tflite.QuantizationParametersAddScale(b, scales)
    tflite.QuantizationParametersAddZeroPoint(b, zeros)
    tflite.QuantizationParametersAddQuantizedDimension(b, t.axis)
    return tflite.QuantizationParametersEnd(b)


def _code(b: Any, kind: str, custom: str) -> Any:
    name = b.CreateString(custom) if custom else None
    number = getattr(tflite.BuiltinOperator, kind) if isinstance(kind, str) else kind
    tflite.OperatorCodeStart(b)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(number, 127))
    tflite.OperatorCodeAddBuiltinCode(b, number)
    tflite.OperatorCodeAddVersion(b, 1)
    if name is not None:
        tflite.OperatorCodeAddCustomCode(b, name)
    return tflite.OperatorCodeEnd(b)


def _operator(b: Any, o: Op, code_index: int) -> Any:
    table = (DECODERS[o.kind].table if o.kind in DECODERS else "") if o.table is None else o.table
    options = _options(b, table, o.options) if table else None
    inputs = _ints(b, tflite.OperatorStartInputsVector, o.inputs)
    outputs = _ints(b, tflite.OperatorStartOutputsVector, o.outputs)
    tflite.OperatorStart(b)
    tflite.OperatorAddOpcodeIndex(b, code_index)
    tflite.OperatorAddInputs(b, inputs)
    tflite.OperatorAddOutputs(b, outputs)
    if table:
        tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, table))
        tflite.OperatorAddBuiltinOptions(b, options)
    return tflite.OperatorEnd(b)


def _options(b: Any, table: str, options: Mapping[str, Value]) -> Any:
    given = {
        name: _ints(b, getattr(tflite, f"{table}Start{name}Vector"), value) if isinstance(value, tuple) else value
        for name, value in options.items()
    }
    getattr(tflite, f"{table}Start")(b)
    for name, value in given.items():
        getattr(tflite, f"{table}Add{name}")(b, value)
    return getattr(tflite, f"{table}End")(b)


def _ints(b: Any, start: Any, values: Sequence[int]) -> Any:
    start(b, len(values))
    for value in reversed(values):
        b.PrependInt32(value)
    return b.EndVector()


def _offsets(b: Any, start: Any, offsets: Sequence[Any]) -> Any:
    start(b, len(offsets))
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return b.EndVector()
