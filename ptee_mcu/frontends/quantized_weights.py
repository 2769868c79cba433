"""What layers of int8 files are made of: clamps, integer weights, and their rescale pairs by TFLite's own steps."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import ModelError, QuantizationError
from ptee_mcu.ops.add import LEFT_SHIFT
from ptee_mcu.ops.weights import check_accumulator
from ptee_mcu.requant import Requant
from ptee_mcu.tensor import HW, INT8_MAX, INT8_MIN, Float, Int8, Int32, Padding, Quant, readonly


@dataclass(frozen=True, slots=True)
class Clamp8:
    """Smallest and largest code that a layer may answer with."""

    low: int = INT8_MIN
    high: int = INT8_MAX

    @classmethod
    def of(cls, quant: Quant, low: float | None, high: float | None) -> "Clamp8":
        """The codes of the real bounds; None leaves a side open.

        Source: CalculateActivationRangeQuantized, TensorFlow Lite 2.18: a float division, rounded half away from zero.
        """

        def code(real: float) -> int:
            with np.errstate(over="ignore"):  # an infinite number of steps saturates
                steps = np.float64(np.float32(real) / np.float32(quant.scale))
            return int(np.clip(quant.zero_point + np.trunc(steps + np.copysign(0.5, steps)), INT8_MIN, INT8_MAX))

        return cls(INT8_MIN if low is None else code(low), INT8_MAX if high is None else code(high))


@dataclass(frozen=True, slots=True)
class Steps:
    """How a kernel moves over its input."""

    stride: HW = HW(1, 1)
    padding: Padding = Padding()
    dilation: HW = HW(1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Integer weights, one scale or one per output channel, int32 biases at scale_in * scale, or none.

    Convolutions: (out, kh, kw, in); depthwise: (1, kh, kw, out); fully connected: (out, in).
    """

    codes: Int8
    scales: Float
    bias: Int32 | None

    def part(self, rows: slice) -> "Weights":
        """The output channels `rows` of a convolution."""
        scales = self.scales if len(self.scales) == 1 else self.scales[rows]
        return Weights(self.codes[rows], scales, None if self.bias is None else self.bias[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """What a layer of products holds, whatever its kind: read-only weights and biases, proven to fit int32."""

    weights: Int8
    bias: Int32
    requant: Requant

    @classmethod
    def of(cls, name: str, source: Quant, output: Quant, weights: Weights, axis: int | None) -> "Product":
        """Of a layer whose output channels lie along `axis`; None: fully connected.

        Source: PopulateConvolutionQuantizationParams and GetQuantizedConvolutionMultipler, TensorFlow Lite 2.18: in
        double, but the product of two scales in float where a fully connected layer has one for all weights.

        Raises:
            ModelError: where there are not as many scales or biases as output channels.
            QuantizationError: where an accumulator could exceed int32, or a factor has no pair.
        """
        rows = np.moveaxis(weights.codes, axis or 0, 0)
        out, scales = rows.shape[0], weights.scales
        bias = np.zeros(out, np.int32) if weights.bias is None else weights.bias
        if scales.shape not in ((1,), (out,)) or bias.shape != (out,):
            raise ModelError(f"{name}: {out} output channels, {scales.size} scales and {bias.size} biases")
        if axis is None and scales.size == 1:
            with np.errstate(over="ignore"):  # an infinite factor is refused below
                factors = (np.float32(source.scale) * scales.astype(np.float32)).astype(np.float64) / output.scale
        else:
            factors = source.scale * np.broadcast_to(scales.astype(np.float64), out) / output.scale
        requant = pairs(name, factors)
        flat = rows.reshape(out, -1).astype(np.float64)
        check_accumulator(name, flat, bias.astype(np.float64), -source.zero_point, requant)
        return cls(readonly(weights.codes, np.int8), readonly(bias, np.int32), requant)


def pairs(name: str, factors: npt.ArrayLike) -> Requant:
    """Rescale pairs of real factors.

    Raises:
        QuantizationError: naming the layer, where a factor is negative, not finite or 2**30 and above.
    """
    try:
        return Requant.from_real(factors)
    except QuantizationError as error:
        raise QuantizationError(f"{name}: {error.args[0]}", hint=error.hint) from error


def sum_pairs(name: str, first: Quant, second: Quant, output: Quant) -> Requant:
    """Rescale pairs of both operands of a sum and of the sum.

    Source: add.cc, TensorFlow Lite 2.18: operands on twice the larger scale, 20 bits of headroom.

    Raises:
        QuantizationError: where the output scale is below 2**-19 of the larger input scale.
    """
    widest = 2 * max(first.scale, second.scale)
    requant = pairs(name, (first.scale / widest, second.scale / widest, widest / ((1 << LEFT_SHIFT) * output.scale)))
    if np.any(requant.shift > 0):
        raise QuantizationError(
            f"{name}: output scale {output.scale:.3g} is below 2**-19 of the larger input scale {widest / 2:.3g}",
            hint="the sum is almost always clamped; calibrate the model again",
        )
    return requant


def per_channel(requant: Requant, channels: int) -> Requant:
    """The pairs of `channels` channels that share one, or have theirs already."""
    return Requant(
        readonly(np.broadcast_to(requant.multiplier, channels), np.int32),
        readonly(np.broadcast_to(requant.shift, channels), np.int32),
    )
