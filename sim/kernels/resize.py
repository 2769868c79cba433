"""Int8 nearest-neighbour enlargement."""

from collections.abc import Sequence

from ptee_mcu.ops import QResizeNearest
from ptee_mcu.tensor import Int8, QTensor


def run(op: QResizeNearest, inputs: Sequence[Int8], output: QTensor) -> Int8:  # noqa: ARG001 - every kernel's signature
    """Every pixel as a block of scale.h x scale.w."""
    (x,) = inputs
    return x.repeat(op.scale.h, axis=1).repeat(op.scale.w, axis=2)
