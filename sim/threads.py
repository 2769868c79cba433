"""One BLAS thread per Python thread: two layers of threads on the same cores wait for each other."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

_FOLDERS = ("numpy.libs", "numpy/.dylibs")  # beside numpy, where its wheels for Linux, Windows and macOS put OpenBLAS


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Holds numpy's own OpenBLAS to one thread meanwhile; another BLAS keeps what its environment variables say."""
    library = _openblas()
    if library is None:
        yield
        return
    threads = library.scipy_openblas_get_num_threads64_()
    library.scipy_openblas_set_num_threads64_(1)
    try:
        yield
    finally:
        library.scipy_openblas_set_num_threads64_(threads)


def _openblas() -> ctypes.CDLL | None:
    beside = Path(np.__file__).parents[1]
    for path in (path for folder in _FOLDERS for path in (beside / folder).glob("libscipy_openblas64_*")):
        library = ctypes.CDLL(str(path))  # already loaded by numpy: the same library, not a second one
        if hasattr(library, "scipy_openblas_set_num_threads64_"):
            return library
    return None
