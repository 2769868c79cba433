"""Builds int8 networks from integer weights and scales, as the files of TFLite and ONNX hold them.

Scales and zero points are taken as they are; multipliers follow from them by TFLite's own steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType

from ptee_mcu.errors import ModelError, PteeError
from ptee_mcu.frontends.quantized_weights import Clamp8, Product, Steps, Weights, per_channel, sum_pairs
from ptee_mcu.graph import needed
from ptee_mcu.ops import (
    QAdd,
    QAvgPool2d,
    QConcat,
    QConv2d,
    QConvTranspose2d,
    QDepthwiseConv2d,
    QFullyConnected,
    QMaxPool2d,
    QPad,
    QReshape,
    QSlice,
)
from ptee_mcu.ops.base import QOp
from ptee_mcu.quant_graph import OperatingPoint, QExit, QNode, QuantGraph, verify_quant_graph
from ptee_mcu.tensor import HW, Int8, Padding, QTensor, Quant, Shape

MOST_ELEMENTS = 2**24  # of one tensor: more than any microcontroller's memory
MOST_GROUPS = 256  # of one convolution, each of which becomes three nodes
MOST_NODES = 20_000  # of a network, the pieces of grouped convolutions included
MOST_CONSTANT_BYTES = 64 * 1024 * 1024  # of all nodes: more than any flash; nodes may share what a file holds once
ANY = Clamp8()
ONE_BY_ONE = Steps()


@dataclass(slots=True)
class QuantBuilder:
    """Collects nodes; every method adds one, named as its output, and returns that name.

    Every method raises ModelError or QuantizationError, naming the node, where shapes or scales cannot be.
    """

    name: str
    input: str
    tensors: dict[str, QTensor]
    nodes: list[QNode] = field(default_factory=list)
    made: dict[str, int] = field(default_factory=dict)  # by output, the place of its node
    constant_bytes: int = 0  # of the nodes so far

    @classmethod
    def start(cls, name: str, source: str, shape: Shape, quant: Quant) -> "QuantBuilder":
        """A network with an input and nothing else."""
        return cls(name, source, {source: QTensor(shape, quant)})

    def finish(self, output: str, *, softmax: bool = False, preprocess: Int8 | None = None) -> QuantGraph:
        """The verified network that answers with `output`; nodes that it does not need are left out.

        Raises:
            ModelError: where nothing leads from the input to `output`.
        """
        nodes = needed(self.nodes, [output])
        if not any(self.input in node.inputs for node in nodes):
            raise ModelError(f"{self.name}: no layer leads from the input to the output")
        kept = {self.input, *(node.output for node in nodes)}
        graph = QuantGraph(
            name=self.name,
            input=self.input,
            tensors=MappingProxyType({name: tensor for name, tensor in self.tensors.items() if name in kept}),
            nodes=nodes,
            exits=(QExit("final", output),),
            points=(OperatingPoint("never", ()),),
            preprocess=preprocess,
            softmax=softmax,
        )
        verify_quant_graph(graph)
        return graph

    def quant(self, tensor: str) -> Quant:
        """The code of `tensor`."""
        return self.tensors[tensor].quant

    def shape(self, tensor: str) -> Shape:
        """The shape of `tensor`."""
        return self.tensors[tensor].shape

    def producer(self, tensor: str) -> QNode | None:
        """The node that makes `tensor`; None for the input."""
        return None if tensor == self.input else self.nodes[self.made[tensor]]

    def add_node(self, name: str, op: QOp, inputs: Sequence[str], quant: Quant) -> str:
        """A node of any op."""
        if name in self.tensors:
            raise ModelError(f"{name}: two layers have this name")
        try:
            shape = op.output_shape([self.tensors[t].shape for t in inputs])
        except PteeError as error:
            raise ModelError(f"{name}: {error.args[0]}", hint=error.hint) from error
        if prod(shape) > MOST_ELEMENTS:
            raise ModelError(f"{name}: makes {shape}, more than {MOST_ELEMENTS:,} elements")
        self.constant_bytes += sum(constant.nbytes for constant in op.constants.values())
        if self.constant_bytes > MOST_CONSTANT_BYTES:
            raise ModelError(f"{name}: with it, layers hold more than {MOST_CONSTANT_BYTES:,} B of constants")
        if len(self.nodes) >= MOST_NODES:
            raise ModelError(f"{name}: is one layer more than the {MOST_NODES:,} that are built")
        self.tensors[name] = QTensor(shape, quant)
        self.made[name] = len(self.nodes)
        self.nodes.append(QNode(name, op, tuple(inputs), name))
        return name

    def conv2d(
        self, name: str, source: str, quant: Quant, weights: Weights, steps: Steps = ONE_BY_ONE, clamp: Clamp8 = ANY
    ) -> str:
        """A convolution; where weights have fewer input channels than `source`, in as many groups as fit."""
        channels, per_group = self._nhwc(name, source)[2], weights.codes.shape[3]
        groups = channels // per_group if per_group else 0
        if not groups or groups * per_group != channels or weights.codes.shape[0] % groups:
            raise ModelError(f"{name}: weights of shape {weights.codes.shape} on {channels} channels")
        if groups == 1:
            return self._window(name, QConv2d, source, quant, weights, steps, clamp)
        if per_group == 1:
            each = Weights(weights.codes.transpose(3, 1, 2, 0), weights.scales, weights.bias)
            return self.depthwise_conv2d(name, source, quant, each, steps, clamp)
        if groups > MOST_GROUPS:
            raise ModelError(f"{name}: has {groups} groups; at most {MOST_GROUPS} are split")
        # CMSIS-NN 4.0.0 has no grouped kernel: the same sums, group by group.
        out, (h, w, _) = weights.codes.shape[0] // groups, self._nhwc(name, source)
        parts = []
        for i in range(groups):
            piece = self.slice(f"{name}_slice{i}", source, HW(0, 0), HW(1, 1), i * per_group, (1, h, w, per_group))
            own = weights.part(slice(i * out, (i + 1) * out))
            parts.append(self._window(f"{name}_group{i}", QConv2d, piece, quant, own, steps, clamp))
        return self.concat(name, parts, quant)

    def depthwise_conv2d(
        self, name: str, source: str, quant: Quant, weights: Weights, steps: Steps = ONE_BY_ONE, clamp: Clamp8 = ANY
    ) -> str:
        """A depthwise convolution; as many outputs per input channel as the weights' last axis holds."""
        channels, codes = self._nhwc(name, source)[2], weights.codes
        if codes.shape[0] != 1 or not codes.shape[3] or codes.shape[3] % channels:
            raise ModelError(f"{name}: depthwise weights of shape {codes.shape} on {channels} channels")
        return self._window(name, QDepthwiseConv2d, source, quant, weights, steps, clamp)

    def transposed_conv2d(
        self,
        name: str,
        source: str,
        quant: Quant,
        weights: Weights,
        steps: Steps,
        output_padding: HW,
        clamp: Clamp8 = ANY,
    ) -> str:
        """A transposed convolution: `steps` say what is cut off around, `output_padding` what is added behind."""
        own = Product.of(name, self.quant(source), quant, weights, axis=0)
        op = QConvTranspose2d(
            weights=own.weights,
            bias=own.bias,
            requant=own.requant,
            input_offset=-self.quant(source).zero_point,
            output_offset=quant.zero_point,
            stride=steps.stride,
            padding=steps.padding,
            output_padding=output_padding,
            act_min=clamp.low,
            act_max=clamp.high,
        )
        return self.add_node(name, op, [source], quant)

    def _window(
        self,
        name: str,
        kind: type[QConv2d | QDepthwiseConv2d],
        source: str,
        quant: Quant,
        weights: Weights,
        steps: Steps,
        clamp: Clamp8,
    ) -> str:
        own = Product.of(name, self.quant(source), quant, weights, axis=0 if kind is QConv2d else 3)
        op = kind(
            weights=own.weights,
            bias=own.bias,
            requant=own.requant,
            input_offset=-self.quant(source).zero_point,
            output_offset=quant.zero_point,
            stride=steps.stride,
            padding=steps.padding,
            dilation=steps.dilation,
            act_min=clamp.low,
            act_max=clamp.high,
        )
        return self.add_node(name, op, [source], quant)

    def fully_connected(self, name: str, source: str, quant: Quant, weights: Weights, clamp: Clamp8 = ANY) -> str:
        """A fully connected layer on the bytes of `source`, or on every pixel where one pixel has all features."""
        own = Product.of(name, self.quant(source), quant, weights, axis=None)
        offsets = (-self.quant(source).zero_point, quant.zero_point)
        if prod(self.shape(source)) == own.weights.shape[1]:
            return self.add_node(
                name,
                QFullyConnected(own.weights, own.bias, own.requant, *offsets, clamp.low, clamp.high),
                [source],
                quant,
            )
        if self._nhwc(name, source)[2] != own.weights.shape[1]:
            raise ModelError(f"{name}: weights of shape {own.weights.shape} on {self.shape(source)}")
        codes = own.weights[:, None, None, :]
        one, each = ONE_BY_ONE, per_channel(own.requant, len(codes))
        op = QConv2d(
            codes, own.bias, each, *offsets,
            one.stride, one.padding, one.dilation, clamp.low, clamp.high,
        )  # fmt: skip
        return self.add_node(name, op, [source], quant)

    def add(self, name: str, first: str, second: str, quant: Quant, clamp: Clamp8 = ANY) -> str:
        """The sum of two tensors of one shape."""
        a, b = self.quant(first), self.quant(second)
        requant = sum_pairs(name, a, b, quant)
        op = QAdd(-a.zero_point, -b.zero_point, quant.zero_point, requant, clamp.low, clamp.high)
        return self.add_node(name, op, [first, second], quant)

    def avg_pool2d(self, name: str, source: str, kernel: HW, steps: Steps, clamp: Clamp8 = ANY) -> str:
        """Means of windows, in the code of `source`."""
        op = QAvgPool2d(kernel, steps.stride, steps.padding, clamp.low, clamp.high)
        return self.add_node(name, op, [source], self.quant(source))

    def max_pool2d(self, name: str, source: str, kernel: HW, steps: Steps, clamp: Clamp8 = ANY) -> str:
        """Maxima of windows, in the code of `source`."""
        op = QMaxPool2d(kernel, steps.stride, steps.padding, clamp.low, clamp.high)
        return self.add_node(name, op, [source], self.quant(source))

    def pad(self, name: str, source: str, padding: Padding, channels: tuple[int, int], value: int) -> str:
        """`source` with the code `value` around it, and before and after its channels."""
        return self.add_node(name, QPad(padding, *channels, value), [source], self.quant(source))

    def concat(self, name: str, sources: Sequence[str], quant: Quant) -> str:
        """`sources` side by side along the channels; all have the code `quant`."""
        if different := [t for t in sources if self.quant(t) != quant]:
            raise ModelError(f"{name}: {different[0]} has another code than its output; a copy keeps codes as they are")
        return self.add_node(name, QConcat(), sources, quant)

    def reshape(self, name: str, source: str, shape: Shape) -> str:
        """The same bytes in the shape (1, H, W, C) or (1, features)."""
        return self.add_node(name, QReshape(shape), [source], self.quant(source))

    def slice(self, name: str, source: str, start: HW, step: HW, channel: int, shape: Shape) -> str:
        """Pixels start + i * step and channels from `channel` on, to fill `shape`."""
        within = self._nhwc(name, source)
        last = (start.h + (shape[1] - 1) * step.h, start.w + (shape[2] - 1) * step.w, channel + shape[3] - 1)
        outside = any(end >= extent for end, extent in zip(last, within, strict=True))
        if outside or min(start.h, start.w, channel) < 0 or min(step.h, step.w, *shape) < 1:
            raise ModelError(f"{name}: cuts {shape} from {start}, channel {channel}, by {step} out of {within}")
        return self.add_node(name, QSlice(start, step, channel, shape), [source], self.quant(source))

    def _nhwc(self, name: str, tensor: str) -> tuple[int, int, int]:
        shape = self.shape(tensor)
        if len(shape) != 4:
            raise ModelError(f"{name}: needs an input of shape (1, H, W, C), got {shape}")
        return shape[1], shape[2], shape[3]
