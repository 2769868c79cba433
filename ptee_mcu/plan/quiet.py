"""Keeps what a C library prints out of standard output."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def standard_output_to_error() -> Iterator[None]:
    """Sends file descriptor 1 to 2 meanwhile, what C has buffered included.

    The HiGHS of scipy 1.17 prints a line left in from debugging, whatever its display option says.
    """
    sys.stdout.flush()
    _flush_c()
    saved = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        _flush_c()
        os.dup2(saved, 1)
        os.close(saved)


def _flush_c() -> None:
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)
