"""An int8 TFLite file on its way into a network: what its tensors became, and how operators read them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from ptee_mcu.errors import ModelError, QuantizationError
from ptee_mcu.frontends.quantized import QuantBuilder
from ptee_mcu.frontends.quantized_weights import Clamp8, Weights
from ptee_mcu.frontends.tflite.model import Dtype, Operator, Tensor, TfliteModel
from ptee_mcu.frontends.tflite.options import Fused
from ptee_mcu.frontends.tflite.shape_arithmetic import MOST, fold_shapes
from ptee_mcu.requant import Int64
from ptee_mcu.tensor import HW, Int32, Padding, Quant, Shape

_BOUNDS: dict[Fused, tuple[float | None, float | None]] = {
    Fused.NONE: (None, None),
    Fused.RELU: (0.0, None),
    Fused.RELU6: (0.0, 6.0),
    Fused.RELU_N1_TO_1: (-1.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class View:
    """A tensor of the file: the bytes of `tensor` read as `shape`.

    `axes`, where given: axis i is axis axes[i] of `tensor`, (1, H, W, C), whose other axes have extent 1: a transpose
    that has not become a copy. None: the order is that of the bytes.
    """

    tensor: str
    shape: Shape
    axes: tuple[int, ...] | None = None

    @classmethod
    def of(cls, tensor: str, shape: Shape, axes: Sequence[int]) -> "View":
        """A view whose `axes` are None where they only move axes of extent 1."""
        moved = [axis for axis, extent in zip(axes, shape, strict=True) if extent > 1]
        return cls(tensor, shape, None if moved == sorted(moved) else tuple(axes))


@dataclass(frozen=True, slots=True)
class Spread:
    """An image (1, H, W, C) dealt out to a batch of `block.h` x `block.w`, and the convolution of that, once met."""

    source: str
    block: HW
    padding: Padding
    conv: Operator | None = None


@dataclass(slots=True)
class Int8File:
    """The network so far; `views` and `spread` say what the file's tensors are in it."""

    model: TfliteModel
    builder: QuantBuilder
    views: dict[int, View]
    reshaped: dict[tuple[str, Shape], str] = field(default_factory=dict)
    spread: dict[int, Spread] = field(default_factory=dict)
    arrays: dict[int, Int64] = field(default_factory=dict)  # integers worked out from shapes

    @staticmethod
    def name(op: Operator) -> str:
        """The node that `op` becomes."""
        return f"{op.kind.lower()}_{op.index}"

    def quant(self, op: Operator, tensor: Tensor) -> Quant:
        """The code of an activation.

        Raises:
            UnsupportedOpError: where it is not int8 with one scale.
            ModelError: where its scale or zero point cannot be.
        """
        if tensor.dtype is not Dtype.INT8:
            what = tensor.dtype.name.lower()
            hints = {
                Dtype.UINT8: "convert again with TensorFlow 2, whose networks are int8; uint8 is possible at the input",
                Dtype.INT16: "convert with int8 activations",
            }
            hint = hints.get(tensor.dtype, "quantize the whole network to int8, or import the float file")
            raise self.model.refuse(op, f"{tensor.name} is {what}, not int8", hint)
        if tensor.code is None or tensor.code.per_channel:
            raise self.model.refuse(op, f"{tensor.name} has no single scale", "quantize activations per tensor")
        try:
            return Quant(float(tensor.code.scales[0]), int(tensor.code.zero_points[0]))
        except QuantizationError as error:
            raise ModelError(f"{self.model.place(op)} {tensor.name}: {error.args[0]}") from error

    def output_quant(self, op: Operator) -> Quant:
        """The code of what `op` makes."""
        return self.quant(op, self.model.output(op))

    def copied_quant(self, op: Operator, source: str, position: int = 0) -> Quant:
        """The code of what `op` makes at `position`, which must be that of what it copies.

        Raises:
            UnsupportedOpError: where it is another.
        """
        quant = self.quant(op, self.model.tensors[op.outputs[position]])
        if quant != self.builder.quant(source):
            raise self.model.refuse(
                op, f"it copies {self.builder.quant(source)} to {quant}", "convert again; TFLite keeps the code here"
            )
        return quant

    def clamp(self, op: Operator, fused: Fused, quant: Quant) -> Clamp8:
        """The codes that the fused activation leaves."""
        if fused not in _BOUNDS:
            raise self.model.refuse(op, f"the fused activation {fused.name} has no int8 form", "use ReLU or ReLU6")
        return Clamp8.of(quant, *_BOUNDS[fused])

    def view(self, op: Operator, position: int) -> View:
        """What `op` reads at `position`, transposed or not.

        Raises:
            UnsupportedOpError: where it is a constant.
        """
        tensor = self.model.input(op, position)
        if tensor.index not in self.views:
            raise self.model.refuse(op, f"its input {position} ({tensor.name}) is a constant", "fold it into a layer")
        return self.views[tensor.index]

    def plain(self, op: Operator, position: int) -> View:
        """What `op` reads at `position`, in the order of its bytes."""
        view = self.view(op, position)
        if view.axes is not None:
            raise self.model.refuse(
                op, "it reads what a TRANSPOSE left", "keep the layout NHWC; a mean may follow a transpose"
            )
        return view

    def spatial(self, op: Operator, position: int) -> str:
        """What `op` reads at `position` as (1, H, W, C); fewer dimensions count from the end."""
        view = self.plain(op, position)
        shape = view.shape
        if not shape or shape[0] != 1 or len(shape) > 4:
            raise self.model.refuse(op, f"its input has the shape {shape}", "use (1, H, W, C)")
        return self.bytes_as(view, (1, *[1] * (4 - len(shape)), *shape[1:]))

    def elementwise(self, op: Operator, *positions: int) -> tuple[tuple[str, ...], View]:
        """Operands of one shape, and a view whose shape and axes the result has too."""
        views = [self.view(op, position) for position in positions]
        first = views[0]
        if all((view.shape, view.axes) == (first.shape, first.axes) for view in views) and first.axes is not None:
            return tuple(view.tensor for view in views), first
        plain = [self.plain(op, position) for position in positions]
        if any(view.shape != first.shape for view in plain):
            shapes = " and ".join(str(view.shape) for view in plain)
            raise self.model.refuse(op, f"its inputs have the shapes {shapes}", "broadcasting is not supported here")
        shape = self.builder.shape(first.tensor)
        return tuple(self.bytes_as(view, shape) for view in plain), first

    def bytes_as(self, view: View, shape: Shape) -> str:
        """The bytes of `view` as a tensor of `shape`: itself, or a reshape that is made once."""
        if self.builder.shape(view.tensor) == shape:
            return view.tensor
        key = (view.tensor, shape)
        if key not in self.reshaped:
            name = f"{view.tensor}_as_{'x'.join(map(str, shape[1:]))}"
            self.reshaped[key] = self.builder.reshape(name, view.tensor, shape)
        return self.reshaped[key]

    def put(self, op: Operator, view: View, position: int = 0) -> None:
        """`view` is what `op` makes at `position`.

        Raises:
            ModelError: where the file declares another shape.
        """
        tensor = self.model.tensors[op.outputs[position]]
        first = 1 if tensor.open_batch else 0
        if tensor.known and (tensor.shape[first:] != view.shape[first:] or len(tensor.shape) != len(view.shape)):
            raise ModelError(f"{self.model.place(op)} makes {view.shape}; the file declares {tensor.shape}")
        if prod(view.shape) != prod(self.builder.shape(view.tensor)):
            raise ModelError(f"{self.model.place(op)} makes {view.shape} of {self.builder.shape(view.tensor)}")
        self.views[tensor.index] = view

    def put_tensor(self, op: Operator, tensor: str) -> None:
        """`tensor`, (1, H, W, C), is what `op` makes; the file may have left out leading extents of 1."""
        shape, declared = self.builder.shape(tensor), self.model.output(op)
        missing = len(shape) - len(declared.shape)
        squeezed = shape if missing <= 0 or any(e != 1 for e in shape[: missing + 1]) else (1, *shape[missing + 1 :])
        self.put(op, View(tensor, squeezed))

    def weights(self, op: Operator, position: int, bias: int, axis: int, rank: int) -> Weights:
        """Constant int8 weights with scales along `axis`, and the biases at the position `bias`.

        Raises:
            ModelError: where rank, scales or biases do not fit.
            UnsupportedOpError: where they are not symmetric int8 and int32.
        """
        tensor, codes = self.model.input(op, position), self.model.constant(op, position)
        if tensor.dtype is not Dtype.INT8:
            what = f"its weights are {tensor.dtype.name.lower()}"
            raise self.model.refuse(op, what, "quantize weights to int8; legacy uint8 files must be converted again")
        if codes.ndim != rank or 0 in codes.shape:
            raise ModelError(
                f"{self.model.place(op)} has weights of shape {codes.shape}; {rank} dimensions belong there"
            )
        if tensor.code is None:
            raise ModelError(f"{self.model.place(op)} has weights without a scale")
        if tensor.code.zero_points.any():
            raise self.model.refuse(op, "its weights have a zero point", "int8 weights are symmetric in TFLite")
        if tensor.code.per_channel and tensor.code.axis != axis:
            raise ModelError(
                f"{self.model.place(op)} has a scale per index of axis {tensor.code.axis} of its weights, not of {axis}"
            )
        return Weights(codes.astype(np.int8), tensor.code.scales, self._bias(op, bias))

    def _bias(self, op: Operator, position: int) -> Int32 | None:
        tensor = self.model.optional(op, position)
        if tensor is None:
            return None
        if tensor.dtype is not Dtype.INT32:
            what = f"its biases are {tensor.dtype.name.lower()}"
            raise self.model.refuse(op, what, "int8 layers have int32 biases")
        return self.model.constant(op, position).astype(np.int32).reshape(-1)

    def integers(self, op: Operator, position: int) -> tuple[int, ...]:
        """A short list of integers, constant or worked out from shapes: axes, sizes, paddings.

        Raises:
            UnsupportedOpError: where they depend on what the network computes.
            ModelError: where they are no short list of integers.
        """
        tensor = self.model.input(op, position)
        values = self.arrays.get(tensor.index, tensor.data)
        if values is None:
            raise self.model.refuse(op, f"its input {position} ({tensor.name}) is computed", "make it a constant")
        if values.dtype.kind not in "iu" or values.size > MOST:
            what = f"{values.size} values of {values.dtype}"
            raise self.model.fault(op, f"its input {position} ({tensor.name}) holds {what}, not a few integers")
        return tuple(int(v) for v in values.reshape(-1))

    def fold(self, op: Operator) -> None:
        """Works out the integers that `op` makes, where they follow from shapes."""
        made = fold_shapes(self.model, op, self.arrays, self._shape)
        if made is not None:
            self.arrays[self.model.output(op).index] = made

    def _shape(self, tensor: Tensor) -> Shape:
        return self.views[tensor.index].shape if tensor.index in self.views else tensor.shape
