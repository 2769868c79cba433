"""Matrix products of int8 codes that are exact although they run in float32."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ptee_mcu.tensor import Float, Int8

FLOAT32_EXACT = 1 << 24  # every integer up to here is a float32
EXACT_TERMS = FLOAT32_EXACT // (128 * 127)  # 1032 products of any code and a weight in [-127, 127]


def exact_terms(weights: Int8) -> int:
    """Products of any int8 code and these weights whose sum float32 holds, in whatever order they are added."""
    largest = int(np.abs(weights.astype(np.int16)).max(initial=1))
    return FLOAT32_EXACT // (128 * largest)


def exact_matmul(columns: Float, weights: Float, terms: int) -> npt.NDArray[Any]:
    """`columns` (rows, K) times `weights` (K, channels): float32 up to K = `terms`, float64 sums of parts beyond."""
    if columns.shape[1] <= terms:
        product: npt.NDArray[np.float32] = columns @ weights
        return product
    total = np.zeros((columns.shape[0], weights.shape[1]), dtype=np.float64)
    for first in range(0, columns.shape[1], terms):
        total += columns[:, first : first + terms] @ weights[first : first + terms]
    return total
