"""Typed options of TFLite operators, decoded from their table in the file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeVar

from ptee_mcu.errors import ModelError
from ptee_mcu.tensor import HW

MOST_DIMS = 8

E = TypeVar("E", bound=Enum)


class Fused(Enum):
    """Activation that ends an operator."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3
    TANH = 4
    SIGN_BIT = 5


class PaddingScheme(Enum):
    """How windows meet the border."""

    SAME = 0
    VALID = 1


@dataclass(frozen=True, slots=True)
class Options:
    """Base of what an operator is told beside its tensors."""


@dataclass(frozen=True, slots=True)
class ConvOptions(Options):
    """CONV_2D and DEPTHWISE_CONV_2D, whose kernels follow the weights' shape, not its multiplier."""

    padding: PaddingScheme
    stride: HW
    dilation: HW
    fused: Fused


@dataclass(frozen=True, slots=True)
class TransposeConvOptions(Options):
    """TRANSPOSE_CONV."""

    padding: PaddingScheme
    stride: HW
    fused: Fused


@dataclass(frozen=True, slots=True)
class FullyConnectedOptions(Options):
    """FULLY_CONNECTED; `shuffled`: weights in a legacy order."""

    fused: Fused
    keep_dims: bool
    shuffled: bool


@dataclass(frozen=True, slots=True)
class PoolOptions(Options):
    """AVERAGE_POOL_2D, MAX_POOL_2D."""

    padding: PaddingScheme
    stride: HW
    kernel: HW
    fused: Fused


@dataclass(frozen=True, slots=True)
class ArithmeticOptions(Options):
    """ADD, SUB, MUL, DIV."""

    fused: Fused = Fused.NONE


@dataclass(frozen=True, slots=True)
class ConcatOptions(Options):
    """CONCATENATION; a negative axis counts from the end."""

    axis: int
    fused: Fused


@dataclass(frozen=True, slots=True)
class ReshapeOptions(Options):
    """RESHAPE; `shape` is empty where the second input holds it."""

    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SoftmaxOptions(Options):
    """SOFTMAX."""

    beta: float


@dataclass(frozen=True, slots=True)
class ReducerOptions(Options):
    """MEAN, REDUCE_MAX, REDUCE_PROD."""

    keep_dims: bool = False


@dataclass(frozen=True, slots=True)
class LeakyReluOptions(Options):
    """LEAKY_RELU."""

    alpha: float


@dataclass(frozen=True, slots=True)
class ResizeOptions(Options):
    """RESIZE_NEAREST_NEIGHBOR."""

    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(frozen=True, slots=True)
class StridedSliceOptions(Options):
    """STRIDED_SLICE; bit i of a mask speaks of axis i."""

    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0
    offset: bool = False


@dataclass(frozen=True, slots=True)
class SplitOptions(Options):
    """SPLIT, SPLIT_V."""

    count: int


@dataclass(frozen=True, slots=True)
class SqueezeOptions(Options):
    """SQUEEZE; empty: every axis of extent 1."""

    axes: tuple[int, ...] = ()


def _stride(o: Any) -> HW:
    return _positive("stride", o.StrideH(), o.StrideW())


def _dilation(o: Any) -> HW:
    return _positive("dilation", o.DilationHFactor(), o.DilationWFactor())


def _positive(what: str, h: int, w: int) -> HW:
    if not (0 < h < 2**15 and 0 < w < 2**15):
        raise ModelError(f"{what} ({h}, {w}) lies outside [1, 32767]")
    return HW(h, w)


def _padding(o: Any) -> PaddingScheme:
    return _member(PaddingScheme, o.Padding())


def _fused(o: Any) -> Fused:
    return _member(Fused, o.FusedActivationFunction())


def _member(kind: type[E], code: int) -> E:
    try:
        return kind(code)
    except ValueError:
        raise ModelError(f"{kind.__name__} {code} does not exist") from None


def _dims(count: int, get: Callable[[int], int]) -> tuple[int, ...]:
    if count > MOST_DIMS:
        raise ModelError(f"names {count} dimensions; {MOST_DIMS} are possible")
    return tuple(get(i) for i in range(count))


@dataclass(frozen=True, slots=True)
class Decoder:
    """How one kind of options is read: the schema's table, what is made of it, and what stands where it is left out."""

    table: str
    decode: Callable[[Any], Options]
    default: Options | None = None


def _conv(table: str) -> Decoder:
    return Decoder(table, lambda o: ConvOptions(_padding(o), _stride(o), _dilation(o), _fused(o)))


_TRANSPOSE_CONV = Decoder("TransposeConvOptions", lambda o: TransposeConvOptions(_padding(o), _stride(o), _fused(o)))
_FULLY_CONNECTED = Decoder(
    "FullyConnectedOptions",
    lambda o: FullyConnectedOptions(_fused(o), bool(o.KeepNumDims()), o.WeightsFormat() != 0),
)
_POOL = Decoder(
    "Pool2DOptions",
    lambda o: PoolOptions(_padding(o), _stride(o), _positive("window", o.FilterHeight(), o.FilterWidth()), _fused(o)),
)
_REDUCER = Decoder("ReducerOptions", lambda o: ReducerOptions(bool(o.KeepDims())), ReducerOptions())


def _arithmetic(table: str) -> Decoder:
    return Decoder(table, lambda o: ArithmeticOptions(_fused(o)), ArithmeticOptions())


def _strided_slice(o: Any) -> Options:
    masks = (o.BeginMask(), o.EndMask(), o.EllipsisMask(), o.NewAxisMask(), o.ShrinkAxisMask())
    return StridedSliceOptions(*masks, offset=bool(o.Offset()))


DECODERS: Mapping[str, Decoder] = MappingProxyType(
    {
        "ADD": _arithmetic("AddOptions"),
        "AVERAGE_POOL_2D": _POOL,
        "CONCATENATION": Decoder("ConcatenationOptions", lambda o: ConcatOptions(o.Axis(), _fused(o))),
        "CONV_2D": _conv("Conv2DOptions"),
        "DEPTHWISE_CONV_2D": _conv("DepthwiseConv2DOptions"),
        "DIV": _arithmetic("DivOptions"),
        "FULLY_CONNECTED": _FULLY_CONNECTED,
        "LEAKY_RELU": Decoder("LeakyReluOptions", lambda o: LeakyReluOptions(o.Alpha())),
        "MAX_POOL_2D": _POOL,
        "MEAN": _REDUCER,
        "MUL": _arithmetic("MulOptions"),
        "REDUCE_MAX": _REDUCER,
        "REDUCE_PROD": _REDUCER,
        "RESHAPE": Decoder(
            "ReshapeOptions", lambda o: ReshapeOptions(_dims(o.NewShapeLength(), o.NewShape)), ReshapeOptions()
        ),
        "RESIZE_NEAREST_NEIGHBOR": Decoder(
            "ResizeNearestNeighborOptions",
            lambda o: ResizeOptions(bool(o.AlignCorners()), bool(o.HalfPixelCenters())),
            ResizeOptions(),
        ),
        "SOFTMAX": Decoder("SoftmaxOptions", lambda o: SoftmaxOptions(o.Beta())),
        "SPLIT": Decoder("SplitOptions", lambda o: SplitOptions(o.NumSplits())),
        "SPLIT_V": Decoder("SplitVOptions", lambda o: SplitOptions(o.NumSplits())),
        "SQUEEZE": Decoder(
            "SqueezeOptions", lambda o: SqueezeOptions(_dims(o.SqueezeDimsLength(), o.SqueezeDims)), SqueezeOptions()
        ),
        "STRIDED_SLICE": Decoder("StridedSliceOptions", _strided_slice, StridedSliceOptions()),
        "SUB": _arithmetic("SubOptions"),
        "TRANSPOSE_CONV": _TRANSPOSE_CONV,
    }
)
