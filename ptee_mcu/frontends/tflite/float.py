"""A float TFLite file, a dynamic-range or float16 one included, as a float Graph."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from math import prod

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.imported import Imported, shape_note
from ptee_mcu.frontends.tflite import float_arithmetic as arithmetic
from ptee_mcu.frontends.tflite import float_dilated as dilated
from ptee_mcu.frontends.tflite import float_layers as layers
from ptee_mcu.frontends.tflite import float_layout as layout
from ptee_mcu.frontends.tflite import tail
from ptee_mcu.frontends.tflite.file import MOST_ELEMENTS
from ptee_mcu.frontends.tflite.float_trace import Call, Trace, Value, graph_shape, uses_of
from ptee_mcu.frontends.tflite.model import Dtype, Operator, Tensor, TfliteModel
from ptee_mcu.frontends.tflite.shape_arithmetic import fold_shapes
from ptee_mcu.graph import Exit, Graph, make_graph, needed
from ptee_mcu.tensor import Shape

_SAME_ELEMENTS = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")
_HINTS: Mapping[str, str] = {
    "BATCH_MATMUL": "attention has no form here; use convolutions and fully connected layers",
    "BIDIRECTIONAL_SEQUENCE_LSTM": "recurrent layers have no form here; use convolutions over time",
    "CUSTOM": "custom operators have no form here; convert with the builtin operators alone",
    "GELU": "replace it by ReLU or ReLU6 and train again",
    "RESIZE_BILINEAR": "resize by nearest neighbours instead",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "recurrent layers have no form here; use convolutions over time",
    "WHILE": "loops, which recurrent layers become, have no form here; use convolutions over time",
}
CONVERTERS: Mapping[str, Callable[[Call], Value]] = {
    "ADD": arithmetic.add,
    "BATCH_TO_SPACE_ND": dilated.batch_to_space,
    "AVERAGE_POOL_2D": layers.average_pool2d,
    "CONCATENATION": layout.concatenation,
    "CONV_2D": layers.conv2d,
    "DEPTHWISE_CONV_2D": layers.depthwise_conv2d,
    "DIV": arithmetic.div,
    "EXPAND_DIMS": layout.expand_dims,
    "FULLY_CONNECTED": layers.fully_connected,
    "HARD_SWISH": arithmetic.curve,
    "LEAKY_RELU": arithmetic.leaky_relu,
    "LOGISTIC": arithmetic.curve,
    "MAXIMUM": arithmetic.limit,
    "MAX_POOL_2D": layers.max_pool2d,
    "MEAN": layers.reduce,
    "MINIMUM": arithmetic.limit,
    "MUL": arithmetic.mul,
    "NEG": arithmetic.negative,
    "PAD": layout.pad,
    "PADV2": layout.pad,
    "PRELU": arithmetic.prelu,
    "REDUCE_MAX": layers.reduce,
    "RELU": arithmetic.relu,
    "RELU6": arithmetic.relu,
    "RELU_0_TO_1": arithmetic.relu,
    "RELU_N1_TO_1": arithmetic.relu,
    "RESHAPE": layout.reshape,
    "RESIZE_NEAREST_NEIGHBOR": layout.resize_nearest,
    "SOFTMAX": layout.softmax,
    "SPACE_TO_BATCH_ND": dilated.space_to_batch,
    "SQUEEZE": layout.squeeze,
    "SUB": arithmetic.sub,
    "TANH": arithmetic.curve,
    "TILE": layout.tile,
    "TRANSPOSE": layout.transpose,
    "TRANSPOSE_CONV": layers.transpose_conv,
}


def import_float(model: TfliteModel, name: str) -> Imported:
    """The float network of `model`, with what it leaves out of the file.

    Raises:
        UnsupportedOpError: naming an operator, its index and what it makes, where it has no counterpart.
        ModelError: where the file contradicts itself, or has more than one input or output.
    """
    trace, graph = _converted(model, name)
    return Imported(graph=graph, notes=tuple(trace.notes))


def float_graph(model: TfliteModel, name: str) -> Graph:
    """The float network of `model` alone.

    Raises:
        UnsupportedOpError: see `import_float`.
        ModelError: see `import_float`.
    """
    return _converted(model, name)[1]


def _converted(model: TfliteModel, name: str) -> tuple[Trace, Graph]:
    trace = _start(model)
    with np.errstate(over="ignore", invalid="ignore"):  # the graph refuses what is not finite, by node and parameter
        for op in model.operators:
            _convert(Call(trace, op))
    logits = trace.values.get(model.outputs[0])
    if logits is None:
        raise ModelError(
            f"{model.path}: its output {model.tensors[model.outputs[0]].name} does not depend on its input"
        )
    if logits.spread is not None:
        raise ModelError(f"{model.path}: its output is an image spread over the batch", hint="convert for a batch of 1")
    if logits.softmax is not None:
        trace.notes[tail.note(logits.softmax)] = None
    nodes = needed(tuple(trace.nodes.values()), [logits.tensor])
    exits = [Exit("final", logits.tensor)]
    return trace, make_graph(name, trace.input, trace.input_shape, nodes, exits, softmax=logits.softmax is not None)


def _start(model: TfliteModel) -> Trace:
    """Nothing converted but the network's input."""
    for what, indices in (("inputs", model.inputs), ("outputs", model.outputs)):
        if len(indices) != 1:
            raise ModelError(
                f"{model.path}: has {len(indices)} {what} where one is expected",
                hint="convert the network for one input tensor and the logits of its last layer",
            )
    source = model.tensors[model.inputs[0]]
    if source.dtype is not Dtype.FLOAT32:
        raise ModelError(
            f"{model.path}: its input {source.name} is {source.dtype.name}, not FLOAT32",
            hint="convert the network with float32 inputs, or all of it to int8",
        )
    shape = _input_shape(model, source)
    trace = Trace(model, "input", shape, uses_of(model))
    trace.shapes[trace.input] = shape
    trace.values[source.index] = Value(trace.input, source.shape)
    if shape != source.shape:
        trace.notes[shape_note(source.shape, shape)] = None
    return trace


def _input_shape(model: TfliteModel, source: Tensor) -> Shape:
    """The input as (1, H, W, C) or (1, C): the image that a flat input is reshaped to at once."""
    found = graph_shape(source.shape)
    if found is None or not 0 < prod(found) <= MOST_ELEMENTS:
        raise ModelError(
            f"{model.path}: its input {source.name} has the shape {source.shape}",
            hint="only (1, H, W, C), (1, T, C) and (1, C) are supported",
        )
    if len(source.shape) > 2:
        return found
    readers: dict[int, list[Operator]] = {}
    for op in model.operators:
        for index in dict.fromkeys(op.inputs) if op.kind != "SHAPE" else ():
            readers.setdefault(index, []).append(op)
    reshaped = _only(readers.get(source.index, []))
    while reshaped is not None and reshaped.kind in _SAME_ELEMENTS and len(reshaped.outputs) == 1:
        made = model.tensors[reshaped.outputs[0]]
        shape = graph_shape(made.shape)
        if made.known and shape is not None and len(shape) == 4 and prod(shape) == prod(found):
            return shape
        reshaped = _only(readers.get(made.index, []))
    return found


def _only(readers: list[Operator]) -> Operator | None:
    return readers[0] if len(readers) == 1 else None


def _convert(call: Call) -> None:
    """Binds what the operator makes: a constant, or a value of the graph."""
    trace, op = call.trace, call.op
    ints = fold_shapes(trace.model, op, trace.arrays, trace.shape)
    if ints is not None:
        trace.arrays[call.model.output(op).index] = ints
        return
    if op.kind == "DEQUANTIZE" and call.is_constant(0):
        trace.arrays[call.model.output(op).index] = call.real(0)
        return
    converter = CONVERTERS.get(op.kind)
    if converter is None:
        supported = ", ".join(sorted(CONVERTERS))
        raise call.refuse("it has no counterpart here", _HINTS.get(op.kind, f"supported are {supported}"))
    output = call.model.output(op)
    before = len(trace.nodes)
    value = converter(call)
    _check_shape(call, output, value)
    passed = [v for i in op.inputs if (v := trace.values.get(i)) is not None and v.tensor == value.tensor]
    made = islice(reversed(trace.nodes), len(trace.nodes) - before)
    alone = trace.uses[output.index] == 1 and (value.tensor in made or all(v.alone for v in passed))
    trace.values[output.index] = replace(value, alone=alone)


def _check_shape(call: Call, output: Tensor, value: Value) -> None:
    """What the operator makes is as large as the file says, where it says so; the first axis may stand for a batch."""
    agrees = len(value.shape) == len(output.shape) and value.shape[1:] == output.shape[1:]
    open_batch = agrees and output.shape[:1] == (1,)
    if output.known and output.shape and value.spread is None and value.shape != output.shape and not open_batch:
        raise call.fault(f"it makes the shape {value.shape}; the file says {output.shape}")
