"""CIFAR-10 from its official files, the binary or the Python version."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ptee_mcu.data.dataset import Dataset, Labels, make_dataset
from ptee_mcu.errors import DataError
from ptee_mcu.tensor import UInt8

BIN_FOLDER = "cifar-10-batches-bin"
PY_FOLDER = "cifar-10-batches-py"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE
_PER_BATCH = 10_000
_TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
_TEST = "test_batch"
_DOWNLOAD = "download it again: ptee-mcu data fetch cifar10 --data DIR, or https://www.cs.toronto.edu/~kriz/cifar.html"
# What the published pickles name, and nothing more: arrays, and the codec call with which Python 3 rebuilds bytes.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"): ("numpy", "ndarray"),
    ("numpy", "dtype"): ("numpy", "dtype"),
    ("_codecs", "encode"): ("_codecs", "encode"),
}


def load_cifar10(folder: Path) -> Dataset:
    """CIFAR-10 from `folder`/cifar-10-batches-bin or `folder`/cifar-10-batches-py: 50,000 and 10,000 images 32x32x3.

    Raises:
        DataError: where neither folder is there, or a file is missing, cut short or not what it should be.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    read = next((r for name, r in _READERS.items() if (folder / name).is_dir()), None)
    if read is None:
        raise DataError(f"{folder}: holds neither {BIN_FOLDER}/ nor {PY_FOLDER}/", hint=_DOWNLOAD)
    batches = [read(folder, name) for name in _TRAIN]
    train = (np.concatenate([x for x, _ in batches]), np.concatenate([y for _, y in batches]))
    return make_dataset("cifar10", train, read(folder, _TEST), CLASSES, official_test=True)


def _read_bin(folder: Path, name: str) -> tuple[UInt8, Labels]:
    path = folder / BIN_FOLDER / f"{name}.bin"
    raw = _bytes(path)
    expected = _PER_BATCH * (1 + _PIXELS)
    if len(raw) != expected:
        raise DataError(f"{path}: has {len(raw)} bytes, {expected} are expected", hint=_DOWNLOAD)
    records = np.frombuffer(raw, np.uint8).reshape(_PER_BATCH, 1 + _PIXELS)
    return _images(records[:, 1:]), records[:, 0].astype(np.int64)


def _read_py(folder: Path, name: str) -> tuple[UInt8, Labels]:
    path = folder / PY_FOLDER / name
    try:
        batch = _BatchUnpickler(io.BytesIO(_bytes(path)), encoding="bytes").load()
        pixels, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"])
    except DataError as error:
        raise DataError(f"{path}: {error}", hint=_DOWNLOAD) from error
    except Exception as error:  # a cut or foreign pickle fails in any of a dozen ways
        raise DataError(
            f"{path}: {path.stat().st_size} bytes that are not a CIFAR-10 batch ({type(error).__name__}: {error})",
            hint=_DOWNLOAD,
        ) from error
    if pixels.shape != (_PER_BATCH, _PIXELS) or pixels.dtype != np.uint8 or labels.shape != (_PER_BATCH,):
        raise DataError(
            f"{path}: holds {pixels.dtype} {pixels.shape} with {labels.size} labels, "
            f"uint8 {(_PER_BATCH, _PIXELS)} is expected",
            hint=_DOWNLOAD,
        )
    return _images(pixels), labels.astype(np.int64)


_READERS = {BIN_FOLDER: _read_bin, PY_FOLDER: _read_py}


class _BatchUnpickler(pickle.Unpickler):
    """Reads arrays, lists, numbers and byte strings; refuses whatever else a pickle may name."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = _ALLOWED.get((module, name))
        if allowed is None:
            raise DataError(f"the pickle names {module}.{name}, which a CIFAR-10 batch does not hold")
        return super().find_class(*allowed)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}", hint=_DOWNLOAD) from error


def _images(planes: UInt8) -> UInt8:
    """(N, 32, 32, 3) of rows that hold the red, green and blue planes in turn."""
    return planes.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
