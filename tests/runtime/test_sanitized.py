"""The tests of the library again, with AddressSanitizer watching our C, CMSIS-NN and numpy's buffers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from runtime.native import run, tool

SUITES = ["test_add.py", "test_copies.py", "test_elementwise.py", "test_kernels.py", "test_status.py"]


@pytest.mark.slow
def test_the_library_passes_its_tests_under_address_sanitizer() -> None:
    here = Path(__file__).parent
    preload = " ".join(run([tool("gcc"), f"-print-file-name={name}.so"]).strip() for name in ("libasan", "libubsan"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *(here / suite for suite in SUITES)],
        env=os.environ
        | {
            "LD_PRELOAD": preload,
            "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0",  # Python's own allocations outlive it
            "SANITIZE_RUNTIME": "address",
            "PYTHONMALLOC": "malloc",  # one block per object, so that its ends are known
        },
        cwd=here.parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
