"""Programs that drive an emitted network: the harness for host and machine, and the smallest application."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import build
from ptee_mcu.firmware.build import SUPPORT, CSources
from ptee_mcu.firmware.layout import Layout, Spare, emulated
from ptee_mcu.firmware.machines import Machine
from ptee_mcu.target import Target

# Files, guards and buffers of the harness, beside what the network's application links.
_HARNESS = Spare(main=256 * 1024, other=1024)


@dataclass(frozen=True, slots=True)
class HostProgram:
    """The harness with a network in it, for this computer."""

    path: Path


@dataclass(frozen=True, slots=True)
class Firmware:
    """The harness with a network in it, for a machine."""

    path: Path
    machine: Machine


def build_host(
    project: Path, name: str, out: Path, *, traced: bool = True, sanitize: bool = True, optimize: str = "-O2"
) -> HostProgram:
    """Links network `name` of the emitted `project` with the harness to `out`; `traced`: it can record every op.

    Raises:
        ToolMissingError: where gcc is not installed.
        FirmwareError: where `project` holds no such network, or it does not compile.
    """
    sources = build.sources_in(project) + _sources(project, name, ("harness.c", "io_host.c"), traced=traced)
    return HostProgram(build.compile_host(sources, out, sanitize=sanitize, optimize=optimize))


def build_firmware(
    project: Path,
    name: str,
    out: Path,
    *,
    machine: Machine,
    target: Target | None = None,
    traced: bool = True,
    optimize: str = "-O3",
) -> Firmware:
    """As `build_host`, for `machine`, with the marks that count instructions.

    A network that is not traced executes exactly what an application's would; a traced one adds the call per op.
    Where `target` is given, the network runs as on that board: compiled with its flags, linked by the project's own
    script with its memories moved into the machine's. Where not, all constants lie in the machine's flash and .data.

    Raises:
        ToolMissingError: where arm-none-eabi-gcc is not installed.
        FirmwareError: as `build_host`, and where it does not fit the machine.
    """
    files = ("harness.c", "io_semihost.c", "marks.S")
    sources = build.sources_in(project) + _sources(project, name, files, traced=traced)
    on = _layout(project, name, machine, target, _HARNESS)
    return Firmware(build.compile_arm(sources, out, machine=machine, on=on, optimize=optimize), machine)


def build_footprint(
    project: Path, name: str, out: Path, *, machine: Machine, target: Target | None = None, optimize: str = "-O3"
) -> Path:
    """Links the smallest application around network `name` to `out`: for `memory_use`, not for running.

    Raises:
        ToolMissingError, FirmwareError: as `build_firmware`, also where it does not fit the memories of `target`.
    """
    sources = build.sources_in(project) + _sources(project, name, ("footprint.c",), traced=False)
    on = _layout(project, name, machine, target, Spare())
    return build.compile_arm(sources, out, machine=machine, on=on, optimize=optimize)


def _layout(project: Path, name: str, machine: Machine, target: Target | None, spare: Spare) -> Layout | None:
    if target is None:
        return None
    path = project / f"{name}.ld"
    if not path.is_file():
        raise FirmwareError(
            f"{project} holds no linker script of {name!r}: {name}.ld is missing", hint="build it again"
        )
    return emulated(target, machine, path.read_text(encoding="utf-8"), spare)


def _sources(project: Path, name: str, files: Sequence[str], *, traced: bool) -> CSources:
    header = project / f"{name}.h"
    if not header.is_file():
        raise FirmwareError(f"{project} holds no network {name!r}: {name}.h is missing", hint="build it first")
    defines = [f'PTEE_MODEL_HEADER="{name}.h"', f"PTEE_NAME={name}", f"PTEE_PREFIX={name.upper()}"]
    text = header.read_text(encoding="utf-8")
    if f"{name}_input_u8" in text:
        defines.append("PTEE_TAKES_PIXELS=1")
    if f"#define {name.upper()}_STAGE_BYTES " in text:
        defines.append("PTEE_TAKES_STAGE=1")
    return CSources(
        own=tuple(SUPPORT / file for file in files),
        include_dirs=(SUPPORT,),
        defines=tuple(defines),
        prelude=(SUPPORT / "harness_trace.h",) if traced else (),
    )
