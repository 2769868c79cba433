"""Statuses, their words, and the layout the descriptors have in C."""

import ctypes
import re

import pytest
from runtime import descriptors
from runtime.native import RUNTIME, Runtime

ENUM = re.search(r"typedef enum \{(.*?)\} ptee_status;", (RUNTIME / "ptee_runtime.h").read_text(), re.DOTALL)
assert ENUM is not None
STATUSES = {name: value for value, name in enumerate(re.findall(r"^    (PTEE_\w+)", ENUM.group(1), re.MULTILINE))}


def test_the_first_five_statuses_are_no_errors(runtime: Runtime) -> None:
    assert list(STATUSES)[:5] == ["PTEE_OK", "PTEE_CONTINUE", "PTEE_DONE", "PTEE_YIELD", "PTEE_DEADLINE"]
    assert [name for name, value in STATUSES.items() if not runtime.failed(value)] == list(STATUSES)[:5]


def test_every_status_has_words_of_its_own(runtime: Runtime) -> None:
    texts = [runtime.status_text(value) for value in STATUSES.values()]
    assert len(STATUSES) == 23
    assert len(set(texts)) == len(STATUSES)
    assert "unknown status" not in texts


@pytest.mark.parametrize("status", [-1, 23, 1000])
def test_a_number_that_is_no_status_is_called_unknown(runtime: Runtime, status: int) -> None:
    assert runtime.status_text(status) == "unknown status"


@pytest.mark.parametrize("kind", descriptors.ALL, ids=lambda kind: kind.c_name)
def test_the_tests_know_the_layout_of_each_descriptor(runtime: Runtime, kind: type[descriptors.Descriptor]) -> None:
    assert runtime.size_of(kind.c_name) == ctypes.sizeof(kind)
