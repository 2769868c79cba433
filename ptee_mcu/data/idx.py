"""MNIST and Fashion-MNIST from their official idx files, plain or gzip-compressed."""

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptee_mcu.data.dataset import Dataset, Labels, make_dataset
from ptee_mcu.errors import DataError
from ptee_mcu.tensor import Shape, UInt8

DIGITS = tuple("0123456789")
FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
PARTS = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
         "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}  # fmt: skip
FILES = tuple(name + suffix for pair in PARTS.values() for name in pair for suffix in ("", ".gz"))
_UBYTE = 0x08  # the only element type of these sets


def load_mnist(folder: Path) -> Dataset:
    """MNIST from the four idx files in `folder`: 60,000 and 10,000 images 28x28x1.

    Raises:
        DataError: where a file is missing, cut short or not what it should be.

    Source: LeCun, Cortes and Burges, The MNIST Database of Handwritten Digits, 1998.
    """
    return _load(folder, "mnist", DIGITS)


def load_fashion_mnist(folder: Path) -> Dataset:
    """Fashion-MNIST from the four idx files in `folder`: 60,000 and 10,000 images 28x28x1.

    Raises:
        DataError: where a file is missing, cut short or not what it should be.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, arXiv:1708.07747, 2017.
    """
    return _load(folder, "fashion-mnist", FASHION)


def _load(folder: Path, name: str, classes: tuple[str, ...]) -> Dataset:
    train, test = (_part(folder, *PARTS[part], name) for part in ("train", "test"))
    return make_dataset(name, train, test, classes, official_test=True)


def _part(folder: Path, images: str, labels: str, name: str) -> tuple[UInt8, Labels]:
    return _read(folder, images, 3, name)[..., None], _read(folder, labels, 1, name).astype(np.int64)


def _read(folder: Path, stem: str, dimensions: int, name: str) -> npt.NDArray[Any]:
    """The uint8 array of `dimensions` axes in the file `stem` or `stem`.gz.

    Source: the idx format as the MNIST page describes it: two zero bytes, type, count of axes, each axis as big-endian
    uint32, then the elements.
    """
    hint = f"download it again: ptee-mcu data fetch {name} --data DIR"
    path = next((p for p in (folder / stem, folder / f"{stem}.gz") if p.is_file()), None)
    if path is None:
        raise DataError(f"{folder}: holds neither {stem} nor {stem}.gz", hint=hint)
    raw = _bytes(path, hint)
    start = 4 + 4 * dimensions
    if len(raw) < start or raw[:4] != bytes((0, 0, _UBYTE, dimensions)):
        raise DataError(
            f"{path}: begins with {raw[:4].hex(' ') or 'nothing'}, "
            f"00 00 08 {dimensions:02x} is expected (idx of uint8, {dimensions} axes)",
            hint=hint,
        )
    shape: Shape = tuple(int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions))
    if len(raw) != start + prod(shape):
        raise DataError(
            f"{path}: has {len(raw)} bytes, its header announces {shape}: {start + prod(shape)} are expected", hint=hint
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def _bytes(path: Path, hint: str) -> bytes:
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                return file.read()
        return path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}", hint=hint) from error
