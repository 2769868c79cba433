"""Int8 reshape."""

from collections.abc import Sequence

from ptee_mcu.ops import QReshape
from ptee_mcu.tensor import Int8, QTensor


def run(op: QReshape, inputs: Sequence[Int8], output: QTensor) -> Int8:  # noqa: ARG001 - every kernel's signature
    """The input's elements, in the order H, W, C, under the op's shape."""
    (x,) = inputs
    return x.reshape(len(x), *op.shape[1:])
