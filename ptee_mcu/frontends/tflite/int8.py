"""Fully int8 TFLite files as the exact integer networks that they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from ptee_mcu.errors import ModelError, QuantizationError, UnsupportedOpError
from ptee_mcu.frontends.imported import Imported, code_text, codes_note, shape_note
from ptee_mcu.frontends.quantized import QuantBuilder
from ptee_mcu.frontends.tflite import int8_dilated, int8_layers, int8_math, int8_pools, int8_shapes, tail
from ptee_mcu.frontends.tflite.int8_file import Int8File, View
from ptee_mcu.frontends.tflite.int8_math import Handler
from ptee_mcu.frontends.tflite.int8_tables import recoded_pixels
from ptee_mcu.frontends.tflite.model import ABSENT, Dtype, Operator, Tensor, TfliteModel
from ptee_mcu.frontends.tflite.shape_arithmetic import INTEGERS
from ptee_mcu.tensor import Int8, Quant, readonly

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        "ADD": int8_math.add,
        "AVERAGE_POOL_2D": int8_pools.average_pool2d,
        "BATCH_TO_SPACE_ND": int8_dilated.batch_to_space,
        "CONCATENATION": int8_shapes.concatenation,
        "CONV_2D": int8_layers.conv2d,
        "DEPTHWISE_CONV_2D": int8_layers.conv2d,
        "EXPAND_DIMS": int8_shapes.reshape,
        "FULLY_CONNECTED": int8_layers.fully_connected,
        "HARD_SWISH": int8_math.hard_swish,
        "LEAKY_RELU": int8_math.leaky_relu,
        "LOGISTIC": int8_math.logistic,
        "MAX_POOL_2D": int8_pools.max_pool2d,
        "MEAN": int8_pools.mean,
        "MUL": int8_math.mul,
        "PAD": int8_shapes.pad,
        "PADV2": int8_shapes.pad,
        "PRELU": int8_math.prelu,
        "QUANTIZE": int8_math.quantize,
        "REDUCE_MAX": int8_pools.reduce_max,
        "RELU": int8_math.relu,
        "RELU6": int8_math.relu6,
        "RELU_0_TO_1": int8_math.relu_0_to_1,
        "RELU_N1_TO_1": int8_math.relu_n1_to_1,
        "RESHAPE": int8_shapes.reshape,
        "RESIZE_NEAREST_NEIGHBOR": int8_shapes.resize_nearest,
        "SLICE": int8_shapes.slice_,
        "SPACE_TO_BATCH_ND": int8_dilated.space_to_batch,
        "SPLIT": int8_shapes.split,
        "SPLIT_V": int8_shapes.split,
        "SQUEEZE": int8_shapes.reshape,
        "STRIDED_SLICE": int8_shapes.strided_slice,
        "SUB": int8_math.sub,
        "TANH": int8_math.tanh,
        "TILE": int8_shapes.tile,
        "TRANSPOSE": int8_shapes.transpose,
        "TRANSPOSE_CONV": int8_layers.transpose_conv,
    }
)
_STATEFUL = "it is recurrent: it keeps a state between inferences, and every inference here stands alone"
_CONTROL = "it chooses at run time what is computed, and every network here is a fixed list of layers"
_FLOAT = "it computes in float within an int8 network"
REASONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "SVDF", "LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "RNN",
                "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN", "VAR_HANDLE", "READ_VARIABLE",
                "ASSIGN_VARIABLE", "CALL_ONCE",
            ),
            (_STATEFUL, "use a convolution over time, such as a DS-CNN, instead"),
        ),
        **dict.fromkeys(("IF", "WHILE", "CALL"), (_CONTROL, "export the inference function alone")),
        "DEQUANTIZE": (_FLOAT, "quantize the whole network to int8, or import the float file"),
        "SOFTMAX": ("an int8 softmax has no kernel here; only one at the end, which is left out", "move it to the end"),
        "CUSTOM": ("it is a custom operator, known to its maker alone", "replace it by built-in operators"),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the network answers with once borders are left out, and the operators that are."""

    tensor: int
    dropped: frozenset[int]
    softmax: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the network takes once borders are left out: the same codes under every index of `tensors`."""

    tensors: tuple[int, ...]
    quant: Quant
    dropped: frozenset[int]
    preprocess: Int8 | None
    notes: tuple[str, ...]


def import_int8(model: TfliteModel, name: str) -> Imported:
    """The integer network of `model`: scales, zero points, weights and biases as they are.

    Raises:
        UnsupportedOpError: naming an operator that has no counterpart here, why, and what to do.
        ModelError, QuantizationError: where shapes, scales or weights cannot be.
    """
    answer = _answer(model)
    used = _used(model, answer)
    integers = {op.index for op in used if _makes_integers(model, op) and answer.tensor not in op.outputs}
    layers = tuple(op for op in used if op.index not in integers)
    for op in layers:
        if op.kind not in HANDLERS:
            why, hint = REASONS.get(op.kind, ("it has no int8 kernel here", "see `ptee-mcu ops` for those that have"))
            raise model.refuse(op, why, hint)
    entry = _entry(model, layers)
    source = model.tensors[model.inputs[0]]
    shape = source.shape if len(source.shape) in (2, 4) else (1, *[1] * (4 - len(source.shape)), *source.shape[1:])
    if len(shape) not in (2, 4):
        raise UnsupportedOpError(
            f"{model.path}: the input {source.name} has the shape {source.shape}", hint="use (1, H, W, C)"
        )
    builder = QuantBuilder.start(name, "input", shape, entry.quant)
    file = Int8File(model, builder, {tensor: View("input", source.shape) for tensor in entry.tensors})
    for op in used:
        if op.index in integers:
            file.fold(op)
        elif op.index not in entry.dropped:
            _place(file, op)
    if answer.tensor in file.spread:
        raise UnsupportedOpError(f"{model.path}: the output is a batch of blocks", hint="end with BATCH_TO_SPACE_ND")
    view = file.views[answer.tensor]
    if view.axes is not None:
        raise UnsupportedOpError(f"{model.path}: the output is transposed", hint="answer in the order NHWC")
    notes = [] if shape == source.shape else [shape_note(source.shape, shape)]
    graph = builder.finish(view.tensor, softmax=answer.softmax, preprocess=entry.preprocess)
    return Imported(quantized=graph, notes=(*notes, *entry.notes, *answer.notes))


def _place(file: Int8File, op: Operator) -> None:
    try:
        with np.errstate(over="ignore"):  # absurd scales overflow to an infinite factor, which is refused
            held = op.kind != "BATCH_TO_SPACE_ND" and file.spread.keys() & set(op.inputs)
            handle = int8_dilated.hold if held else HANDLERS[op.kind]
            handle(file, op)
    except (ModelError, QuantizationError) as error:
        if error.args[0].startswith(file.model.path):
            raise
        raise type(error)(f"{file.model.place(op)} {error.args[0]}", hint=error.hint) from error


def _answer(model: TfliteModel) -> _Answer:
    """Goes back from the output over conversions and a softmax."""
    if len(model.outputs) != 1:
        raise UnsupportedOpError(
            f"{model.path}: answers with {len(model.outputs)} tensors", hint="keep one output before conversion"
        )
    tensor, dropped, softmax = model.outputs[0], set(), False
    notes: list[str] = []
    makers = {made: op for op in model.operators for made in op.outputs}
    while (op := makers.get(tensor)) is not None:
        last = model.output(op)
        if op.kind == "SOFTMAX" and not softmax:
            tail.require_over_classes(model, op, last.shape)
            softmax = True
            notes.append(tail.note(op))
        elif op.kind == "DEQUANTIZE" or (op.kind == "QUANTIZE" and last.dtype is not Dtype.INT8):
            notes.append(
                f"{op.kind} (operator {op.index}) at the end is left out: the answer is int8 codes, not "
                f"{last.dtype.name.lower()}"
            )
        else:
            break
        dropped.add(op.index)
        tensor = model.input(op, 0).index
    return _Answer(tensor, frozenset(dropped), softmax, tuple(notes))


def _used(model: TfliteModel, answer: _Answer) -> tuple[Operator, ...]:
    """Operators that the answer needs, those that make integers of shapes included."""
    wanted, used = {answer.tensor}, []
    for op in reversed(model.operators):
        if wanted.intersection(op.outputs) and op.index not in answer.dropped:
            wanted.update(i for i in op.inputs if i != ABSENT and op.kind != "SHAPE")
            used.append(op)
    return tuple(reversed(used))


def _makes_integers(model: TfliteModel, op: Operator) -> bool:
    return all(model.tensors[i].dtype in INTEGERS for i in op.outputs)


def _entry(model: TfliteModel, layers: tuple[Operator, ...]) -> _Entry:
    """The input's code; conversions of a uint8 or float input are left out."""
    if len(model.inputs) != 1:
        raise UnsupportedOpError(f"{model.path}: takes {len(model.inputs)} inputs", hint="keep one input")
    source = model.tensors[model.inputs[0]]
    readers = [op for op in layers if source.index in op.inputs]
    if not readers:
        raise ModelError(f"{model.path}: the output does not depend on the input {source.name}")
    if source.dtype is Dtype.INT8:
        return _Entry((source.index,), _quant(model, source), frozenset(), None, ())
    if source.dtype not in (Dtype.UINT8, Dtype.FLOAT32):
        raise UnsupportedOpError(
            f"{model.path}: the input {source.name} is {source.dtype.name.lower()}",
            hint="int8, uint8 and float32 inputs are supported",
        )
    for op in readers:
        if op.kind != "QUANTIZE" or model.output(op).dtype is not Dtype.INT8:
            raise model.refuse(
                op,
                f"it reads the {source.dtype.name.lower()} input, and the network behind it is not int8",
                "quantize the whole network to int8 with TensorFlow 2, or import the float file",
            )
    made = [model.output(op) for op in readers]
    quants = [_quant(model, tensor) for tensor in made]
    if any(quant != quants[0] for quant in quants):
        raise model.refuse(readers[1], "the input is quantized twice, to different codes", "quantize it once")
    place = f"QUANTIZE (operator {readers[0].index})"
    note, preprocess = codes_note(place, quants[0]), None
    if source.dtype is Dtype.UINT8:
        preprocess = _pixels(model, source, quants[0])
        note = f"{place} of the uint8 input became the table of pixels to {code_text(quants[0])}"
    dropped = frozenset(op.index for op in readers)
    return _Entry(tuple(tensor.index for tensor in made), quants[0], dropped, preprocess, (note,))


def _pixels(model: TfliteModel, source: Tensor, quant: Quant) -> Int8:
    """The table (256, C) of a uint8 input."""
    code = source.code
    if code is None or code.per_channel or not code.scales[0] > 0:
        raise ModelError(f"{model.path}: {source.place} has no single positive scale")
    column = recoded_pixels(float(code.scales[0]), int(code.zero_points[0]), quant)
    return readonly(np.repeat(column[:, None], source.shape[-1], axis=1), np.int8)


def _quant(model: TfliteModel, tensor: Tensor) -> Quant:
    if tensor.code is None or tensor.code.per_channel:
        raise ModelError(f"{model.path}: {tensor.place} has no single scale")
    try:
        return Quant(float(tensor.code.scales[0]), int(tensor.code.zero_points[0]))
    except QuantizationError as error:
        raise ModelError(f"{model.path}: {tensor.place}: {error.args[0]}") from error
