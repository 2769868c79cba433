"""CMSIS-NN sources: where they are, which release, and the files that a set of functions needs."""

import importlib.util
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ptee_mcu.errors import ToolMissingError
from ptee_mcu.firmware import releases
from ptee_mcu.firmware.releases import CARRIED, release
from ptee_mcu.firmware.tools import ToolStatus

PATH_VARIABLE = "CMSIS_NN_PATH"

_LICENSES = ("LICENSE.txt", "LICENSE")
# Provenance and the support file that whoever ships these sources ships too.
_CARRIED = ("BAKENN_PROVENANCE.md", "Source/NNSupportFunctions/bakenn_cmsis_memory.c")
_CORE_HEADERS = ("cmsis_compiler.h", "cmsis_gcc.h")
_INSTALL = "pip install 'ptee-mcu[cmsis]'"

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_DEFINITION = re.compile(r"^(?!static\b)[A-Za-z_][\w \t*()\n]*?\b(\w+)[ \t]*\(([^;{}()]*)\)\s*\{", re.MULTILINE)
_CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")


@dataclass(frozen=True, slots=True)
class Location:
    """An unpacked CMSIS-NN and the CMSIS-Core it includes; None where its release needs none."""

    folder: Path
    core: Path | None
    release: str

    @property
    def include_dirs(self) -> tuple[Path, ...]:
        """Folders for the include path."""
        return (self.folder / "Include", *((self.core / "Include",) if self.core else ()))


@dataclass(frozen=True, slots=True)
class SourceSet:
    """Files to ship and compile: paths relative to one folder, which becomes OUT/cmsis_nn/."""

    release: str
    files: Mapping[str, bytes]

    @property
    def c_files(self) -> tuple[str, ...]:
        """The files to compile."""
        return tuple(path for path in self.files if path.endswith(".c"))

    @property
    def include_dirs(self) -> tuple[str, ...]:
        """Folders for the include path."""
        core = any(path.startswith("Core/") for path in self.files)
        return ("Include", "Core/Include") if core else ("Include",)


def locate(where: Path | None = None) -> Location:
    """CMSIS-NN in the folder `where`, or in the pack of that version; else the first that there is of these.

    The folder or version that CMSIS_NN_PATH names; the installed bakenn package (not imported), which carries 4.0.0;
    the newest pack of a supported release in the CMSIS-Pack cache.

    Raises:
        ToolMissingError: where there is none, its release is not supported, or CMSIS-Core is missing and needed.
    """
    named = os.environ.get(PATH_VARIABLE)
    if where is None and named:
        where = Path(named)
    if where is None:
        where = _carried() or _newest_pack()
    elif releases.is_version(str(where)) and not where.is_dir():
        where = releases.pack_of(str(where))
    found = release(where)
    return Location(where, _core(where) if releases.needs_core(found) else None, found)


def status(where: Path | None = None) -> ToolStatus:
    """The line of `ptee-mcu doctor` about the CMSIS-NN that `locate(where)` finds.

    Raises:
        ToolMissingError: as `locate`, where `where` is given; without it, what is missing is the line's `install`.
    """
    needed_for = "C that runs on a Cortex-M or this host"
    try:
        location = locate(where)
    except ToolMissingError:
        if where is not None:
            raise
        return ToolStatus("CMSIS-NN", None, needed_for, _INSTALL)
    version = f"{location.release}, sources {releases.source_hash(location.folder)[:12]}, in {location.folder}"
    return ToolStatus("CMSIS-NN", version, needed_for, _INSTALL)


def _carried() -> Path | None:
    spec = importlib.util.find_spec("bakenn")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "backend" / "cmsis_nn" / "vendor" / "cmsis_nn"


def _newest_pack() -> Path:
    for version, folder in reversed(tuple(releases.packs().items())):
        if version in releases.SUPPORTED:
            return folder
    raise ToolMissingError(
        "CMSIS-NN sources are not installed",
        hint=f"{_INSTALL}, which carries {CARRIED}; or set {PATH_VARIABLE} to a folder of "
        f"{', '.join(releases.SUPPORTED)}; or add one to {releases.pack_root()} with cpackget",
    )


def _core(folder: Path) -> Path:
    candidates = releases.cores_beside(folder)
    for core in candidates:
        if all((core / "Include" / header).is_file() for header in _CORE_HEADERS):
            return core
    raise ToolMissingError(
        f"{folder}: CMSIS-NN {CARRIED} needs {' and '.join(_CORE_HEADERS)} of CMSIS-Core in a folder beside it",
        hint=f"unpack CMSIS-Core as {candidates[0]}; later releases need none",
    )


def sources_for(symbols: Iterable[str], where: Path | None = None) -> SourceSet:
    """The C files that define `symbols` and, transitively, what those call; all headers, licences and provenance.

    The closure is over every instruction set: a file that a Cortex-M4 leaves empty is still in it.

    Raises:
        ToolMissingError: as `locate`; or where no source file defines one of `symbols`.
    """
    location = locate(where)
    index = _index(location.folder)
    wanted: set[str] = set()
    for symbol in sorted(symbols):
        if symbol not in index.defined_in:
            raise ToolMissingError(
                f"{symbol}: CMSIS-NN {location.release} in {location.folder} has no source that defines it",
                hint="emit this operation as own C instead",
            )
        wanted |= index.closure(symbol)
    folder = location.folder
    carried = [name for name in (*_LICENSES, *_CARRIED) if (folder / name).is_file()]
    headers = [path.relative_to(folder).as_posix() for path in sorted((folder / "Include").rglob("*.h"))]
    names = sorted({*wanted, *carried, *headers})
    files = {name: (folder / name).read_bytes() for name in names}
    if location.core:
        for name in (*(f"Include/{header}" for header in _CORE_HEADERS), *_LICENSES):
            if (location.core / name).is_file():
                files[f"Core/{name}"] = (location.core / name).read_bytes()
    return SourceSet(location.release, MappingProxyType(files))


def functions(where: Path | None = None) -> frozenset[str]:
    """Every public function that some source file defines."""
    return frozenset(_index(locate(where).folder).defined_in)


@dataclass(frozen=True, slots=True)
class _Index:
    defined_in: Mapping[str, str]  # function: file
    needs: Mapping[str, frozenset[str]]  # file: files

    def closure(self, symbol: str) -> set[str]:
        """Files that `symbol` needs, its own included."""
        files: set[str] = set()
        waiting = [self.defined_in[symbol]]
        while waiting:
            name = waiting.pop()
            if name not in files:
                files.add(name)
                waiting.extend(self.needs[name])
        return files


@cache
def _index(folder: Path) -> _Index:
    texts = {
        path.relative_to(folder).as_posix(): _COMMENT.sub(" ", path.read_text(encoding="utf-8", errors="replace"))
        for path in sorted((folder / "Source").rglob("*.c"))
    }
    defined_in = {symbol: name for name, text in texts.items() for symbol in _defined(text)}
    # Inline functions of the support header may call a library function: then every file needs it.
    inline = _COMMENT.sub(" ", (folder / "Include" / "arm_nnsupportfunctions.h").read_text(encoding="utf-8"))
    from_header = {defined_in[call] for call in _inline_calls(inline) if call in defined_in}
    needs = {
        name: frozenset({defined_in[call] for call in _CALL.findall(text) if call in defined_in} | from_header) - {name}
        for name, text in texts.items()
    }
    return _Index(defined_in, needs)


def _defined(text: str) -> Iterator[str]:
    for match in _DEFINITION.finditer(text):
        if not match.group().startswith(("if", "for", "while", "switch", "else")):
            yield match.group(1)


def _inline_calls(text: str) -> Iterator[str]:
    # A body opens after `)` and closes with a brace in the first column.
    for body in re.findall(r"\)\s*\n\{(.*?)^\}", text, re.DOTALL | re.MULTILINE):
        yield from _CALL.findall(body)
