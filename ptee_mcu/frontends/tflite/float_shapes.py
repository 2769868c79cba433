"""Shape arithmetic of a TFLite file: integers computed from the shape of a tensor, worked out for a batch of 1.

The Keras converter leaves the batch open and writes flatten as SHAPE, STRIDED_SLICE, PACK and RESHAPE.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from ptee_mcu.frontends.tflite.float_trace import Call
from ptee_mcu.frontends.tflite.model import ABSENT
from ptee_mcu.frontends.tflite.options import StridedSliceOptions

Ints = npt.NDArray[np.int64]

_MOST = 16  # integers that one step may make: no shape has more


def fold_shapes(call: Call) -> Ints | None:
    """What the operator makes of integers known by now; None where it is no shape arithmetic.

    Raises:
        UnsupportedOpError: where it is, but of a kind that no shape needs.
    """
    if call.op.kind == "SHAPE":
        tensor = call.model.input(call.op, 0)
        value = call.trace.values.get(tensor.index)
        return np.asarray(tensor.shape if value is None else value.shape, np.int64)
    fold = _FOLDS.get(call.op.kind)
    present = [i for i, index in enumerate(call.op.inputs) if index != ABSENT]
    if fold is None or not present or not all(call.is_constant(i) for i in present):
        return None
    arrays = [call.array(i) for i in present]
    if not all(np.issubdtype(array.dtype, np.integer) for array in arrays):
        return None
    if max(array.size for array in arrays) > _MOST:
        raise call.refuse(
            f"it computes with {max(a.size for a in arrays)} constants", "fold constants before converting"
        )
    return np.asarray(fold(call, [array.astype(np.int64) for array in arrays]), np.int64)


def _strided_slice(call: Call, arrays: list[Ints]) -> Ints:
    options = call.op.read(StridedSliceOptions)
    if len(arrays) != 4 or any(a.ndim != 1 for a in arrays) or any(a.size != 1 for a in arrays[1:]):
        raise call.refuse("it slices constants of several dimensions", "fold constants before converting")
    data, begin, end, step = arrays
    if options.ellipsis_mask or options.new_axis_mask or options.offset or step[0] == 0:
        raise call.refuse("its masks or its step mean no plain range", "fold constants before converting")
    if options.shrink_axis_mask & 1:
        if not -data.size <= begin[0] < data.size:
            raise call.fault(f"it takes element {begin[0]} of {data.size}")
        return np.asarray(data[begin[0]], np.int64)
    first = None if options.begin_mask & 1 else int(begin[0])
    last = None if options.end_mask & 1 else int(end[0])
    return data[first : last : int(step[0])]


def _pack(call: Call, arrays: list[Ints]) -> Ints:
    if any(array.ndim for array in arrays) or len(arrays) > _MOST:
        raise call.refuse("it stacks constants of several dimensions", "fold constants before converting")
    return np.stack(arrays)


def _join(call: Call, arrays: list[Ints]) -> Ints:
    if any(array.ndim != 1 for array in arrays) or sum(array.size for array in arrays) > _MOST:
        raise call.refuse("it joins constants of several dimensions", "fold constants before converting")
    return np.concatenate(arrays)


def _gather(call: Call, arrays: list[Ints]) -> Ints:
    if len(arrays) != 2 or arrays[0].ndim != 1:
        raise call.refuse("it gathers from constants of several dimensions", "fold constants before converting")
    data, at = arrays
    if at.size and not (at.min() >= 0 and at.max() < data.size):
        raise call.fault(f"it takes elements {at.tolist()} of {data.size}")
    return np.asarray(data[at], np.int64)


def _product(_: Call, arrays: list[Ints]) -> Ints:
    return np.asarray(np.prod(arrays[0]), np.int64)


def _times(call: Call, arrays: list[Ints]) -> Ints:
    if len(arrays) != 2 or (arrays[0].size != 1 != arrays[1].size and arrays[0].shape != arrays[1].shape):
        raise call.refuse("it multiplies constants of different shapes", "fold constants before converting")
    return arrays[0] * arrays[1]


def _same(_: Call, arrays: list[Ints]) -> Ints:
    return arrays[0]


_FOLDS: Mapping[str, Callable[[Call, list[Ints]], Ints]] = {
    "CAST": _same,
    "CONCATENATION": _join,
    "GATHER": _gather,
    "MUL": _times,
    "PACK": _pack,
    "REDUCE_PROD": _product,
    "STRIDED_SLICE": _strided_slice,
}
