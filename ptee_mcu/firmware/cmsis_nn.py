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

PATH_VARIABLE = "CMSIS_NN_PATH"
SUPPORTED = ("4.0.0",)

# `$Revision` of Include/arm_nnfunctions.h; the library has no version macro.
_RELEASES = {
    "11.2.0": "4.0.0",
    "11.3.0": "4.1.0",
    "12.4.0": "5.0.0",
    "16.0.0": "6.0.0",
    "18.0.0": "7.0.0",
    "19.1.0": "later than 7.0.0",
}
_LICENSES = ("LICENSE.txt", "LICENSE")
# Provenance and the support file that whoever ships these sources ships too.
_CARRIED = ("BAKENN_PROVENANCE.md", "Source/NNSupportFunctions/bakenn_cmsis_memory.c")
_CORE_HEADERS = ("cmsis_compiler.h", "cmsis_gcc.h")
_CORE_FOLDERS = ("cmsis_core", "Core", "CMSIS/Core")

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_DEFINITION = re.compile(r"^(?!static\b)[A-Za-z_][\w \t*()\n]*?\b(\w+)[ \t]*\(([^;{}()]*)\)\s*\{", re.MULTILINE)
_CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")


@dataclass(frozen=True, slots=True)
class Location:
    """An unpacked CMSIS-NN and the CMSIS-Core it includes."""

    folder: Path
    core: Path
    release: str


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
        return ("Include", "Core/Include")


def locate(folder: Path | None = None) -> Location:
    """CMSIS-NN in `folder`, else where CMSIS_NN_PATH says, else in the installed bakenn package (not imported).

    Raises:
        ToolMissingError: where there is none, its release is not supported, or CMSIS-Core is not beside it.
    """
    named = os.environ.get(PATH_VARIABLE)
    if folder is None and named:
        folder = Path(named)
    if folder is None:
        spec = importlib.util.find_spec("bakenn")
        if spec is None or not spec.submodule_search_locations:
            raise ToolMissingError(
                "CMSIS-NN sources are not installed",
                hint=f"pip install 'ptee-mcu[cmsis]', or set {PATH_VARIABLE} to a CMSIS-NN {SUPPORTED[0]} folder",
            )
        folder = Path(spec.submodule_search_locations[0]) / "backend" / "cmsis_nn" / "vendor" / "cmsis_nn"
    found = release(folder)
    if found not in SUPPORTED:
        raise ToolMissingError(
            f"{folder}: CMSIS-NN is release {found}; supported: {', '.join(SUPPORTED)}",
            hint=f"unset {PATH_VARIABLE} and pip install 'ptee-mcu[cmsis]', which carries {SUPPORTED[0]}",
        )
    for name in _CORE_FOLDERS:
        core = folder.parent / name
        if all((core / "Include" / header).is_file() for header in _CORE_HEADERS):
            return Location(folder, core, found)
    raise ToolMissingError(
        f"{folder}: CMSIS-NN {found} needs {' and '.join(_CORE_HEADERS)} of CMSIS-Core in a folder beside it",
        hint=f"unpack CMSIS-Core as {folder.parent / _CORE_FOLDERS[0]}",
    )


def release(folder: Path) -> str:
    """Release of the CMSIS-NN in `folder`, by `$Revision` of its public header.

    Raises:
        ToolMissingError: where `folder` holds no CMSIS-NN, or one of an unknown revision.
    """
    header = folder / "Include" / "arm_nnfunctions.h"
    if not header.is_file():
        raise ToolMissingError(
            f"{folder} holds no CMSIS-NN: Include/arm_nnfunctions.h is missing",
            hint="name the folder that has Include/ and Source/",
        )
    match = re.search(r"\$Revision:\s*V\.?\s*([\d.]+)", header.read_text(encoding="utf-8", errors="replace"))
    revision = match.group(1) if match else "none"
    if revision not in _RELEASES:
        raise ToolMissingError(
            f"{header}: revision {revision} belongs to no known release of CMSIS-NN",
            hint=f"supported: {', '.join(SUPPORTED)}",
        )
    return _RELEASES[revision]


def sources_for(symbols: Iterable[str], folder: Path | None = None) -> SourceSet:
    """The C files that define `symbols` and, transitively, what those call; all headers, licences and provenance.

    The closure is over every instruction set: a file that a Cortex-M4 leaves empty is still in it.

    Raises:
        ToolMissingError: as `locate`; or where no source file defines one of `symbols`.
    """
    location = locate(folder)
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
    headers = [path.relative_to(folder).as_posix() for path in sorted((folder / "Include").glob("*.h"))]
    names = sorted({*wanted, *carried, *headers})
    files = {name: (folder / name).read_bytes() for name in names}
    for name in (*(f"Include/{header}" for header in _CORE_HEADERS), *_LICENSES):
        if (location.core / name).is_file():
            files[f"Core/{name}"] = (location.core / name).read_bytes()
    return SourceSet(location.release, MappingProxyType(files))


def functions(folder: Path | None = None) -> frozenset[str]:
    """Every public function that some source file defines."""
    return frozenset(_index(locate(folder).folder).defined_in)


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
