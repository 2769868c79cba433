"""The descriptors of ptee_runtime.h as ctypes structures."""

import ctypes
from ctypes import c_int8, c_int16, c_int32, c_uint8, c_uint16, c_uint32, c_void_p
from typing import Any, ClassVar

import numpy as np


class Descriptor(ctypes.Structure):
    """A descriptor that keeps alive the arrays its pointers point to and refuses a value that does not fit."""

    c_name: ClassVar[str]

    def __init__(self, **fields: Any) -> None:
        self._kept = [value for value in fields.values() if isinstance(value, np.ndarray)]
        super().__init__()
        for name, value in fields.items():
            number = value.ctypes.data if isinstance(value, np.ndarray) else value
            setattr(self, name, number)
            assert (getattr(self, name) or 0) == (number or 0), f"{name}: {number} does not fit"


def _fields(kind: type, names: str) -> list[tuple[str, type]]:
    return [(name, kind) for name in names.split()]


class Conv2d(Descriptor):
    """ptee_conv2d_t."""

    c_name = "ptee_conv2d_t"
    _fields_ = (
        _fields(c_void_p, "weights bias multiplier shift")
        + _fields(c_uint32, "scratch_bytes")
        + _fields(c_uint16, "input_h input_w input_c output_h output_w output_c")
        + _fields(c_int16, "input_offset")
        + _fields(c_int8, "output_offset act_min act_max")
        + _fields(c_uint8, "kernel_h kernel_w stride_h stride_w padding_h padding_w dilation_h dilation_w")
    )


class DepthwiseConv2d(Descriptor):
    """ptee_depthwise_conv2d_t."""

    c_name = "ptee_depthwise_conv2d_t"
    _fields_ = (
        _fields(c_void_p, "weights bias multiplier shift")
        + _fields(c_uint32, "scratch_bytes")
        + _fields(c_uint16, "input_h input_w input_c output_h output_w output_c channel_multiplier")
        + _fields(c_int16, "input_offset")
        + _fields(c_int8, "output_offset act_min act_max")
        + _fields(c_uint8, "kernel_h kernel_w stride_h stride_w padding_h padding_w dilation_h dilation_w")
    )


class FullyConnected(Descriptor):
    """ptee_fully_connected_t."""

    c_name = "ptee_fully_connected_t"
    _fields_ = (
        _fields(c_void_p, "weights bias")
        + _fields(c_int32, "multiplier")
        + _fields(c_uint32, "input_features")
        + _fields(c_uint16, "output_features")
        + _fields(c_int8, "shift output_offset act_min act_max")
    )


class Pool2d(Descriptor):
    """ptee_pool2d_t."""

    c_name = "ptee_pool2d_t"
    _fields_ = (
        _fields(c_uint32, "scratch_bytes")
        + _fields(c_uint16, "input_h input_w channels output_h output_w")
        + _fields(c_uint16, "kernel_h kernel_w stride_h stride_w padding_h padding_w")
        + _fields(c_int8, "act_min act_max")
    )


class Add(Descriptor):
    """ptee_add_t."""

    c_name = "ptee_add_t"
    _fields_ = (
        _fields(c_uint32, "count")
        + _fields(c_int32, "multiplier_a multiplier_b output_multiplier")
        + _fields(c_int16, "offset_a offset_b")
        + _fields(c_int8, "shift_a shift_b output_shift output_offset act_min act_max")
    )


class Lookup(Descriptor):
    """ptee_lookup_t."""

    c_name = "ptee_lookup_t"
    _fields_ = _fields(c_void_p, "table") + _fields(c_uint32, "count")


class Mul(Descriptor):
    """ptee_mul_t."""

    c_name = "ptee_mul_t"
    _fields_ = (
        _fields(c_void_p, "factor")
        + _fields(c_uint32, "passes period")
        + _fields(c_int32, "multiplier")
        + _fields(c_int16, "offset_a offset_b")
        + _fields(c_int8, "shift output_offset act_min act_max")
    )


class PRelu(Descriptor):
    """ptee_prelu_t."""

    c_name = "ptee_prelu_t"
    _fields_ = (
        _fields(c_void_p, "alpha")
        + _fields(c_uint32, "pixels")
        + _fields(c_int32, "multiplier_above multiplier_below")
        + _fields(c_uint16, "channels")
        + _fields(c_int16, "input_offset alpha_offset")
        + _fields(c_int8, "shift_above shift_below output_offset")
    )


class Mean(Descriptor):
    """ptee_mean_t."""

    c_name = "ptee_mean_t"
    _fields_ = (
        _fields(c_uint32, "pixels")
        + _fields(c_int32, "offset multiplier")
        + _fields(c_uint16, "channels")
        + _fields(c_int8, "shift output_offset")
    )


class Concat(Descriptor):
    """ptee_concat_t."""

    c_name = "ptee_concat_t"
    _fields_ = _fields(c_uint32, "pixels") + _fields(c_uint16, "input_c output_c first_c")


class Pad(Descriptor):
    """ptee_pad_t."""

    c_name = "ptee_pad_t"
    _fields_ = _fields(c_uint16, "input_h input_w input_c top bottom left right front back") + _fields(c_int8, "fill")


class Slice(Descriptor):
    """ptee_slice_t."""

    c_name = "ptee_slice_t"
    _fields_ = _fields(c_uint16, "input_w input_c output_h output_w output_c start_h start_w start_c step_h step_w")


class LookupU8(Descriptor):
    """ptee_lookup_u8_t."""

    c_name = "ptee_lookup_u8_t"
    _fields_ = _fields(c_void_p, "tables") + _fields(c_uint32, "pixels") + _fields(c_uint16, "channels")


ALL: tuple[type[Descriptor], ...] = (
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Pool2d,
    Add,
    Lookup,
    Mul,
    PRelu,
    Mean,
    Concat,
    Pad,
    Slice,
    LookupU8,
)
KERNELS: dict[str, type[Descriptor]] = {
    "ptee_conv2d": Conv2d,
    "ptee_pointwise_conv2d": Conv2d,
    "ptee_depthwise_conv2d": DepthwiseConv2d,
    "ptee_fully_connected": FullyConnected,
    "ptee_max_pool2d": Pool2d,
    "ptee_avg_pool2d": Pool2d,
}
WITHOUT_SCRATCH = {"ptee_pointwise_conv2d", "ptee_fully_connected"}
NO_SCRATCH_GETTER = {*WITHOUT_SCRATCH, "ptee_max_pool2d"}
COPIES: dict[str, type[Descriptor]] = {
    "ptee_lookup": Lookup,
    "ptee_prelu": PRelu,
    "ptee_mean": Mean,
    "ptee_concat": Concat,
    "ptee_pad": Pad,
    "ptee_slice": Slice,
    "ptee_lookup_u8": LookupU8,
}
