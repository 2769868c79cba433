"""ONNX files as networks: float ones as a Graph, those with QuantizeLinear as the integers that they are."""

from pathlib import Path

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.imported import Imported, codes_note, softmax_note
from ptee_mcu.frontends.onnx import layout
from ptee_mcu.frontends.onnx.file import read_onnx
from ptee_mcu.frontends.onnx.integers import quant_graph
from ptee_mcu.frontends.onnx.tail import final_softmax, require_over_classes
from ptee_mcu.frontends.onnx.trace import Trace, Value
from ptee_mcu.frontends.onnx.walk import INPUT, walk
from ptee_mcu.graph import Exit, Graph, make_graph, needed


def load_onnx(path: Path, name: str) -> Imported:
    """The network in the ONNX file at `path`, called `name`.

    Raises:
        ModelError: where the file is damaged, too large, or says what cannot be.
        UnsupportedOpError: naming the operator, its place in the graph, why, and what to do.
        QuantizationError: where the integers of a quantized model do not fit int8 arithmetic.
    """
    model = read_onnx(path)
    softmax = final_softmax(model)
    trace, output = walk(model, model.output if softmax is None else softmax.inputs[0])
    if softmax is not None:
        require_over_classes(softmax, output, model.opset)
    _require_logits(trace, output, name)
    notes = [] if softmax is None else [softmax_note(softmax.place)]
    if trace.quants:
        quantized = quant_graph(trace, output.tensor, name, softmax=softmax is not None)
        if model.input_dtype == "float32":
            notes.append(codes_note("QuantizeLinear", quantized.input_tensor.quant))
        return Imported(quantized=quantized, notes=tuple(notes))
    if any(trace.codes.values()):
        notes.append("its weights are quantized, its activations are not: they became float again")
    return Imported(graph=_graph(trace, output, name, softmax=softmax is not None), notes=tuple(notes))


def _graph(trace: Trace, output: Value, name: str, *, softmax: bool) -> Graph:
    nodes = needed(tuple(trace.nodes.values()), [output.tensor])
    return make_graph(name, INPUT, trace.shapes[INPUT], nodes, [Exit("final", output.tensor)], softmax=softmax)


def _require_logits(trace: Trace, output: Value, name: str) -> None:
    """The output is one row of numbers in the order of the graph's bytes, and something computes it."""
    if not trace.nodes or output.tensor == INPUT:
        raise ModelError(f"{name}: computes nothing from its input")
    wide = [dim for dim in output.dims if dim]
    if len(wide) > 1 or "".join(wide) != layout.used_axes(trace.shapes[output.tensor]):
        raise ModelError(
            f"{name}: its output of shape {output.shape} holds no logits",
            hint="end the network in a fully connected layer or a global pool, so that it answers (1, classes)",
        )
