"""C files in, executables out: gcc with sanitizers for the host, arm-none-eabi-gcc for a machine."""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import layout, tools
from ptee_mcu.firmware.layout import Layout
from ptee_mcu.firmware.machines import Machine

CACHE_VARIABLE = "PTEE_CACHE"
SUPPORT = Path(__file__).parent  # C files of this package

_OWN_FLAGS = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion")
_THIRD_PARTY_FLAGS = ("-std=c11", "-w")
_SECTIONS = ("-ffunction-sections", "-fdata-sections")
_STARTUP = ("startup.c", "semihost.c")

_SANITIZE = ("-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
# arm_nn_divide_by_power_of_two (CMSIS-NN 4.0.0) forms (1 << exponent) - 1 for exponents up to 31, which shifts into the
# sign and then overflows. In third-party files these two checks report and go on; firmware/run.py lets that one report
# pass and treats any other as a failure, so that an accumulator that overflows is still found.
_SANITIZE_THIRD_PARTY = (*_SANITIZE, "-fsanitize-recover=shift,signed-integer-overflow")

_HOST_THIRD_PARTY = ("-include", "stdint.h")  # CMSIS-NN 4.1.0 includes it on Arm only and uses it everywhere


@dataclass(frozen=True, slots=True)
class CSources:
    """The C of one program. `third_party` is compiled without warnings and cached as a static archive.

    `prelude` are headers included ahead of every file in `own`; `defines` (NAME or NAME=VALUE) reach `own` only.
    """

    own: tuple[Path, ...]
    include_dirs: tuple[Path, ...] = ()
    third_party: tuple[Path, ...] = ()
    third_party_include_dirs: tuple[Path, ...] = ()
    defines: tuple[str, ...] = ()
    prelude: tuple[Path, ...] = ()

    def __add__(self, other: "CSources") -> "CSources":
        """Both as one program."""
        return CSources(
            self.own + other.own,
            self.include_dirs + other.include_dirs,
            self.third_party + other.third_party,
            self.third_party_include_dirs + other.third_party_include_dirs,
            self.defines + other.defines,
            self.prelude + other.prelude,
        )


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A compiler with the flags that say for what it compiles."""

    compiler: str
    flags: tuple[str, ...]
    own_flags: tuple[str, ...] = ()
    third_party_flags: tuple[str, ...] = ()
    include_dirs: tuple[Path, ...] = ()


def sources_in(folder: Path) -> CSources:
    """An emitted project: our C files at the top of `folder`, CMSIS-NN in its cmsis_nn/."""
    library = folder / "cmsis_nn"
    return CSources(
        own=tuple(sorted(folder.glob("*.c"))),
        include_dirs=(folder,),
        third_party=tuple(sorted(library.rglob("*.c"))),
        third_party_include_dirs=(library / "Include", library / "Core" / "Include"),
    )


def compile_host(sources: CSources, out_exe: Path, *, sanitize: bool = True, optimize: str = "-O2") -> Path:
    """Links `sources` with gcc to `out_exe`, with AddressSanitizer and UBSan unless told otherwise.

    Raises:
        ToolMissingError: where gcc is not installed.
        FirmwareError: where it does not compile or link; the message holds what gcc said.
    """
    chain = Toolchain(
        "gcc",
        (optimize, *_SECTIONS),
        own_flags=_SANITIZE if sanitize else (),
        third_party_flags=(*_HOST_THIRD_PARTY, *(_SANITIZE_THIRD_PARTY if sanitize else ())),
        include_dirs=(_host_include_dir(),),
    )
    link = ("-Wl,--gc-sections", *(_SANITIZE if sanitize else ()))
    return _link(chain, sources, out_exe, link)


def compile_arm(
    sources: CSources, out_elf: Path, *, machine: Machine, on: Layout | None = None, optimize: str = "-O3"
) -> Path:
    """Links `sources` with startup code and semihosting for `machine` to `out_elf`.

    `on`: flags and memories, those of the machine itself where None.

    Raises:
        ToolMissingError: where arm-none-eabi-gcc is not installed.
        FirmwareError: where it does not compile, or does not fit the machine; the message holds what the tool said.
    """
    chosen = on or layout.bare(machine)
    architecture = (*chosen.flags, "-mthumb", "-masm-syntax-unified")
    chain = Toolchain("arm-none-eabi-gcc", (*architecture, optimize, *_SECTIONS))
    spans = ",".join(f"{bank.base:#x},{bank.base + bank.nbytes:#x}" for bank in chosen.writable)
    support = CSources(
        own=tuple(SUPPORT / name for name in _STARTUP), include_dirs=(SUPPORT,), defines=(f"PTEE_WRITABLE={spans}",)
    )
    out_elf.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_elf.parent, prefix="linking-") as scratch:
        script = Path(scratch) / "layout.ld"
        script.write_text(chosen.script, encoding="utf-8")
        link = (
            *architecture,
            "-nostartfiles",
            "-Wl,-e,ptee_reset",
            f"-Wl,-T,{script}",
            "-Wl,--gc-sections",
        )
        return _link(chain, sources + support, out_elf, link)


def archive(chain: Toolchain, sources: Sequence[Path], include_dirs: Sequence[Path]) -> Path:
    """Static archive of third-party `sources`, from the cache where it was made before.

    The key is the SHA-256 of every source, every header in `include_dirs`, the flags and the compiler's version.
    """
    compiler = tools.find(chain.compiler)
    flags = (*chain.flags, *_THIRD_PARTY_FLAGS, *chain.third_party_flags)
    headers = [header for folder in include_dirs for header in sorted(folder.rglob("*.h"))]
    digest = hashlib.sha256("\0".join((compiler.version, *flags)).encode())
    for path in (*sources, *headers):
        content = path.read_bytes()
        digest.update(f"\0{path.name}\0{len(content)}\0".encode() + content)
    made = cache_dir() / f"lib{digest.hexdigest()}.a"
    if made.is_file():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=made.parent, prefix="building-") as scratch:
        folder = Path(scratch)
        includes = [f"-I{path}" for path in (*chain.include_dirs, *include_dirs)]
        objects = _compile(compiler.path, sources, [*flags, *includes], folder)
        aside = folder / "archive.a"
        archiver = call([str(compiler.path), "-print-prog-name=ar"], "finding ar").strip()
        call([archiver, "rcsD", str(aside), *map(str, objects)], "archive")
        os.replace(aside, made)  # noqa: PTH105 - atomic also where another process made it meanwhile
    return made


def cache_dir() -> Path:
    """Where archives and the counting plugin are kept: PTEE_CACHE, else ptee-mcu in the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ptee-mcu"


def call(command: Sequence[str], what: str) -> str:
    """Standard output of `command`.

    Raises:
        FirmwareError: where it fails; the message holds the last lines it printed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-30:])
        raise FirmwareError(f"{what} failed ({Path(command[0]).name} exit code {done.returncode}):\n{said}")
    return done.stdout


def _link(chain: Toolchain, sources: CSources, out: Path, link: Iterable[str]) -> Path:
    compiler = tools.find(chain.compiler).path
    libraries = []
    if sources.third_party:
        libraries.append(archive(chain, sources.third_party, sources.third_party_include_dirs))
    flags = [*chain.flags, *_OWN_FLAGS, *chain.own_flags]
    flags += [f"-I{path}" for path in sources.include_dirs]
    # As system headers, so that our own warnings do not judge them.
    flags += [f"-isystem{path}" for path in (*sources.third_party_include_dirs, *chain.include_dirs)]
    flags += [f"-D{define}" for define in sources.defines]
    for header in sources.prelude:
        flags += ["-include", str(header)]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix="building-") as scratch:
        objects = _compile(compiler, sources.own, flags, Path(scratch))
        aside = Path(scratch) / out.name
        inputs = [*map(str, objects), *map(str, libraries)]
        call([str(compiler), *inputs, *link, "-o", str(aside)], f"linking {out.name}")
        os.replace(aside, out)  # noqa: PTH105 - atomic
    return out


def _compile(compiler: Path, sources: Sequence[Path], flags: Sequence[str], folder: Path) -> list[Path]:
    def one(index: int) -> Path:
        made = folder / f"{index:03}-{sources[index].stem}.o"
        call([str(compiler), *flags, "-c", str(sources[index]), "-o", str(made)], f"compiling {sources[index].name}")
        return made

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(one, range(len(sources))))


def _host_include_dir() -> Path:
    """Folder with the header that CMSIS-NN 4.0.0 includes and that no x86 gcc has; nothing of it is used there."""
    folder = cache_dir() / "host-include"
    folder.mkdir(parents=True, exist_ok=True)
    header = folder / "arm_acle.h"
    if not header.is_file():
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as aside:
            aside.write("/* Intentionally empty: Arm intrinsics do not exist on this host. */\n")
        os.replace(aside.name, header)  # noqa: PTH105 - atomic
    return folder
