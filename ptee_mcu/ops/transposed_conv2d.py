"""2-D transposed convolution: float attributes and int8 twin."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Activation, Constants, Counts, Op, Params, QOp, Reads, Traffic, Work
from ptee_mcu.ops.weights import quantize_weights
from ptee_mcu.ops.window import require_nhwc
from ptee_mcu.requant import Requant
from ptee_mcu.tensor import HW, Float, Int8, Int32, Padding, QTensor, Quant, Shape

_ONE, _ZERO = HW(1, 1), HW(0, 0)
_WORD = 4  # bytes of a bias, a multiplier or a shift


@dataclass(frozen=True, slots=True)
class ConvTranspose2d(Op):
    """Params: weight (out, kh, kw, in), optional bias (out,).

    Input pixel (y, x) adds weight[:, i, j] @ pixel to output (y * stride.h + i - padding.top, x * stride.w + j -
    padding.left): `padding` is cut off, `output_padding` is added below and at the right.
    """

    stride: HW = _ONE
    padding: Padding = Padding()
    output_padding: HW = _ZERO
    act: Activation = Activation()

    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """(1, (H - 1) * stride.h + kh - padding + output_padding, and so W, out)."""
        out, kh, kw, channels = params["weight"].shape
        size = _enlarged("ConvTranspose2d", inputs[0], channels, HW(kh, kw), self)
        return (1, size.h, size.w, out)

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """Products of every pixel, tap by tap, added where they belong."""
        x, weight = inputs[0], params["weight"]
        out, kh, kw, _ = weight.shape
        n, h, w, _ = x.shape
        _, out_h, out_w, _ = self.output_shape([x.shape], params)
        pad, step = self.padding, self.stride
        shape = (n, max(pad.top + out_h, (h - 1) * step.h + kh), max(pad.left + out_w, (w - 1) * step.w + kw), out)
        y = np.zeros(shape, dtype=np.float32)
        for i, j in np.ndindex(kh, kw):
            y[:, i : i + h * step.h : step.h, j : j + w * step.w : step.w][:, :h, :w] += x @ weight[:, i, j].T
        y = y[:, pad.top : pad.top + out_h, pad.left : pad.left + out_w]
        return self.act.apply(y + params["bias"] if "bias" in params else np.ascontiguousarray(y))

    def macs(self, inputs: Sequence[Shape], params: Params) -> int:
        """One per weight and input position, those of taps that are cut off included."""
        return prod(inputs[0][1:3]) * params["weight"].size

    def flops(self, inputs: Sequence[Shape], params: Params) -> int:
        """MACs, and one addition per output where there is a bias."""
        return self.macs(inputs, params) + (prod(self.output_shape(inputs, params)) if "bias" in params else 0)

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """QConvTranspose2d with one scale per output channel."""
        q = quantize_weights(name, params["weight"], params.get("bias"), inputs[0], output, channel_axis=0)
        low, high = self.act.codes(output)
        return QConvTranspose2d(
            weights=q.weights,
            bias=q.bias,
            requant=q.requant,
            input_offset=-inputs[0].zero_point,
            output_offset=output.zero_point,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            act_min=low,
            act_max=high,
        )


@dataclass(frozen=True, slots=True, eq=False)
class QConvTranspose2d(QOp):
    """Int8 transposed convolution, our own kernel for every release; weights OHWI, rescale pairs per output channel.

    Arithmetic of tflite reference_integer_ops::TransposeConv of ai-edge-litert 2.3: an int32 sum, rescaled with two
    roundings.
    """

    template: ClassVar[str] = "transposed_conv2d"

    weights: Int8
    bias: Int32
    requant: Requant
    input_offset: int
    output_offset: int
    stride: HW
    padding: Padding
    output_padding: HW
    act_min: int
    act_max: int

    @property
    def kernel(self) -> HW:
        """Height and width of the kernel."""
        return HW(self.weights.shape[1], self.weights.shape[2])

    @property
    def constants(self) -> Constants:
        """Weights, bias, and the rescale pairs, all per output channel."""
        return {
            "weights": self.weights,
            "bias": self.bias,
            "multiplier": self.requant.multiplier,
            "shift": self.requant.shift,
        }

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """(1, (H - 1) * stride.h + kh - padding + output_padding, and so W, out)."""
        size = _enlarged("QConvTranspose2d", inputs[0], self.weights.shape[3], self.kernel, self)
        return (1, size.h, size.w, len(self.bias))

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """One MAC per weight and input position, as ConvTranspose2d counts; every output is finished at once."""
        return Counts(prod(inputs[0].shape[1:3]) * self.weights.size, 0)

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Of ptee_transposed_conv2d: per output, the taps that some input pixel lies under, one channel at a time."""
        _, h, w, c = inputs[0].shape
        _, out_h, out_w, out = output.shape
        rows = _taps(out_h, h, self.kernel.h, self.stride.h, self.padding.top)
        taps = rows * _taps(out_w, w, self.kernel.w, self.stride.w, self.padding.left)
        pixels = out_h * out_w
        loops = {
            "call": 1,
            "line": out_h,
            "pixel": pixels,
            "channel": pixels * out,
            "row": rows * out_w * out,
            "tap": taps * out,
            "product": taps * out * c,
        }
        constants, activations = self.weights.size + 3 * _WORD * out, taps * c // pixels + out
        passed = (constants, activations) if pixels > 1 else (0, 0)
        table = Reads(_WORD * out * pixels, float(pixels), *passed)
        weights = Reads(taps * c * out, taps * c * out / self.weights.size, *passed, width=1.0)
        image = Reads(taps * c * out, taps * out / (h * w), 0, taps * c // pixels, width=1.0)
        roles = {"weights": weights, "bias": table, "multiplier": table, "shift": table}
        return Work("ptee_transposed_conv2d", loops, Traffic(roles, (image,), 0, 0, pixels * out))


def _taps(size: int, extent: int, kernel: int, stride: int, before: int) -> int:
    """Along one axis, the sum over output positions of the kernel positions under which an input position lies."""
    at = np.arange(size)[:, None] + before - np.arange(extent)[None, :] * stride
    return int(((at >= 0) & (at < kernel)).sum())


def _enlarged(what: str, shape: Shape, channels: int, kernel: HW, op: ConvTranspose2d | QConvTranspose2d) -> HW:
    """Output height and width."""
    h, w, c = require_nhwc(what, shape)
    if c != channels:
        raise ModelError(f"{what}: weights for {channels} channels on {c}")
    pad, more, step = op.padding, op.output_padding, op.stride
    if min(step.h, step.w) < 1 or min(more.h, more.w, pad.top, pad.left, pad.bottom, pad.right) < 0:
        raise ModelError(f"{what}: a stride below 1 or a negative padding")
    size = HW(
        (h - 1) * step.h + kernel.h - pad.top - pad.bottom + more.h,
        (w - 1) * step.w + kernel.w - pad.left - pad.right + more.w,
    )
    if size.h < 1 or size.w < 1:
        raise ModelError(
            f"{what}: cuts off all of a {h}x{w} map enlarged by a {kernel.h}x{kernel.w} kernel", hint="pad by less"
        )
    return size
