"""Shape arithmetic of a TFLite file: integers computed from the shape of a tensor, worked out for a batch of 1.

The Keras converter leaves the batch open and writes flatten as SHAPE, STRIDED_SLICE, PACK and RESHAPE.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from ptee_mcu.errors import ModelError, UnsupportedOpError
from ptee_mcu.frontends.tflite.model import ABSENT, Dtype, Operator, Tensor, TfliteModel
from ptee_mcu.frontends.tflite.options import ReducerOptions, StridedSliceOptions
from ptee_mcu.requant import Int64
from ptee_mcu.tensor import Shape

MOST = 16  # integers in one list: no shape has more
INTEGERS = (Dtype.INT32, Dtype.INT64)
_HINT = "fold constants before converting"


def fold_shapes(
    model: TfliteModel, op: Operator, known: Mapping[int, Int64], shape_of: Callable[[Tensor], Shape]
) -> Int64 | None:
    """What `op` makes of integers, `known` by tensor or constant; None where it is no shape arithmetic.

    Raises:
        UnsupportedOpError: where it is, but of a kind that no shape needs.
        ModelError: where it takes elements that are not there.
    """
    if op.kind == "SHAPE":
        return np.asarray(shape_of(model.input(op, 0)), np.int64)
    fold, tensors = _FOLDS.get(op.kind), [model.tensors[i] for i in op.inputs if i != ABSENT]
    if fold is None or not tensors:
        return None
    arrays: list[Int64] = []
    for tensor in tensors:
        if tensor.index in known:
            arrays.append(known[tensor.index])
        elif tensor.data is not None and tensor.dtype in INTEGERS:
            arrays.append(tensor.data.astype(np.int64))
        else:
            return None
    call = _Call(model, op)
    if (most := max(array.size for array in arrays)) > MOST:
        raise call.refuse(f"it computes with {most} constants")
    return np.asarray(fold(call, arrays), np.int64)


def completed(wanted: Shape, elements: int) -> Shape | None:
    """The shape that a RESHAPE of so many elements asks for, its -1 replaced; None where there is none."""
    rest = prod(extent for extent in wanted if extent != -1)
    if min(wanted, default=1) < -1 or wanted.count(-1) > 1 or rest < 1:
        return None
    shape = tuple(elements // rest if extent == -1 else extent for extent in wanted)
    return shape if prod(shape) == elements else None


@dataclass(frozen=True, slots=True)
class _Call:
    """One operator, and how its faults are told."""

    model: TfliteModel
    op: Operator

    def refuse(self, why: str) -> UnsupportedOpError:
        return self.model.refuse(self.op, why, _HINT)

    def fault(self, why: str) -> ModelError:
        return self.model.fault(self.op, why)


def _strided_slice(call: _Call, arrays: list[Int64]) -> Int64:
    options = call.op.read(StridedSliceOptions)
    if len(arrays) != 4 or any(a.ndim != 1 for a in arrays) or any(a.size != 1 for a in arrays[1:]):
        raise call.refuse("it slices constants of several dimensions")
    data, begin, end, step = arrays
    if options.ellipsis_mask or options.new_axis_mask or options.offset or step[0] == 0:
        raise call.refuse("its masks or its step mean no plain range")
    if options.shrink_axis_mask & 1:
        if not -data.size <= begin[0] < data.size:
            raise call.fault(f"it takes element {begin[0]} of {data.size}")
        return np.asarray(data[begin[0]], np.int64)
    first = None if options.begin_mask & 1 else int(begin[0])
    last = None if options.end_mask & 1 else int(end[0])
    return data[first : last : int(step[0])]


def _pack(call: _Call, arrays: list[Int64]) -> Int64:
    if any(array.ndim for array in arrays) or len(arrays) > MOST:
        raise call.refuse("it stacks constants of several dimensions, or too many")
    return np.stack(arrays)


def _join(call: _Call, arrays: list[Int64]) -> Int64:
    if any(array.ndim != 1 for array in arrays) or sum(array.size for array in arrays) > MOST:
        raise call.refuse("it joins constants of several dimensions, or too many")
    return np.concatenate(arrays)


def _gather(call: _Call, arrays: list[Int64]) -> Int64:
    if len(arrays) != 2 or arrays[0].ndim != 1:
        raise call.refuse("it gathers from constants of several dimensions")
    data, at = arrays
    if at.size and not (at.min() >= 0 and at.max() < data.size):
        raise call.fault(f"it takes elements {at.tolist()} of {data.size}")
    return np.asarray(data[at], np.int64)


def _product(call: _Call, arrays: list[Int64]) -> Int64:
    if arrays[0].ndim != 1:
        raise call.refuse("it multiplies constants of several dimensions")
    return np.asarray(np.prod(arrays[0], keepdims=call.op.read(ReducerOptions).keep_dims), np.int64)


def _times(call: _Call, arrays: list[Int64]) -> Int64:
    if len(arrays) != 2 or (arrays[0].size != 1 != arrays[1].size and arrays[0].shape != arrays[1].shape):
        raise call.refuse("it multiplies constants of different shapes")
    return arrays[0] * arrays[1]


def _same(_: _Call, arrays: list[Int64]) -> Int64:
    return arrays[0]


_FOLDS: Mapping[str, Callable[[_Call, list[Int64]], Int64]] = {
    "CAST": _same,
    "CONCATENATION": _join,
    "GATHER": _gather,
    "MUL": _times,
    "PACK": _pack,
    "REDUCE_PROD": _product,
    "STRIDED_SLICE": _strided_slice,
}
