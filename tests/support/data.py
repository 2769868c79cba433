"""Real data and third-party weights that tests may use where they are at hand; they are not part of the repository."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ptee_mcu.tensor import UInt8

_CHECKOUT = Path(__file__).parents[2]


def shared_data() -> Path:
    """The folder with the test data: $PTEE_TEST_DATA, or shared/data beside the checkout; it may not exist."""
    given = os.environ.get("PTEE_TEST_DATA")
    return Path(given) if given else _CHECKOUT.parent / "shared" / "data"


def require_shared(*parts: str) -> Path:
    """The file or folder `parts` of the test data; the test skips, by this name, where the whole folder is absent."""
    root = shared_data()
    if not root.is_dir():
        pytest.skip(f"test data {'/'.join(parts)} is not here (set PTEE_TEST_DATA)")
    path = root.joinpath(*parts)
    assert path.exists(), f"{root} lacks {'/'.join(parts)}"
    return path


def cifar10_test(count: int = 10_000) -> tuple[UInt8, npt.NDArray[np.int64]]:
    """The first `count` CIFAR-10 test images, NHWC, and their labels; every prefix is a random sample."""
    return _cifar10("test", count)


def cifar10_train(count: int) -> tuple[UInt8, npt.NDArray[np.int64]]:
    """The first `count` CIFAR-10 training images, NHWC, and their labels; every prefix is a random sample."""
    return _cifar10("train", count)


@cache
def _cifar10(part: str, count: int) -> tuple[UInt8, npt.NDArray[np.int64]]:
    folder = require_shared("cifar10")
    image = pytest.importorskip("PIL.Image", reason="reading the CIFAR-10 strips needs Pillow")
    strips = sorted((folder / "webp").glob(f"{part}_*.webp"))[: -(-count // 500)]
    pixels = [np.asarray(image.open(path).convert("RGB")).reshape(-1, 32, 32, 3) for path in strips]
    with np.load(folder / "labels.npz") as labels:
        return np.concatenate(pixels)[:count], labels[f"y_{part}"][:count].astype(np.int64)
