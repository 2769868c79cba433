"""Functions of one int8 code, as TFLite's kernels compute them: the output codes of input codes -128 to 127."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import QuantizationError
from ptee_mcu.frontends.quantized_weights import Clamp8, pairs, sum_pairs
from ptee_mcu.ops.add import LEFT_SHIFT
from ptee_mcu.ops.code_requant import code_requant
from ptee_mcu.requant import Int64, Requant, divide_by_power_of_two, requantize
from ptee_mcu.tensor import INT8_MAX, INT8_MIN, Quant

CODES: Int64 = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int64)
_INT16_MIN, _INT16_MAX = -(2**15), 2**15 - 1
_ANY = Clamp8()


def rescaled(name: str, source: Quant, output: Quant, clamp: Clamp8) -> Int64:
    """The same real values under another code, clamped: RELU and its kin.

    Source: QuantizedReluX and ReluPrepare, activations.cc, LiteRT 2.3: the factor is a float division.
    """
    requant = code_requant(name, float(np.float32(source.scale) / np.float32(output.scale)))
    return _clamped(_times(CODES - source.zero_point, requant) + output.zero_point, clamp)


def leaky_relu(name: str, source: Quant, output: Quant, alpha: float) -> Int64:
    """Leaky ReLU: x, or alpha * x below zero.

    Source: LeakyReluPrepare, activations.cc, and QuantizeLeakyRelu, LiteRT 2.3: factors in float.
    """
    given, made = np.float32(source.scale), np.float32(output.scale)
    above = code_requant(name, float(given / made))
    below = code_requant(name, abs(float(given * np.float32(alpha) / made)))
    x = CODES - source.zero_point
    negative = _times(x, below) * (-1 if alpha < 0 else 1)
    return _clamped(np.where(x >= 0, _times(x, above), negative) + output.zero_point)


def transformed(source: Quant, output: Quant, function: Callable[[float], float]) -> Int64:
    """Any function, evaluated in float.

    Source: LUTPopulateInt8, internal/common.h, LiteRT 2.3.
    """
    scale, inverse = np.float32(source.scale), np.float32(1) / np.float32(output.scale)
    reals = [float(np.float32(function(float(x)))) for x in scale * (CODES - source.zero_point).astype(np.float32)]
    steps = (np.array(reals, dtype=np.float32) * inverse).astype(np.float64)
    rounded = np.trunc(steps + np.copysign(0.5, steps)) + output.zero_point
    codes: Int64 = np.clip(rounded, INT8_MIN, INT8_MAX).astype(np.int64)
    return codes


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)) in float."""
    power = np.float32(math.exp(-x)) if x > -88 else np.float32(np.inf)
    return float(np.float32(1) / (np.float32(1) + power))


def hard_swish(name: str, source: Quant, output: Quant) -> Int64:
    """The product x * relu6(x + 3) / 6 in 16-bit fixed point.

    Source: HardSwishPrepare, activations.cc, and reference_ops::HardSwish, reference/hard_swish.h, LiteRT 2.3.

    Raises:
        QuantizationError: where the input scale is 128 times the output scale or more, which TFLite refuses as well.
    """
    fine = np.float32(1 / 128) * np.float32(source.scale)
    to_output = pairs(name, [float(fine / np.float32(output.scale))])
    if to_output.shift[0] > 0:
        raise QuantizationError(
            f"{name}: the input scale is {source.scale / output.scale:.3g} times the output scale; a hard swish in "
            "TFLite's 16 bits takes less than 128",
            hint="almost every output is clamped; calibrate the model again",
        )
    to_relu = pairs(name, [float(fine / (np.float32(3) / np.float32(32768)))])
    x = (CODES - source.zero_point) << 7
    scaled = _high_mult16(x, _multiplier16(to_output))
    shift = int(to_relu.shift[0])
    gate = _saturated16(x << max(shift - 1, 0))
    gate = _high_mult16(gate, _multiplier16(to_relu))
    if shift > 0:
        gate = _saturated16(gate << 1)
    gate = _divided16(gate, max(-shift, 0))
    gate = (gate + (1 << 15)) >> 1
    # SaturatingDoublingHighMul: C's division rounds towards zero.
    product = np.sign(gate * scaled) * (np.abs(gate * scaled) >> 15)
    return _clamped(_divided16(product, -int(to_output.shift[0])) + output.zero_point)


def sum_with(name: str, source: Quant, constant: Quant, code: int, output: Quant, signs: tuple[int, int]) -> Int64:
    """signs[0] * x + signs[1] * constant, unclamped: ADD and SUB of one number.

    Source: add.cc and sub.cc, LiteRT 2.3.
    """
    requant = sum_pairs(name, source, constant, output)
    x = signs[0] * _times((CODES - source.zero_point) << LEFT_SHIFT, _pair(requant, 0))
    c = signs[1] * _times(np.array([(code - constant.zero_point) << LEFT_SHIFT]), _pair(requant, 1))
    return _times(x + c, _pair(requant, 2)) + output.zero_point


def recoded_pixels(source_scale: float, source_zero: int, output: Quant) -> Int64:
    """The int8 codes of the uint8 codes 0 to 255: QUANTIZE at the input.

    Source: reference_ops::Requantize, LiteRT 2.3: the factor in double.
    """
    requant = code_requant("QUANTIZE", source_scale / output.scale)
    return _clamped(_times(np.arange(256) - source_zero, requant) + output.zero_point)


def _times(values: npt.NDArray[np.int64], requant: Requant) -> Int64:
    return requantize(values, requant).astype(np.int64)


def _pair(requant: Requant, which: int) -> Requant:
    return Requant(requant.multiplier[which : which + 1], requant.shift[which : which + 1])


def _clamped(codes: Int64, clamp: Clamp8 = _ANY) -> Int64:
    return np.clip(codes, clamp.low, clamp.high)


def _multiplier16(requant: Requant) -> int:
    """Source: DownScaleInt32ToInt16Multiplier."""
    wide = int(requant.multiplier[0])
    return _INT16_MAX if wide >= 2**31 - 1 - (1 << 15) else (wide + (1 << 15)) >> 16


def _saturated16(values: Int64) -> Int64:
    return np.clip(values, _INT16_MIN, _INT16_MAX)


def _high_mult16(values: Int64, multiplier: int) -> Int64:
    """Source: gemmlowp's SaturatingRoundingDoublingHighMul for int16; midpoints towards plus infinity."""
    return (values * multiplier + (1 << 14)) >> 15


def _divided16(values: Int64, exponent: int) -> Int64:
    """Source: gemmlowp's RoundingDivideByPOT for int16; from 2**16 on its mask wraps, and what was small becomes 1."""
    return divide_by_power_of_two(values, np.array(exponent)) if exponent < 16 else np.where(values < 0, -1, 1)
