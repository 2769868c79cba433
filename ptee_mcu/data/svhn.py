"""SVHN, cropped digits, from its official MATLAB files."""

from pathlib import Path

import numpy as np

from ptee_mcu.data.dataset import Dataset, Labels, make_dataset
from ptee_mcu.errors import DataError
from ptee_mcu.tensor import UInt8

FILES = ("train_32x32.mat", "test_32x32.mat")
CLASSES = tuple("0123456789")
_SIDE = 32
_HINT = "download it again: ptee-mcu data fetch svhn --data DIR"


def load_svhn(folder: Path) -> Dataset:
    """SVHN from train_32x32.mat and test_32x32.mat in `folder`: 73,257 and 26,032 images 32x32x3.

    The files' label 10 is the digit 0, and label 0 here.

    Raises:
        DataError: where a file is missing, cut short or not what it should be.

    Source: Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, NIPS workshop 2011.
    """
    train, test = (_read(folder / name) for name in FILES)
    return make_dataset("svhn", train, test, CLASSES, official_test=True)


def _read(path: Path) -> tuple[UInt8, Labels]:
    from scipy.io import loadmat  # noqa: PLC0415 - takes half a second, and this is its only use

    if not path.is_file():
        raise DataError(f"{path}: does not exist", hint=_HINT)
    try:
        content = loadmat(path, variable_names=("X", "y"))
        x, y = np.asarray(content["X"]), np.asarray(content["y"]).reshape(-1)
    except Exception as error:  # a cut or foreign file fails in any of a dozen ways
        raise DataError(
            f"{path}: {path.stat().st_size} bytes that are not an SVHN file ({type(error).__name__}: {error})",
            hint=_HINT,
        ) from error
    if x.shape != (_SIDE, _SIDE, 3, y.size) or x.dtype != np.uint8 or not np.issubdtype(y.dtype, np.number):
        raise DataError(
            f"{path}: holds {x.dtype} {x.shape} with {y.size} {y.dtype} labels, "
            "uint8 (32, 32, 3, N) and N are expected",
            hint=_HINT,
        )
    wrong = np.flatnonzero(~np.isin(y, np.arange(1, 11)))
    if wrong.size:
        raise DataError(
            f"{path}: label {y[wrong[0]]} of image {wrong[0]} lies outside [1, 10] ({wrong.size} such labels)",
            hint=_HINT,
        )
    return x.transpose(3, 0, 1, 2), y.astype(np.int64) % 10
