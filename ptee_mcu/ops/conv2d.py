"""2-D convolution: float attributes, int8 twins (full and depthwise), counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from ptee_mcu.errors import ModelError, QuantizationError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Activation, Constants, Counts, Op, Params, QOp, Work
from ptee_mcu.ops.conv_work import Window, convolve, pointwise
from ptee_mcu.ops.depthwise_work import depthwise
from ptee_mcu.ops.in_place import window_distance
from ptee_mcu.ops.taps import count_padded_groups, count_taps
from ptee_mcu.ops.weights import quantize_weights
from ptee_mcu.ops.window import pad_hw, require_nhwc, require_window, windows
from ptee_mcu.requant import Requant
from ptee_mcu.tensor import HW, Float, Int8, Int32, Padding, QTensor, Quant, Shape

MVE_CHANNEL_BLOCK = 124  # CH_IN_BLOCK_MVE of CMSIS-NN 4.0.0: channels that a depthwise kernel takes at a time


@dataclass(frozen=True, slots=True)
class Conv2d(Op):
    """Params: weight (out, kh, kw, in / groups), optional bias (out,)."""

    stride: HW = HW(1, 1)
    padding: Padding = Padding()
    dilation: HW = HW(1, 1)
    groups: int = 1
    act: Activation = Activation()

    def output_shape(self, inputs: Sequence[Shape], params: Params) -> Shape:
        """(1, Ho, Wo, out)."""
        h, w, c = require_nhwc("Conv2d", inputs[0])
        out, kh, kw, per_group = params["weight"].shape
        if per_group * self.groups != c or out % self.groups:
            raise ModelError(f"Conv2d: weight {params['weight'].shape} with {self.groups} groups on {c} channels")
        size = require_window("Conv2d", HW(h, w), HW(kh, kw), self.stride, self.padding, self.dilation)
        return (1, size.h, size.w, out)

    def forward(self, inputs: Sequence[Float], params: Params) -> Float:
        """Convolution by matrix product, or by shifted sums where depthwise."""
        weight = params["weight"]
        x = pad_hw(inputs[0], self.padding, 0.0)
        if self.is_depthwise(x.shape[3]):
            y = self._forward_depthwise(x, weight)
        else:
            y = np.concatenate(
                [
                    self._forward_dense(*pair)
                    for pair in zip(np.split(x, self.groups, 3), np.split(weight, self.groups), strict=True)
                ],
                axis=3,
            )
        if "bias" in params:
            y = y + params["bias"]
        return self.act.apply(y)

    def _forward_dense(self, x: Float, weight: Float) -> Float:
        kernel = HW(weight.shape[1], weight.shape[2])
        view = windows(x, kernel, self.stride, self.dilation)
        columns = view.transpose(0, 1, 2, 4, 5, 3).reshape(-1, prod(weight.shape[1:]))
        return (columns @ weight.reshape(weight.shape[0], -1).T).reshape(*view.shape[:3], weight.shape[0])

    def _forward_depthwise(self, x: Float, weight: Float) -> Float:
        out, kh, kw, _ = weight.shape
        view = windows(x, HW(kh, kw), self.stride, self.dilation)
        per_channel = weight.reshape(x.shape[3], out // x.shape[3], kh, kw)
        y = np.zeros((*view.shape[:3], x.shape[3], out // x.shape[3]), dtype=np.float32)
        for i in range(kh):
            for j in range(kw):
                y += view[:, :, :, :, i, j, None] * per_channel[:, :, i, j]
        return y.reshape(*view.shape[:3], out)

    def is_depthwise(self, channels: int) -> bool:
        """True where each input channel is its own group."""
        return self.groups == channels and self.groups > 1

    def macs(self, inputs: Sequence[Shape], params: Params) -> int:
        """One per weight and output position."""
        return prod(self.output_shape(inputs, params)[1:3]) * params["weight"].size

    def flops(self, inputs: Sequence[Shape], params: Params) -> int:
        """MACs, and one addition per output where there is a bias."""
        return self.macs(inputs, params) + (prod(self.output_shape(inputs, params)) if "bias" in params else 0)

    def quantize(self, name: str, inputs: Sequence[Quant], output: Quant, params: Params) -> QOp:
        """QConv2d, or QDepthwiseConv2d where there are groups (one per input channel)."""
        weight = params["weight"]
        depthwise = self.groups > 1 and weight.shape[3] == 1
        if self.groups > 1 and not depthwise:
            raise QuantizationError(
                f"{name}: {self.groups} groups of {weight.shape[3]} channels have no kernel in CMSIS-NN 4.0.0",
                hint="run the fold pass first; it splits grouped convolutions",
            )
        if depthwise:
            weight = weight.transpose(3, 1, 2, 0)  # (1, kh, kw, out), as CMSIS-NN wants it
        q = quantize_weights(name, weight, params.get("bias"), inputs[0], output, channel_axis=3 if depthwise else 0)
        low, high = self.act.codes(output)
        make = QDepthwiseConv2d if depthwise else QConv2d
        return make(
            weights=q.weights,
            bias=q.bias,
            requant=q.requant,
            input_offset=-inputs[0].zero_point,
            output_offset=output.zero_point,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            act_min=low,
            act_max=high,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _QConvolution(QOp):
    weights: Int8
    bias: Int32
    requant: Requant
    input_offset: int
    output_offset: int
    stride: HW
    padding: Padding
    dilation: HW
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
        """(1, Ho, Wo, out)."""
        what = type(self).__name__
        h, w, _ = require_nhwc(what, inputs[0])
        size = require_window(what, HW(h, w), self.kernel, self.stride, self.padding, self.dilation)
        return (1, size.h, size.w, len(self.bias))

    def window(self, image: Shape, output: Shape) -> Window:
        """Geometry on an input of shape `image`."""
        size, out = HW(image[1], image[2]), HW(output[1], output[2])
        sides = (size, out, self.kernel, self.stride, self.padding, self.dilation)
        return Window(
            size, image[3], self.kernel, self.stride, output[3], count_taps(*sides), count_padded_groups(*sides)
        )


@dataclass(frozen=True, slots=True, eq=False)
class QConv2d(_QConvolution):
    """Int8 convolution, arm_convolve_s8 or arm_convolve_1x1_s8_fast of CMSIS-NN 4.0.0; weights OHWI."""

    template: ClassVar[str] = "conv2d"

    @property
    def is_pointwise(self) -> bool:
        """True for a 1x1 kernel with stride 1 and no padding: arm_convolve_1x1_s8_fast is faster there."""
        ones = self.kernel == self.stride == self.dilation == HW(1, 1)
        return ones and self.padding == Padding()

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Scratch as arm_convolve_s8_get_buffer_size of any release wants at most; arm_convolve_1x1_s8_fast wants none.

        Source: CMSIS-NN 4.0.0 to 7.0.0; columns are rounded up to 8 bytes on MVE, since 6.0 to 16; elsewhere, since
        5.0, to 4 elements of int16.
        """
        macs = prod(output.shape[1:3]) * self.weights.size
        if self.is_pointwise:
            return Counts(macs, 0)
        column = self.weights.size // self.weights.shape[0]
        return Counts(macs, 4 * -(-column // 16) * 16 if isa is Isa.MVE else 2 * 2 * -(-column // 4) * 4)

    def overlap(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> tuple[int | None, ...]:
        """arm_convolve_s8 (4.0.0 to 7.0.0) copies the windows of two or four pixels to scratch, then writes them.

        arm_convolve_1x1_s8_fast goes through the whole input again for every two output channels: no overlap.
        """
        if self.is_pointwise:
            return (None,)
        return (window_distance(inputs[0].shape, output.shape, self.stride, self.padding),)

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Of arm_convolve_1x1_s8_fast or arm_convolve_s8."""
        if self.is_pointwise:
            return pointwise(prod(output.shape[1:3]), inputs[0].shape[3], output.shape[3], isa)
        return convolve(self.window(inputs[0].shape, output.shape), isa)


@dataclass(frozen=True, slots=True, eq=False)
class QDepthwiseConv2d(_QConvolution):
    """Int8 depthwise convolution, arm_depthwise_conv_wrapper_s8 of CMSIS-NN 4.0.0; weights (1, kh, kw, out)."""

    template: ClassVar[str] = "depthwise_conv2d"

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Scratch as arm_depthwise_conv_wrapper_s8_get_buffer_size, CMSIS-NN 4.0.0; later releases want no more.

        Not so from one channel on MVE since 7.0, where the run-time library calls arm_depthwise_conv_s8 itself.
        """
        macs = prod(output.shape[1:3]) * self.weights.size
        channels = inputs[0].shape[3]
        taps = self.kernel.h * self.kernel.w
        if channels != output.shape[3] or self.dilation != HW(1, 1) or isa is Isa.SCALAR:
            return Counts(macs, 0)
        return Counts(macs, channels * taps * 2 if isa is Isa.DSP else 4 * MVE_CHANNEL_BLOCK * taps)

    def overlap(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> tuple[int | None, ...]:
        """All kernels of the wrapper (4.0.0 to 7.0.0) finish a pixel, on MVE four, before the windows after it.

        The full convolution that it makes of some from one channel since 7.0 is never called. On MVE
        arm_depthwise_conv_s8_opt goes through the input once per block of channels: no overlap beyond one block.
        """
        if isa is Isa.MVE and inputs[0].shape[3] > MVE_CHANNEL_BLOCK:
            return (None,)
        return (window_distance(inputs[0].shape, output.shape, self.stride, self.padding),)

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Of the function that arm_depthwise_conv_wrapper_s8 chooses."""
        return depthwise(self.window(inputs[0].shape, output.shape), self.padding, self.dilation, isa)
