"""A user's own images from a NumPy archive."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptee_mcu.data.dataset import Dataset, make_dataset
from ptee_mcu.data.hashing import hold_out
from ptee_mcu.errors import DataError

HELD_OUT = 0.4  # of all images, where the archive brings no test part
_CONTENT = "np.savez(path, x=images, y=labels), optionally x_test=, y_test= and classes=names"


def load_npz(path: Path) -> Dataset:
    """The data set in the archive at `path`.

    Arrays: x (N, H, W, C) or (N, H, W), uint8 pixels or float network inputs; y (N,) integers; optionally x_test and
    y_test (otherwise 40 % is held out by hash of the images) and classes (names; otherwise the largest label counts).

    Raises:
        DataError: where the file is missing, is no such archive, or its arrays do not fit together.
    """
    arrays = _arrays(path)
    if missing := {"x", "y"} - set(arrays):
        raise DataError(f"{path}: lacks {min(missing)!r}, holds {sorted(arrays)}", hint=_CONTENT)
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise DataError(f"{path}: x_test and y_test belong together, only one is there", hint=_CONTENT)
    x, y = _with_channels(arrays["x"]), arrays["y"]
    if len(x) != len(y) or not len(x):
        raise DataError(f"{path}: has {len(x)} images and {len(y)} labels", hint=_CONTENT)
    if "x_test" in arrays:
        train, test = (x, y), (_with_channels(arrays["x_test"]), arrays["y_test"])
    else:
        kept, held = hold_out(x, HELD_OUT)
        train, test = (x[kept], y[kept]), (x[held], y[held])
    return make_dataset(path.stem, train, test, _classes(path, arrays), official_test="x_test" in arrays)


def _arrays(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    try:
        with path.open("rb") as file:  # opened here: np.load leaves a broken archive open
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise DataError(f"{path}: is a single array, not an archive", hint=_CONTENT)
            with archive:
                return {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise DataError(f"{path}: does not exist", hint=_CONTENT) from error
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: is not an archive of plain arrays: {error}", hint=_CONTENT) from error


def _with_channels(x: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return x[..., None] if x.ndim == 3 else x


def _classes(path: Path, arrays: dict[str, npt.NDArray[np.generic]]) -> tuple[str, ...]:
    if "classes" in arrays:
        return tuple(str(name) for name in arrays["classes"].tolist())
    y = arrays["y"]
    if not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"{path}: y is {y.dtype}, integers are expected", hint=_CONTENT)
    return tuple(str(label) for label in range(int(y.astype(np.int64).max()) + 1))
