"""The run-time library as a shared library: how it is compiled, its functions with guard bytes round each output."""

import ctypes
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from ctypes import POINTER, c_bool, c_char_p, c_int, c_int32, c_uint32, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from runtime.descriptors import COPIES, KERNELS, NO_SCRATCH_GETTER, WITHOUT_SCRATCH, Add, Descriptor, Mul

RUNTIME = Path(__file__).parents[2] / "templates" / "runtime"
WARNINGS = [
    "-std=c11",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-pedantic",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wshadow",
    "-Wcast-qual",
    "-Wcast-align",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wundef",
    "-Wdouble-promotion",
]
CORTEX_M4 = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"]
GUARD = 64  # bytes before and after every buffer that must stay as they were
SENTINEL = 0x5A

Int8 = npt.NDArray[np.int8]


def require(what: str, path: str | None) -> str:
    """`path`; without one the test skips, or fails where CI is set."""
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{what} is missing and CI=true")
        pytest.skip(f"{what} is missing")
    return path


def tool(name: str) -> str:
    """Path of an executable the test needs."""
    return require(name, shutil.which(name))


def cmsis_nn() -> Path:
    """The folder that holds cmsis_nn/ (release 4.0.0) and cmsis_core/."""
    spec = importlib.util.find_spec("bakenn")
    origin = require("bakenn, which carries the CMSIS-NN 4.0.0 sources,", spec.origin if spec else None)
    return Path(origin).parent / "backend" / "cmsis_nn" / "vendor"


def include_options(host_folder: Path | None = None) -> list[str]:
    """CMSIS-NN as system headers; on the host `host_folder` takes the empty arm_acle.h that 4.0.0 wants there."""
    folders = [cmsis_nn() / "cmsis_nn" / "Include", cmsis_nn() / "cmsis_core" / "Include"]
    if host_folder is not None:
        (host_folder / "arm_acle.h").touch()
        folders.append(host_folder)
    return [option for folder in folders for option in ("-isystem", str(folder))]


def run(command: Sequence[str | Path]) -> str:
    """What `command` prints; the test fails with its complaints if it does not succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def compile_each(compiler: Sequence[str], sources: Iterable[Path], folder: Path) -> list[Path]:
    """The objects of `sources`, in `folder`."""
    objects = []
    for source in sources:
        objects.append(folder / f"{source.stem}.o")
        run([*compiler, "-c", source, "-o", objects[-1]])
    return objects


def runtime_sources() -> list[Path]:
    """Every C file of the run-time library."""
    return sorted(RUNTIME.glob("*.c"))


def cmsis_nn_sources() -> list[Path]:
    """Every C file of CMSIS-NN that was carried."""
    return sorted((cmsis_nn() / "cmsis_nn" / "Source").rglob("*.c"))


class Runtime:
    """The functions of the run-time library, each output between guard bytes."""

    def __init__(self, library: Path) -> None:
        self._c = ctypes.CDLL(str(library))
        for name, kind in KERNELS.items():
            scratch = [] if name in WITHOUT_SCRATCH else [c_void_p]
            self._declare(name, c_int, POINTER(kind), c_void_p, c_void_p, *scratch)
            if name not in NO_SCRATCH_GETTER:
                self._declare(f"{name}_scratch_bytes", c_int32, POINTER(kind))
        for name, kind in COPIES.items():
            self._declare(name, None, POINTER(kind), c_void_p, c_void_p)
        self._declare("ptee_add", None, POINTER(Add), c_void_p, c_void_p, c_void_p)
        self._declare("ptee_mul", None, POINTER(Mul), c_void_p, c_void_p, c_void_p)
        self._declare("ptee_argmax", c_uint32, c_void_p, c_uint32)
        self._declare("ptee_status_text", c_char_p, c_int)
        self._declare("status_failed", c_bool, c_int)
        self._declare("size_of_descriptor", c_uint32, c_char_p)

    def _declare(self, name: str, result: Any, *arguments: Any) -> None:
        function = getattr(self._c, name)
        function.restype, function.argtypes = result, arguments

    def scratch_bytes(self, name: str, op: Descriptor) -> int:
        """What the library asks for."""
        return 0 if name in NO_SCRATCH_GETTER else int(getattr(self._c, f"{name}_scratch_bytes")(op))

    def kernel(self, name: str, op: Descriptor, data: Int8, count: int) -> Int8:
        """Output of a CMSIS-NN layer in exactly the scratch it asks for; its status must be PTEE_OK."""
        scratch = guarded(self.scratch_bytes(name, op))
        output = guarded(count)
        given = [] if name in WITHOUT_SCRATCH else [inside(scratch)]
        status = getattr(self._c, name)(op, data.ctypes.data, inside(output), *given)
        checked(scratch)
        assert status == 0
        return checked(output)

    def kernel_without_scratch(self, name: str, op: Descriptor, data: Int8, count: int) -> int:
        """Status of a CMSIS-NN layer that is given no scratch."""
        output = guarded(count)
        status = getattr(self._c, name)(op, data.ctypes.data, inside(output), None)
        checked(output)
        return int(status)

    def copy(self, name: str, op: Descriptor, data: npt.NDArray[Any], before: Int8) -> Int8:
        """Output of a layer with one input and no scratch, where the output held `before`."""
        output = guarded(before.size)
        output[GUARD:-GUARD] = before.ravel()
        getattr(self._c, name)(op, data.ctypes.data, inside(output))
        return checked(output).reshape(before.shape)

    def add(self, op: Descriptor, a: Int8, b: Int8) -> Int8:
        """Output of the residual add, apart from its inputs."""
        output = guarded(a.size)
        self._c.ptee_add(op, a.ctypes.data, b.ctypes.data, inside(output))
        return checked(output)

    def add_into(self, op: Descriptor, a: Int8, b: Int8, output: Int8) -> None:
        """The residual add over whatever `output` is, one of its inputs included."""
        self._c.ptee_add(op, a.ctypes.data, b.ctypes.data, output.ctypes.data)

    def into(self, name: str, op: Descriptor, data: Int8) -> None:
        """A layer with one input and no scratch, over its input."""
        getattr(self._c, name)(op, data.ctypes.data, data.ctypes.data)

    def mul(self, op: Descriptor, a: Int8, b: Int8 | None) -> Int8:
        """Output of the product, apart from its inputs."""
        output = guarded(a.size)
        self._c.ptee_mul(op, a.ctypes.data, None if b is None else b.ctypes.data, inside(output))
        return checked(output)

    def mul_into(self, op: Descriptor, a: Int8, b: Int8, output: Int8) -> None:
        """The product over whatever `output` is, one of its inputs included."""
        self._c.ptee_mul(op, a.ctypes.data, b.ctypes.data, output.ctypes.data)

    def argmax(self, codes: Int8) -> int:
        """Label of `codes`."""
        return int(self._c.ptee_argmax(codes.ctypes.data, codes.size))

    def status_text(self, status: int) -> str:
        """Words for a status."""
        return str(self._c.ptee_status_text(status).decode())

    def failed(self, status: int) -> bool:
        """Whether a status is an error."""
        return bool(self._c.status_failed(status))

    def size_of(self, c_name: str) -> int:
        """C's size of a descriptor."""
        return int(self._c.size_of_descriptor(c_name.encode()))


def guarded(count: int) -> Int8:
    """A buffer of `count` bytes between guards."""
    return np.full(count + 2 * GUARD, SENTINEL, np.int8)


def inside(buffer: Int8) -> int:
    """Address behind the first guard."""
    return int(buffer.ctypes.data) + GUARD


def checked(buffer: Int8) -> Int8:
    """What lies between the guards, which must be whole."""
    assert np.all(buffer[:GUARD] == SENTINEL), "wrote before its buffer"
    assert np.all(buffer[-GUARD:] == SENTINEL), "wrote behind its buffer"
    return buffer[GUARD:-GUARD]
