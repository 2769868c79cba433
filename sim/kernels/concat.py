"""Int8 concatenation along the channels."""

from collections.abc import Sequence

import numpy as np

from ptee_mcu.ops import QConcat
from ptee_mcu.tensor import Int8, QTensor


def run(op: QConcat, inputs: Sequence[Int8], output: QTensor) -> Int8:  # noqa: ARG001 - every kernel's signature
    """The inputs side by side along the last axis."""
    return np.concatenate(inputs, axis=-1)
