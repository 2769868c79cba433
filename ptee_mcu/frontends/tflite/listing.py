"""What a TFLite file holds, counted without importing it."""

from collections.abc import Iterator
from itertools import accumulate
from math import prod
from pathlib import Path

from ptee_mcu.frontends.listing import UNKNOWN, Border, Listing, at_the_end, count_ops
from ptee_mcu.frontends.tflite.file import read_tflite
from ptee_mcu.frontends.tflite.float import CONVERTERS
from ptee_mcu.frontends.tflite.int8 import HANDLERS, REASONS
from ptee_mcu.frontends.tflite.load import is_integer
from ptee_mcu.frontends.tflite.model import ABSENT, Tensor, TfliteModel

_LEFT_OUT = frozenset({"DEQUANTIZE", "QUANTIZE", "SOFTMAX"})  # where they end the network


def list_tflite(path: Path) -> Listing:
    """What the file at `path` holds.

    Raises:
        ModelError: where it is damaged.
    """
    model = read_tflite(path)
    constants = [tensor for tensor in model.tensors if tensor.data is not None]
    return Listing(
        tuple(_border(model.tensors[i]) for i in model.inputs),
        tuple(_border(model.tensors[i]) for i in model.outputs),
        count_ops(_ops(model)),
        sum(t.data.size for t in constants if t.data is not None and (t.code is not None or t.data.dtype.kind == "f")),
        sum(t.data.nbytes for t in constants if t.data is not None),
        _alive(model),
    )


def _ops(model: TfliteModel) -> Iterator[tuple[str, str]]:
    """Kind and fault of every operator; those that read only constants, or make shapes, are folded."""
    known = HANDLERS if is_integer(model) else CONVERTERS
    constants = {ABSENT, *(tensor.index for tensor in model.tensors if tensor.data is not None)}
    last = at_the_end(
        [(op.index, op.kind, op.inputs[:1], op.outputs) for op in model.operators], model.outputs, _LEFT_OUT
    )
    for op in model.operators:
        kind = op.custom or op.kind
        if op.kind == "SHAPE" or (op.inputs and constants.issuperset(op.inputs)):
            constants.update(op.outputs)
            yield kind, ""
        elif op.kind in known or op.index in last:
            yield kind, ""
        else:
            why, hint = REASONS.get(op.kind, (UNKNOWN, ""))
            yield kind, f"{why}; {hint}" if hint else why


def _border(tensor: Tensor) -> Border:
    code = tensor.code if tensor.code is not None and not tensor.code.per_channel else None
    scale, zero = (float(code.scales[0]), int(code.zero_points[0])) if code else (None, None)
    return Border(tensor.name, tensor.shape, tensor.dtype.name.lower(), scale, zero)


def _alive(model: TfliteModel) -> int:
    """The most elements of activations, between two operators, that are made and still read."""
    end = len(model.operators)
    variables = {t.index for t in model.tensors if t.variable}
    made = {i: step for step, op in enumerate(model.operators, 1) for i in op.outputs}
    made |= dict.fromkeys({*model.inputs, *variables}, 0)
    read = {i: step for step, op in enumerate(model.operators) for i in op.inputs}
    read |= dict.fromkeys({*model.outputs, *variables}, end)
    change = [0] * (end + 2)
    for tensor, first in made.items():
        change[first] += prod(model.tensors[tensor].shape)
        change[max(first, read.get(tensor, first)) + 1] -= prod(model.tensors[tensor].shape)
    return max(accumulate(change))
