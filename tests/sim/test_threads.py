"""BLAS is held to one thread while batches run on all cores, and gets its threads back."""

import ctypes
from collections.abc import Iterator

import numpy as np
import pytest

from ptee_mcu.sim import threads


@pytest.fixture
def openblas() -> Iterator[ctypes.CDLL]:
    """numpy's OpenBLAS, set to two threads."""
    library = threads._openblas()
    if library is None:
        pytest.skip("numpy brings no OpenBLAS of its own here")
    before = library.scipy_openblas_get_num_threads64_()
    library.scipy_openblas_set_num_threads64_(2)
    yield library
    library.scipy_openblas_set_num_threads64_(before)


def test_blas_has_one_thread_meanwhile_and_its_own_again_after(openblas: ctypes.CDLL) -> None:
    with threads.single_threaded_blas():
        assert openblas.scipy_openblas_get_num_threads64_() == 1
    assert openblas.scipy_openblas_get_num_threads64_() == 2


def test_blas_gets_its_threads_back_after_an_error(openblas: ctypes.CDLL) -> None:
    with pytest.raises(ZeroDivisionError), threads.single_threaded_blas():
        _ = 1 // 0
    assert openblas.scipy_openblas_get_num_threads64_() == 2


def test_another_blas_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(np, "__file__", f"{tmp_path}/numpy/__init__.py")
    assert threads._openblas() is None
    with threads.single_threaded_blas():
        pass


def test_there_is_at_least_one_core() -> None:
    assert threads.cores() >= 1
