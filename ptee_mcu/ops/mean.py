"""Mean over height and width with a rescale, as int8 files have it; of a float network it is AvgPool2d."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from ptee_mcu.errors import ModelError, QuantizationError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Counts, QOp, Reads, Traffic, Work
from ptee_mcu.ops.weights import INT32_MAX
from ptee_mcu.ops.window import require_nhwc
from ptee_mcu.requant import Requant
from ptee_mcu.tensor import HW, QTensor, Quant, Shape, readonly

_WIDEST = 255  # of a code less its zero point, in magnitude


@dataclass(frozen=True, slots=True, eq=False)
class QMean(QOp):
    """Int8 mean of each channel over all of H and W, with the arithmetic of TFLite's reference MEAN.

    sum(code + input_offset) times `requant`, rounded twice, plus output_offset. `requant` is one pair that holds
    scale_in / (scale_out * size.h * size.w); `of` makes it as TFLite does.

    Source: tflite reference_ops::QuantizedMeanOrSum of ai-edge-litert 2.3, which divides the multiplier by the count
    of elements; TFLite's optimized kernels and older releases sum and divide in another order, one code off at times.
    """

    template: ClassVar[str] = "mean"

    size: HW
    keep_dims: bool
    requant: Requant
    input_offset: int
    output_offset: int

    @classmethod
    def of(cls, name: str, source: Quant, output: Quant, size: HW, *, keep_dims: bool) -> Self:
        """The mean of node `name` over maps of `size`, from one code to another.

        Raises:
            QuantizationError: where a sum of so many elements could exceed int32.
        """
        count = size.h * size.w
        pair = Requant.from_real([min(source.scale / output.scale, 2.0**29)])  # any such sum is refused below
        multiplier, shift = int(pair.multiplier[0]), int(pair.shift[0])
        less = min(count.bit_length() - 1, 32, 31 + shift)
        requant = Requant(readonly([(multiplier << less) // count], np.int32), readonly([shift - less], np.int32))
        if (largest := count * _WIDEST << max(shift - less, 0)) > INT32_MAX:
            raise QuantizationError(
                f"{name}: the sum of a {size.h}x{size.w} map can reach {largest}, above int32's {INT32_MAX}",
                hint="pool in two steps, or calibrate its input and output again",
            )
        return cls(size, keep_dims, requant, -source.zero_point, output.zero_point)

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """(1, 1, 1, C), or (1, C) without kept dimensions."""
        h, w, c = require_nhwc("QMean", inputs[0])
        if HW(h, w) != self.size:
            raise ModelError(f"QMean: made for maps of {self.size.h}x{self.size.w}, reads {h}x{w}")
        return (1, 1, 1, c) if self.keep_dims else (1, c)

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Neither MACs nor scratch."""
        return Counts()

    def overlap(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> tuple[int | None, ...]:
        """ptee_mean reads all of a channel before it writes its mean, at or before the channel's first element."""
        return (0,)

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Of ptee_mean: one channel after another."""
        elements, channels = inputs[0].nbytes, output.nbytes
        loops = {"call": 1, "channel": channels, "element": elements}
        image = Reads(elements, float(channels), 0, elements, 1.0) if channels > 1 else Reads(elements, width=1.0)
        return Work("ptee_mean", loops, Traffic({}, (image,), 0, 0, channels))
