"""TFLite convolutions, products, pools and means as graph nodes."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ptee_mcu.frontends.tflite.float_trace import Call, Value
from ptee_mcu.frontends.tflite.options import (
    ConvOptions,
    FullyConnectedOptions,
    PaddingScheme,
    PoolOptions,
    ReducerOptions,
    TransposeConvOptions,
)
from ptee_mcu.frontends.tflite.windows import ONE, plus, transposed_padding, window_padding
from ptee_mcu.ops import AvgPool2d, Conv2d, ConvTranspose2d, Linear, MaxPool2d, Pad
from ptee_mcu.tensor import HW, Float


def conv2d(call: Call) -> Value:
    """Conv2d with the groups that its weights say; takes in a zero padding of H and W before it."""
    options = call.op.read(ConvOptions)
    weight = _weight(call, 1, 4)
    channels = call.image(call.alias_value())[1][3]
    if channels % weight.shape[3]:
        raise call.fault(f"its weights {weight.shape} read {channels} channels")
    return _convolution(call, options, weight, channels // weight.shape[3])


def depthwise_conv2d(call: Call) -> Value:
    """Conv2d with a group per channel."""
    weight = _weight(call, 1, 4)
    channels = call.image(call.alias_value())[1][3]
    if weight.shape[0] != 1 or weight.shape[3] % channels:
        raise call.fault(f"its weights {weight.shape} read {channels} channels")
    return _convolution(call, call.op.read(ConvOptions), weight.transpose(3, 1, 2, 0), channels)


def _convolution(call: Call, options: ConvOptions, weight: Float, groups: int) -> Value:
    act, bias = call.activation(options.fused), _bias(call, 2, len(weight))
    x = call.alias_value()
    if x.spread is not None:
        if (options.padding, options.stride, options.dilation) != (PaddingScheme.VALID, ONE, ONE):
            raise call.refuse("it pads, strides or dilates an image spread over the batch", "convert for a batch of 1")
        op = Conv2d(ONE, x.spread.padding, x.spread.block, groups, act)
        made = call.emit(op, call.in_graph_shape(x), weight=weight, bias=bias)
        return replace(made, spread=x.spread)
    tensor, (_, h, w, _) = call.image(call.value())
    kernel = HW(weight.shape[1], weight.shape[2])
    padding = window_padding(options.padding, HW(h, w), kernel, options.stride, options.dilation)
    pad = call.trace.producer(replace(x, tensor=tensor))
    if pad is not None and isinstance(pad.op, Pad) and not (pad.op.channels_before or pad.op.channels_after):
        padding, tensor = plus(padding, pad.op.padding), pad.inputs[0]  # zeros are zeros, whoever adds them
    op = Conv2d(options.stride, padding, options.dilation, groups, act)
    return call.emit(op, tensor, weight=weight, bias=bias)


def transpose_conv(call: Call) -> Value:
    """ConvTranspose2d that gives the size the file asks for."""
    options = call.op.read(TransposeConvOptions)
    weight, stride = _weight(call, 1, 4), options.stride
    tensor, (_, h, w, _) = call.image(call.value(2))
    size = call.integers(0)
    if len(size) != 4 or min(size) < 1:
        raise call.fault(f"it asks for the shape {size}")
    kernel = HW(weight.shape[1], weight.shape[2])
    around = transposed_padding(options.padding, HW(h, w), HW(size[1], size[2]), kernel, stride)
    if around is None:
        raise call.fault(f"a {h}x{w} map does not become {size[1]}x{size[2]}")
    op = ConvTranspose2d(stride, *around, call.activation(options.fused))
    return call.emit(op, tensor, weight=weight, bias=_bias(call, 3, len(weight)))


def fully_connected(call: Call) -> Value:
    """Linear on all elements, or a 1x1 convolution where it reads the last axis of more than one vector."""
    options = call.op.read(FullyConnectedOptions)
    if options.shuffled:
        raise call.refuse("its weights are shuffled for one kernel of TFLite", "convert without that option")
    x, weight, act = call.value(), _weight(call, 1, 2), call.activation(options.fused)
    out, features = weight.shape
    bias = _bias(call, 2, out)
    elements = int(np.prod(x.shape))
    if elements == features:
        lead = x.shape[:-1] if options.keep_dims and x.shape[-1] == features else (1,)
        return call.emit(Linear(act), x.tensor, shape=(*lead, out), weight=weight, bias=bias)
    if x.shape[-1] != features:
        raise call.fault(f"its weights {weight.shape} read shape {x.shape}")
    shape = (*x.shape[:-1], out) if options.keep_dims else (elements // features, out)
    tensor, _ = call.image(x)
    return call.emit(Conv2d(act=act), tensor, shape=shape, weight=weight[:, None, None, :], bias=bias)


def average_pool2d(call: Call) -> Value:
    """AvgPool2d, which does not count padding either."""
    return _pool(call, AvgPool2d)


def max_pool2d(call: Call) -> Value:
    """MaxPool2d."""
    return _pool(call, MaxPool2d)


def _pool(call: Call, make: type[AvgPool2d] | type[MaxPool2d]) -> Value:
    options = call.op.read(PoolOptions)
    tensor, (_, h, w, _) = call.image(call.value())
    padding = window_padding(options.padding, HW(h, w), options.kernel, options.stride)
    return call.emit(make(options.kernel, options.stride, padding, call.activation(options.fused)), tensor)


_REDUCERS: Mapping[str, type[AvgPool2d] | type[MaxPool2d]] = {"MEAN": AvgPool2d, "REDUCE_MAX": MaxPool2d}


def reduce(call: Call) -> Value:
    """A pool over all of H, W or both."""
    x = call.value()
    rank = len(x.shape)
    if rank < 3:
        raise call.refuse(f"it reduces a tensor of shape {x.shape}", "only H and W of an image can be reduced")
    if not all(-rank <= axis < rank for axis in call.integers(1)):
        raise call.fault(f"it names axes {call.integers(1)} of {rank}")
    axes = {axis % rank for axis in call.integers(1)}
    spatial = {axis + 4 - rank for axis in axes if x.shape[axis] > 1}
    if not spatial <= {1, 2}:
        raise call.refuse(f"it reduces axes {sorted(axes)} of {x.shape}", "only H and W of an image can be reduced")
    shape = tuple(1 if i in axes else extent for i, extent in enumerate(x.shape))
    if not call.op.read(ReducerOptions).keep_dims:
        shape = tuple(extent for i, extent in enumerate(x.shape) if i not in axes)
    if not spatial:
        return call.alias(x, shape)
    tensor, image = call.image(x)
    window = HW(image[1] if 1 in spatial else 1, image[2] if 2 in spatial else 1)
    return call.emit(_REDUCERS[call.op.kind](window, window), tensor, shape=shape)


def _weight(call: Call, position: int, rank: int) -> Float:
    weight = call.real(position)
    if weight.ndim != rank or weight.size == 0:
        raise call.fault(f"its weights have the shape {weight.shape}; {rank} dimensions belong there")
    return weight


def _bias(call: Call, position: int, channels: int) -> Float | None:
    bias = call.optional_real(position)
    if bias is not None and bias.size != channels:
        raise call.fault(f"its bias has {bias.size} values for {channels} channels")
    return None if bias is None else bias.reshape(-1)
