"""The exact integer network of a QDQ model: integers, scales and zero points as the file has them.

The walk has left out QuantizeLinear and DequantizeLinear; what they said of tensors and constants is in the trace.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ptee_mcu.errors import ModelError, UnsupportedOpError
from ptee_mcu.frontends.onnx.integer_layers import mean, product
from ptee_mcu.frontends.onnx.model import OnnxModel
from ptee_mcu.frontends.onnx.trace import Trace
from ptee_mcu.frontends.onnx.walk import INPUT
from ptee_mcu.frontends.quantized import QuantBuilder
from ptee_mcu.graph import Node, needed
from ptee_mcu.ops import (
    Activation,
    Add,
    AvgPool2d,
    Clamp,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Elementwise,
    Flatten,
    Linear,
    Mul,
    QLookup,
)
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import INT8_MAX, INT8_MIN, Float, Int8, Quant, readonly

_COPIES = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze", "Shape", "Size"})
Function = Callable[[Float], Float]


def quant_graph(trace: Trace, output: str, name: str, *, softmax: bool) -> QuantGraph:
    """The int8 network that answers with the graph tensor `output`.

    Raises:
        UnsupportedOpError: where a layer between the quantized ones is float.
        QuantizationError: where int8 arithmetic cannot hold a layer.
    """
    nodes = needed(tuple(trace.nodes.values()), [output])
    readers = _readers(nodes)
    code = _input_code(trace, readers)
    if code is None:
        raise UnsupportedOpError(
            f"{name}: its input is not quantized before the first layer reads it",
            hint="quantize the whole network, its input included",
        )
    if trace.model.input_dtype.kind in "iu" and not _reads_codes(trace.model):
        raise UnsupportedOpError(
            f"{name}: its input {trace.model.input} of {trace.model.input_dtype} is read as numbers, not as codes",
            hint="put a DequantizeLinear behind the input, or make the input float32",
        )
    builder = QuantBuilder.start(name, INPUT, trace.shapes[INPUT], code)
    work = _Integers(trace, builder, readers, output)
    for node in nodes:
        work.add(node)
    unsigned = trace.model.input_dtype == np.uint8
    table = _pixel_table(trace.shapes[INPUT][-1]) if unsigned else None
    return builder.finish(work.at[output], softmax=softmax, preprocess=table)


def _readers(nodes: tuple[Node, ...]) -> dict[str, list[Node]]:
    readers: dict[str, list[Node]] = {}
    for node in nodes:
        for tensor in node.inputs:
            readers.setdefault(tensor, []).append(node)
    return readers


def _input_code(trace: Trace, readers: Mapping[str, list[Node]]) -> Quant | None:
    """The input's code, or that of what it becomes by copies alone, such as a Reshape."""
    tensor = INPUT
    while tensor not in trace.quants:
        reading = readers.get(tensor, [])
        if len(reading) != 1 or len(reading[0].inputs) != 1 or not reading[0].op.same_quant:
            return None
        tensor = reading[0].output
    return trace.quants[tensor]


def _reads_codes(model: OnnxModel) -> bool:
    """True where, but for copies, DequantizeLinear alone reads the input."""
    reached = {model.input}
    for node in model.nodes:
        if reached.intersection(node.inputs[:1]) and node.op_type != "DequantizeLinear":
            if node.op_type not in _COPIES:
                return False
            reached.update(node.outputs)
    return True


def _pixel_table(channels: int) -> Int8:
    """The int8 code of each uint8 code: 128 less."""
    codes: Int8 = readonly(np.repeat(np.arange(INT8_MIN, INT8_MAX + 1)[:, None], channels, axis=1), np.int8)
    return codes


@dataclass(slots=True)
class _Integers:
    """Where each tensor of the float graph lies in the int8 network."""

    trace: Trace
    builder: QuantBuilder
    readers: Mapping[str, list[Node]]
    output: str
    at: dict[str, str] = field(default_factory=lambda: {INPUT: INPUT})

    def add(self, node: Node) -> None:
        """The int8 twin of `node`, with the activation behind it."""
        for role, array in node.params.items():
            if not np.all(np.isfinite(array)):
                raise ModelError(f"{node.name}: values of {role} are NaN or infinite")
        if node.output in self.at:  # an activation that its producer has taken in
            return
        sources = [self.at[tensor] for tensor in node.inputs]
        if self._is_nothing(node, sources[0]):
            self.at[node.output] = sources[0]
            return
        last, act = self._with_activation(node)
        quant = self._code(last)
        if quant is None and node.op.same_quant:
            quant = self.builder.quant(sources[0])
        if quant is None:
            raise UnsupportedOpError(
                f"{node.name}: {type(node.op).__name__} is float: no QuantizeLinear follows it",
                hint="quantize the whole network, its output included",
            )
        name = self._build(replace(node, output=last.output), act, sources, quant)
        self.at[node.output] = self.at[last.output] = name

    def _code(self, node: Node) -> Quant | None:
        return self.trace.quants.get(node.output)

    def _is_nothing(self, node: Node, source: str) -> bool:
        """True where the bytes of `source` serve as they are: dropout, and what a fully connected layer reads."""
        if self._code(node) not in (None, self.builder.quant(source)):
            return False
        readers = self.readers.get(node.output, [])
        only_products = bool(readers) and all(isinstance(reader.op, Linear) for reader in readers)
        return isinstance(node.op, Dropout) or (isinstance(node.op, Flatten) and only_products)

    def _with_activation(self, node: Node) -> tuple[Node, Activation]:
        """The Clamp that alone reads what `node` makes, where no code lies between, and its limits; else `node`."""
        if isinstance(node.op, Clamp):
            return node, node.op.act
        readers = self.readers.get(node.output, [])
        if self._code(node) is not None or len(readers) != 1 or node.output == self.output:
            return node, Activation()
        after = readers[0]
        return (after, after.op.act) if isinstance(after.op, Clamp) else (node, Activation())

    def _build(self, node: Node, act: Activation, sources: list[str], quant: Quant) -> str:
        builder, op = self.builder, node.op
        codes = [builder.quant(source) for source in sources]
        if isinstance(op, Conv2d | ConvTranspose2d | Linear):
            return product(builder, node, self.trace.codes[node.name], act, sources[0], quant)
        if isinstance(op, AvgPool2d) and codes[0] != quant and op.padding.is_zero:
            return mean(builder, node, op, act, sources[0], quant)
        if op.same_quant:
            return self._copied(node, act, sources, quant)
        if isinstance(op, Clamp | Elementwise) or "factor" in node.params:
            return self._lookup(node.name, self._function(node), sources[0], quant, act)
        if isinstance(op, Add | Mul):
            op = replace(op, act=act)
        elif act != Activation():
            raise UnsupportedOpError(
                f"{node.name}: {type(op).__name__} and an activation share one code",
                hint="put a QuantizeLinear between them",
            )
        return builder.add_node(node.name, op.quantize(node.name, codes, quant, node.params), sources, quant)

    def _copied(self, node: Node, act: Activation, sources: list[str], quant: Quant) -> str:
        """An op that keeps codes: in the code of its input, then in its own; several inputs take on its own first."""
        builder, op = self.builder, node.op
        if len(sources) > 1:
            sources = [self._recoded(f"{node.name}.code{i}", s, quant, Activation()) for i, s in enumerate(sources)]
        own = builder.quant(sources[0])
        plain = act == Activation() and own == quant
        twin = op.quantize(node.name, [own] * len(sources), own, node.params)
        made = builder.add_node(node.name if plain else f"{node.name}.copy", twin, sources, own)
        return made if plain else self._recoded(node.name, made, quant, act)

    def _recoded(self, name: str, source: str, quant: Quant, act: Activation) -> str:
        if self.builder.quant(source) == quant and act == Activation():
            return source
        return self._lookup(name, lambda x: x, source, quant, act)

    def _function(self, node: Node) -> Function:
        """What a table computes: a function of one element, a product with a number, or nothing but its limits."""
        if isinstance(node.op, Elementwise):
            return node.op.of
        factor = node.params.get("factor", np.ones(1, dtype=np.float32)).ravel()
        if factor.size != 1:
            raise UnsupportedOpError(
                f"{node.name}: multiplies a quantized tensor by {factor.size} float constants",
                hint="fold the scale into the layer before, then quantize",
            )
        return lambda x: x * factor[0]

    def _lookup(self, name: str, function: Function, source: str, quant: Quant, act: Activation) -> str:
        """Any function of one element, limited to `act`: in float32, rounded half to even, as ONNX's operators do."""
        reals = self.builder.quant(source).reals(np.arange(INT8_MIN, INT8_MAX + 1))
        steps = np.rint(act.apply(function(reals)) / np.float32(quant.scale)) + quant.zero_point
        table = QLookup.of_codes(np.clip(steps, INT8_MIN, INT8_MAX))
        return self.builder.add_node(name, table, [source], quant)
