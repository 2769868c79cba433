"""The walk over an ONNX model: constants are folded, every other node is converted."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.onnx.constants import evaluate
from ptee_mcu.frontends.onnx.layout import CHANNELS_FIRST, CHANNELS_LAST
from ptee_mcu.frontends.onnx.model import OnnxModel, OnnxNode
from ptee_mcu.frontends.onnx.ops import CONVERTERS, HINTS, SUPPORTED
from ptee_mcu.frontends.onnx.tensors import array
from ptee_mcu.frontends.onnx.trace import Call, Known, Param, Trace, Value
from ptee_mcu.tensor import Shape

INPUT = "input"
_LAST_TO_FIRST = {(0, 3, 1, 2), (0, 2, 1)}
_KEEPS_CODES = ("DequantizeLinear", "Identity", "Transpose")  # constants pass these with their integers
_PER_ELEMENT = frozenset(
    {
        "Add",
        "Cast",
        "Clip",
        "DequantizeLinear",
        "Div",
        "Identity",
        "LeakyRelu",
        "Mul",
        "Neg",
        "Pad",
        "QuantizeLinear",
        "Relu",
        "Sub",
    }
)


def walk(model: OnnxModel, output: str) -> tuple[Trace, Value]:
    """The converted nodes that `output` needs, and what it became.

    Raises:
        UnsupportedOpError: naming a node that has no counterpart here.
        ModelError: where a node contradicts what it reads, or the output does not depend on the input.
    """
    nodes = _needed(model, output)
    trace = Trace(model, uses=Counter([output, *(name for node in nodes for name in node.inputs)]))
    trace.shapes[INPUT], letters = _input_layout(model, nodes)
    _remember(trace, model.input, trace.value(INPUT, letters))
    trace.known.update({name: Param(values) for name, values in model.constants.items()})
    for node in nodes:
        for name, result in zip(node.outputs, _converted(Call(trace, node)), strict=False):
            _remember(trace, name, result)
            if isinstance(result, Value):  # another name for what it read is no reader
                trace.claims[result.tensor] -= sum(_is_of(trace.known.get(source), result) for source in node.inputs)
    found = trace.known.get(output)
    if not isinstance(found, Value):
        raise ModelError(f"output {output}: does not depend on the input {model.input}")
    return trace, found


def _remember(trace: Trace, name: str, result: Known) -> None:
    trace.known[name] = result
    if isinstance(result, Value):
        trace.claims[result.tensor] += trace.uses[name]


def _is_of(known: Known | None, value: Value) -> bool:
    return isinstance(known, Value) and known.tensor == value.tensor


def _needed(model: OnnxModel, output: str) -> tuple[OnnxNode, ...]:
    """The nodes that `output` depends on, in their order."""
    wanted, kept = {output}, []
    for node in reversed(model.nodes):
        if wanted.intersection(node.outputs):
            wanted.update(node.inputs)
            kept.append(node)
    return tuple(reversed(kept))


def _converted(call: Call) -> Sequence[Known]:
    node = call.node
    if node.op_type == "Constant":
        return (_constant(node),)
    given = [call.given(i) for i in range(len(node.inputs))]
    constant = all(found is None or isinstance(found, Param) for found in given)
    if constant and node.op_type not in _KEEPS_CODES:
        arrays = [found.values if isinstance(found, Param) else None for found in given]
        return [Param(values) for values in evaluate(node, arrays, call.trace.model.opset, call.trace.spend)]
    converter = CONVERTERS.get(node.op_type)
    if converter is None:
        raise node.refuse("has no counterpart here", HINTS.get(node.op_type, f"supported are {SUPPORTED}"))
    result = converter(call)
    return result if isinstance(result, tuple) else (result,)


def _constant(node: OnnxNode) -> Param:
    for attribute in node.proto.attribute:
        if attribute.name == "value":
            return Param(array(attribute.t, node.place))
        if attribute.name in ("value_float", "value_floats"):
            values = attribute.floats if attribute.name.endswith("s") else attribute.f
            return Param(np.asarray(values, dtype=np.float32))
        if attribute.name in ("value_int", "value_ints"):
            values = attribute.ints if attribute.name.endswith("s") else attribute.i
            return Param(np.asarray(values, dtype=np.int64))
    raise node.refuse("holds no tensor and no number", "text and sparse constants are not supported")


def _input_layout(model: OnnxModel, nodes: Sequence[OnnxNode]) -> tuple[Shape, str]:
    """Shape of the graph's input, and what the dimensions of the model's are.

    Channels come first in ONNX; they come last where the model itself first moves them to the front.
    """
    shape = model.input_shape
    if len(shape) == 2:
        return shape, "NC"
    letters = (CHANNELS_LAST if _is_channels_last(model, nodes) else CHANNELS_FIRST)[len(shape)]
    by_axis = dict(zip(letters, shape, strict=True))
    return (1, by_axis.get("H", 1), by_axis["W"], by_axis["C"]), letters


def _is_channels_last(model: OnnxModel, nodes: Sequence[OnnxNode]) -> bool:
    reached = {model.input}
    for node in nodes:
        if not reached.intersection(node.inputs):
            continue
        if node.op_type == "Transpose":
            return node.integers("perm", ()) in _LAST_TO_FIRST
        if node.op_type not in _PER_ELEMENT:
            return False
        reached.update(node.outputs)
    return False
