"""QEMU plugins: compiled on first use, kept in the cache, refused where this QEMU speaks another interface."""

import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import build, tools

_FLAGS = ("-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-std=c11", "-Wall", "-Wextra")


def library(name: str, sources: Sequence[str], headers: Sequence[str] = ()) -> Path:
    """The plugin made of `sources`, C files of this package, compiled into the cache on first use.

    Raises:
        ToolMissingError: where gcc or QEMU is not installed.
        FirmwareError: where QEMU's plugin interface is not version 1, the only one supported.
    """
    version = tools.find("qemu-system-arm").version
    number = re.search(r"version (\d+)\.", version)
    if number and int(number.group(1)) >= 9:
        raise FirmwareError(
            f"the {name} plugin is written for QEMU's plugin interface 1 (QEMU 4.2 to 8.2), this is {version}",
            hint="run without it, or install QEMU 7 or 8",
        )
    compiler = tools.find("gcc")
    digest = hashlib.sha256("\0".join((compiler.version, *_FLAGS)).encode())
    for file in (*sources, *headers):
        digest.update(b"\0" + (build.SUPPORT / file).read_bytes())
    made = build.cache_dir() / f"{name}-{digest.hexdigest()}.so"
    if not made.is_file():
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent, prefix="building-") as scratch:
            aside = Path(scratch) / "plugin.so"
            command = [str(compiler.path), *_FLAGS, *(str(build.SUPPORT / file) for file in sources)]
            build.call([*command, "-o", str(aside)], f"compiling the {name} plugin")
            os.replace(aside, made)  # noqa: PTH105 - atomic
    return made


def in_folder(folder: Path, file: str) -> Path:
    """A file in `folder` that QEMU can be told of.

    Raises:
        FirmwareError: where a comma or a space in its name would end the plugin's argument.
    """
    if "," in str(folder) or any(symbol.isspace() for symbol in str(folder)):
        raise FirmwareError(f"{folder}: QEMU takes no plugin files from a folder with a comma or a space in its name")
    return folder / file
