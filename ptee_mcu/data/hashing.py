"""An order of images that depends on nothing but what each image holds."""

from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int64]


def hash_order(x: npt.NDArray[Any]) -> Index:
    """Indices of the images of `x` sorted by SHA-256 of their bytes: the same division whatever the files' order."""
    digests = [sha256(np.ascontiguousarray(image).tobytes()).digest() for image in x]
    return np.asarray(sorted(range(len(x)), key=lambda i: (digests[i], i)), dtype=np.int64)


def hold_out(x: npt.NDArray[Any], share: float) -> tuple[Index, Index]:
    """Indices of the kept and of the held-out images, the latter `share` of all, each in ascending order."""
    order = hash_order(x)
    held = round(len(x) * share)
    return np.sort(order[held:]), np.sort(order[:held])
