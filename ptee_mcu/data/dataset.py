"""A labelled image set, verified on the way in."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import DataError
from ptee_mcu.tensor import Float, Shape, UInt8, readonly

# (N, H, W, C): uint8 pixels 0..255, or float32 values that are network inputs already.
Images: TypeAlias = UInt8 | Float
Labels: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Images and labels in the two parts that a backbone is trained on and tested on.

    `official_test` is True where the publisher of the set divided it, False where the division was made here.
    """

    name: str
    train_x: Images
    train_y: Labels
    test_x: Images
    test_y: Labels
    classes: tuple[str, ...]
    official_test: bool

    @property
    def image_shape(self) -> Shape:
        """(H, W, C)."""
        return self.train_x.shape[1:]


def make_dataset(
    name: str,
    train: tuple[npt.ArrayLike, npt.ArrayLike],
    test: tuple[npt.ArrayLike, npt.ArrayLike],
    classes: tuple[str, ...],
    *,
    official_test: bool,
) -> Dataset:
    """A verified Dataset with read-only arrays.

    Args:
        name: what messages call it.
        train: images (N, H, W, C) and labels (N,) for training.
        test: the same for testing.
        classes: a name per label.
        official_test: whether the publisher made the division.

    Raises:
        DataError: where a part is empty, holds NaN or infinity, or has a label outside the classes.
    """
    train_x, train_y = _verified(f"{name}, training part", *train, len(classes))
    test_x, test_y = _verified(f"{name}, test part", *test, len(classes))
    if train_x.shape[1:] != test_x.shape[1:] or train_x.dtype != test_x.dtype:
        raise DataError(
            f"{name}: training images are {train_x.dtype} {train_x.shape[1:]}, "
            f"test images {test_x.dtype} {test_x.shape[1:]}"
        )
    return Dataset(name, train_x, train_y, test_x, test_y, classes, official_test)


def require_fits(dataset: Dataset, input_shape: Shape, classes: int) -> None:
    """Holds a data set against a network that takes `input_shape` (1, H, W, C) and answers with `classes` logits.

    Raises:
        DataError: where images have another shape or labels outnumber the logits.
    """
    if dataset.image_shape != input_shape[1:]:
        raise DataError(
            f"{dataset.name}: images are {dataset.image_shape}, the network takes {input_shape[1:]}",
            hint="choose a model of that input, or resize the images",
        )
    if len(dataset.classes) != classes:
        raise DataError(
            f"{dataset.name}: has {len(dataset.classes)} classes, the network answers with {classes} logits",
            hint="choose weights that were trained on this set",
        )


def _verified(what: str, x: npt.ArrayLike, y: npt.ArrayLike, classes: int) -> tuple[Images, Labels]:
    images = _verified_images(what, np.asarray(x))
    return images, _verified_labels(what, np.asarray(y), len(images), classes)


def _verified_images(what: str, images: npt.NDArray[np.generic]) -> Images:
    if images.ndim != 4 or not images.size:
        raise DataError(f"{what}: images have shape {images.shape}", hint="(N, H, W, C) with N >= 1 is expected")
    if images.dtype == np.uint8:
        return readonly(images, np.uint8)
    if not np.issubdtype(images.dtype, np.floating):
        raise DataError(
            f"{what}: images are {images.dtype}",
            hint="store pixels as uint8 0..255, or network inputs as float32",
        )
    bad = int(images.size - np.isfinite(images).sum())
    if bad:
        raise DataError(f"{what}: {bad} of {images.size} values are NaN or infinite", hint="clean the file first")
    floats = readonly(images, np.float32)
    low, high = float(floats.min()), float(floats.max())
    if low >= 0 and 1 < high <= 255 and np.array_equal(floats, np.rint(floats)):
        raise DataError(
            f"{what}: the float values are the whole numbers {low:g} to {high:g}: pixels, not network inputs",
            hint="store pixels as uint8, so that data.mean and data.std apply",
        )
    return floats


def _verified_labels(what: str, labels: npt.NDArray[np.generic], count: int, classes: int) -> Labels:
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"{what}: labels are {labels.dtype} {labels.shape} beside {count} images",
            hint=f"({count},) integers are expected",
        )
    codes = readonly(labels, np.int64)
    wrong = np.flatnonzero((codes < 0) | (codes >= classes))
    if wrong.size:
        raise DataError(
            f"{what}: label {codes[wrong[0]]} of image {wrong[0]} lies outside [0, {classes - 1}] "
            f"({wrong.size} such labels)"
        )
    return codes
