"""Integers that an int8 TFLite file computes from shapes, worked out before anything runs.

The Keras converter leaves the batch open and writes flatten as SHAPE, STRIDED_SLICE, PACK and RESHAPE.
"""

from collections.abc import Callable, Mapping

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.tflite.model import ABSENT, Operator, Tensor, TfliteModel
from ptee_mcu.frontends.tflite.options import ReducerOptions, StridedSliceOptions
from ptee_mcu.requant import Int64
from ptee_mcu.tensor import Shape

MOST = 16  # integers in one list: no shape has more
_KINDS = ("CAST", "CONCATENATION", "GATHER", "MUL", "PACK", "REDUCE_PROD", "SHAPE", "STRIDED_SLICE")
_DEEPEST = 32  # operators from a shape to what is made of it


def folded(
    model: TfliteModel, op: Operator, tensor: Tensor, makers: Mapping[int, Operator], shape: Callable[[Tensor], Shape]
) -> Int64:
    """The integers in `tensor`, which `op` reads: constants, or what operators make of constants and shapes.

    Raises:
        UnsupportedOpError: where they depend on what the network computes.
        ModelError: where they are no short list of integers.
    """
    done: dict[int, Int64] = {}

    def value(tensor: Tensor, depth: int) -> Int64:
        if tensor.index not in done:
            done[tensor.index] = worked_out(tensor, depth)
        return done[tensor.index]

    def worked_out(tensor: Tensor, depth: int) -> Int64:
        if tensor.data is not None:
            if tensor.data.dtype.kind not in "iu" or tensor.data.size > MOST:
                what = f"{tensor.data.size} values of {tensor.data.dtype}"
                raise ModelError(f"{model.place(op)} has {what} in {tensor.name}, where a few integers belong")
            return tensor.data.astype(np.int64)
        maker = makers.get(tensor.index)
        if maker is None or maker.kind not in _KINDS or depth > _DEEPEST or ABSENT in maker.inputs:
            raise model.refuse(op, f"its input {tensor.name} is computed", "make it a constant")
        if maker.kind == "SHAPE":
            return np.array(shape(model.input(maker, 0)), dtype=np.int64)
        given = [value(model.tensors[i], depth + 1) for i in maker.inputs[:MOST]]
        try:
            made = _made(maker, given)
        except (IndexError, ValueError) as error:
            raise ModelError(f"{model.place(maker)} cannot be worked out: {error}") from error
        if made.size > MOST:
            raise ModelError(f"{model.place(maker)} makes {made.size} integers; at most {MOST} are worked out")
        return made

    return value(tensor, 0)


def _made(op: Operator, given: list[Int64]) -> Int64:
    """What `op` makes; numpy raises IndexError or ValueError where it cannot."""
    match op.kind:
        case "CAST":
            made = given[0]
        case "CONCATENATION":
            made = np.concatenate(given)
        case "GATHER":
            made = given[0][given[1]]
        case "MUL":
            made = given[0] * given[1]
        case "PACK":
            made = np.stack(given)
        case "REDUCE_PROD":
            made = np.prod(given[0], keepdims=op.read(ReducerOptions).keep_dims)
        case _:
            options = op.read(StridedSliceOptions)
            begin, end, step = (int(values.item()) for values in given[1:])
            if options.shrink_axis_mask & 1:
                made = given[0][begin]
            else:
                first = None if options.begin_mask & 1 else begin
                last = None if options.end_mask & 1 else end
                made = given[0][first:last:step]
    return np.asarray(made, dtype=np.int64)
