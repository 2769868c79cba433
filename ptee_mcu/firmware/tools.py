"""The programs and optional packages that compiling and running C needs: found, or how to get them."""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ptee_mcu.errors import ToolMissingError

ARM_INSTALL = "apt-get install -y --no-install-recommends gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
_HOST_INSTALL = "apt-get install -y --no-install-recommends gcc libc6-dev"

# program: what needs it, how to get it
_PROGRAMS = {
    "gcc": ("run and compare on the host, counting plugin", _HOST_INSTALL),
    "arm-none-eabi-gcc": ("firmware for Cortex-M", ARM_INSTALL),
    "arm-none-eabi-objdump": ("flash and RAM of firmware", ARM_INSTALL),
    "arm-none-eabi-nm": ("flash and RAM per symbol, instruction counts", ARM_INSTALL),
    "qemu-system-arm": ("run and compare on an emulated Cortex-M", ARM_INSTALL),
}
# distribution: module, what needs it, how to get it
_PACKAGES = {
    "bakenn": ("bakenn", "CMSIS-NN 4.0.0 sources", "pip install 'ptee-mcu[cmsis]'"),
    "torch": (
        "torch",
        "PyTorch models, training",
        "pip install torch --index-url https://download.pytorch.org/whl/cpu",
    ),
    "tflite": ("tflite", "TFLite models", "pip install 'ptee-mcu[tflite]'"),
    "onnx": ("onnx", "ONNX models", "pip install 'ptee-mcu[onnx]'"),
    "tensorflow-cpu": ("tensorflow", "Keras models", "pip install 'ptee-mcu[tensorflow]'"),
    "pyocd": ("pyocd", "flashing a board", "pip install 'ptee-mcu[flash]'"),
}


@dataclass(frozen=True, slots=True)
class Tool:
    """An installed program; `version` is the first line it prints about itself."""

    path: Path
    version: str


@dataclass(frozen=True, slots=True)
class ToolStatus:
    """A line of `ptee-mcu doctor`; `version` is None where the tool is missing."""

    name: str
    version: str | None
    needed_for: str
    install: str

    @property
    def found(self) -> bool:
        """True where it is installed."""
        return self.version is not None


def find(name: str) -> Tool:
    """The installed program `name`.

    Raises:
        ToolMissingError: where it is not on the PATH; the hint is the command that installs it.
    """
    path = shutil.which(name)
    if path is None:
        needed_for, install = _PROGRAMS[name]
        raise ToolMissingError(f"{name} is not installed; needed for: {needed_for}", hint=install)
    return Tool(Path(path), _version(path))


def survey() -> tuple[ToolStatus, ...]:
    """What is installed and what is missing: every program and optional package."""
    programs = []
    for name, (needed_for, install) in _PROGRAMS.items():
        path = shutil.which(name)
        programs.append(ToolStatus(name, _short(_version(path)) if path else None, needed_for, install))
    packages = []
    for name, (module, needed_for, install) in _PACKAGES.items():
        packages.append(ToolStatus(name, _package_version(name, module), needed_for, install))
    return (*programs, *packages)


@cache
def _version(path: str) -> str:
    output = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=30).stdout
    return output.splitlines()[0].strip() if output.strip() else "unknown"


def _short(version: str) -> str:
    number = re.search(r"\d+\.\d+(\.\d+)?", re.sub(r"\([^)]*\)", "", version))
    return number.group() if number else version


def _package_version(distribution: str, module: str) -> str | None:
    # find_spec on a top-level name does not import it.
    if importlib.util.find_spec(module) is None:
        return None
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
