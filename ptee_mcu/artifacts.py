"""A set of generated files: its digest, and writing it so that nothing is lost."""

import ctypes
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ptee_mcu.errors import PteeError

MANIFEST = "manifest.json"

# Source: Linux include/uapi/linux/fcntl.h (AT_FDCWD) and fs.h (RENAME_EXCHANGE).
_HERE = -100
_EXCHANGE = 2


@dataclass(frozen=True, slots=True, eq=False)
class Artifacts:
    """Files by relative POSIX path; manifest.json among them lists the SHA-256 of all others."""

    files: Mapping[str, str | bytes]

    def digest(self) -> str:
        """SHA-256 over all paths and contents, in hexadecimal."""
        total = hashlib.sha256()
        for path in sorted(self.files):
            content = encoded(self.files[path])
            total.update(f"{path}\0{len(content)}\0".encode() + content)
        return total.hexdigest()

    def with_files(self, more: Mapping[str, str | bytes]) -> "Artifacts":
        """The same and `more` files, listed in the manifest."""
        facts = json.loads(encoded(self.files[MANIFEST]))
        del facts["files"]
        return with_manifest({path: self.files[path] for path in self.files if path != MANIFEST} | dict(more), facts)

    def write(self, folder: Path) -> None:
        """Puts the files into `folder`, replacing a previous build as a whole.

        They are written beside `folder`, then renamed: interrupted, the previous build stays as it was. Files that the
        previous manifest does not list are somebody else's and are kept.

        Raises:
            PteeError: naming the path, where it cannot be written, or `folder` holds files but no build.
        """
        folder = folder.resolve()
        require_replaceable(folder)
        kept = _foreign_files(folder, self.files)
        aside = folder.with_name(f".{folder.name}.new-{os.getpid()}")
        try:
            shutil.rmtree(aside, ignore_errors=True)
            for path in kept:
                _make_room(aside / path)
                shutil.copy2(folder / path, aside / path, follow_symlinks=False)
            for path, content in self.files.items():
                _make_room(aside / path)
                (aside / path).write_bytes(encoded(content))
            _swap(aside, folder)
        except OSError as error:
            raise PteeError(
                f"{error.filename or folder}: cannot be written: {error.strerror}",
                hint=f"free space or permit writing in {folder.parent}, or choose another output folder",
            ) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def with_manifest(files: Mapping[str, str | bytes], facts: Mapping[str, object]) -> Artifacts:
    """`files` and a manifest of `facts` and the SHA-256 of each of them."""
    hashes = {path: hashlib.sha256(encoded(files[path])).hexdigest() for path in sorted(files)}
    manifest = json.dumps({**facts, "files": hashes}, indent=2, sort_keys=True, allow_nan=False) + "\n"
    return Artifacts(MappingProxyType({**files, MANIFEST: manifest}))


def encoded(content: str | bytes) -> bytes:
    """The bytes of a file; text is UTF-8."""
    return content if isinstance(content, bytes) else content.encode()


def _make_room(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)


def require_replaceable(folder: Path) -> None:
    """Refuses an output folder that `Artifacts.write` would refuse, before hours of work go into what it should hold.

    Raises:
        PteeError: where `folder` is a file, or holds files but no build, or cannot be made or replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise PteeError(f"{folder}: is a file, not a folder", hint="choose another output folder")
    if folder.is_dir() and any(folder.iterdir()):
        _listed(folder)
    place = next(parent for parent in folder.resolve().parents if parent.exists())
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        raise PteeError(f"{folder}: {place} cannot be written", hint="choose another output folder")


def _listed(folder: Path) -> frozenset[str]:
    """Files that the earlier build in `folder` wrote."""
    try:
        return frozenset(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]) | {MANIFEST}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PteeError(
            f"{folder}: is not empty and holds no {MANIFEST} of an earlier build",
            hint="choose an empty or a new output folder",
        ) from error


def _foreign_files(folder: Path, new: Mapping[str, str | bytes]) -> list[str]:
    """Files in `folder` that neither its manifest lists nor `new` replaces."""
    found = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if not path.is_dir()]
    listed = _listed(folder) if found else frozenset()
    return [path for path in found if path not in listed and path not in new]


def _swap(aside: Path, folder: Path) -> None:
    """Puts `aside` in the place of `folder`; where the system can exchange two folders, in one indivisible step."""
    if not folder.exists():
        aside.rename(folder)
        return
    if _exchange(aside, folder):
        return  # the caller removes what is aside now
    old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    folder.rename(old)
    try:
        aside.rename(folder)
    except BaseException:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(a: Path, b: Path) -> bool:
    """True where Linux's renameat2 swapped the two names; False where it is not to be had."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if renameat2 is None:
        return False
    done: int = renameat2(_HERE, os.fsencode(a), _HERE, os.fsencode(b), _EXCHANGE)
    return done == 0
