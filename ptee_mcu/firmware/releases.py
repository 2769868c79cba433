"""Releases of CMSIS-NN: which a folder holds, which are supported, which the CMSIS-Pack cache has, and their hash."""

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ptee_mcu.errors import ToolMissingError

CARRIED = "4.0.0"  # the release that the package of the extra `cmsis` carries
LATEST = "later than 7.0.0"
PACK_VARIABLE = "CMSIS_PACK_ROOT"

# `$Revision` of Include/arm_nnfunctions.h; the library has no version macro.
_REVISIONS: Mapping[str, str] = MappingProxyType(
    {
        "11.2.0": CARRIED,
        "11.3.0": "4.1.0",
        "12.4.0": "5.0.0",
        "16.0.0": "6.0.0",
        "18.0.0": "7.0.0",
        "19.1.0": LATEST,
    }
)
SUPPORTED = tuple(_REVISIONS.values())

_HEADER = Path("Include") / "arm_nnfunctions.h"
_REVISION = re.compile(r"\$Revision:\s*V\.?\s*([\d.]+)")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def release(folder: Path) -> str:
    """Release of the CMSIS-NN in `folder`, by `$Revision` of its public header.

    Raises:
        ToolMissingError: where `folder` holds no CMSIS-NN, or one that is not supported.
    """
    header = folder / _HEADER
    if not header.is_file():
        raise ToolMissingError(
            f"{folder} holds no CMSIS-NN: {_HEADER.as_posix()} is missing",
            hint="name the folder that has Include/ and Source/",
        )
    match = _REVISION.search(header.read_text(encoding="utf-8", errors="replace"))
    revision = match.group(1) if match else "none"
    if revision not in _REVISIONS:
        known = ", ".join(f"{name} ({number})" for number, name in _REVISIONS.items())
        raise ToolMissingError(
            f"{header}: revision {revision} belongs to no supported release of CMSIS-NN",
            hint=f"supported, with their revision: {known}",
        )
    return _REVISIONS[revision]


def needs_core(name: str) -> bool:
    """Whether release `name` includes headers of CMSIS-Core."""
    return name == CARRIED


def source_hash(folder: Path) -> str:
    """SHA-256 over the paths and bytes of every header and C file of the CMSIS-NN in `folder`."""
    digest = hashlib.sha256()
    for path in sorted((*(folder / "Include").rglob("*.h"), *(folder / "Source").rglob("*.[ch]"))):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def pack_root() -> Path:
    """The CMSIS-Pack cache: CMSIS_PACK_ROOT, else where CMSIS-Toolbox keeps it.

    Source: CMSIS-Toolbox, installation, environment variables.
    """
    named = os.environ.get(PACK_VARIABLE)
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "Arm" / "Packs"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "arm" / "packs"


def packs() -> Mapping[str, Path]:
    """Packs of CMSIS-NN in the cache by version, oldest first."""
    return MappingProxyType(_versions(pack_root() / "ARM" / "CMSIS-NN"))


def pack_of(version: str) -> Path:
    """The pack of CMSIS-NN `version` in the cache.

    Raises:
        ToolMissingError: where it is not there.
    """
    found = packs()
    if version not in found:
        raise ToolMissingError(
            f"{pack_root()} has no pack of CMSIS-NN {version}; it has {', '.join(found) or 'none'}",
            hint=f"cpackget add ARM::CMSIS-NN@{version}, or name a folder",
        )
    return found[version]


def is_version(text: str) -> bool:
    """Whether `text` is a version, as packs have it, and not a path."""
    return _VERSION.fullmatch(text) is not None


def cores_beside(folder: Path) -> tuple[Path, ...]:
    """Where CMSIS-Core may lie for the CMSIS-NN in `folder`: beside it, or in a pack of CMSIS, newest first."""
    beside = tuple(folder.parent / name for name in ("cmsis_core", "Core", "CMSIS/Core"))
    packed = _versions(folder.parent.parent / "CMSIS") if folder.parent.name == "CMSIS-NN" else {}
    return (*beside, *(pack / "CMSIS" / "Core" for pack in reversed(packed.values())))


def _versions(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    found = [path for path in folder.iterdir() if path.is_dir() and is_version(path.name)]
    return {path.name: path for path in sorted(found, key=lambda path: tuple(map(int, path.name.split("."))))}
