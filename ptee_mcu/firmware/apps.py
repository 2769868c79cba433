"""Applications of a bare project, linked for a board or for the emulated machine that stands for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import build, layout, tools
from ptee_mcu.firmware.app_kind import App, Output
from ptee_mcu.firmware.elf import read_elf
from ptee_mcu.firmware.layout import Spare
from ptee_mcu.firmware.machines import Machine
from ptee_mcu.firmware.uart import Uart
from ptee_mcu.target import Target

_OWN = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
_COMPILER = "arm-none-eabi-gcc"
_BOARD = ("startup.c", "cycles.c", "uart.c")
OWN_BOARD = "board.c"  # the user's file beside them: board_init, uart_init, uart_putc, uart_getc
_SOURCES = {App.SELFTEST: ("selftest.c", "golden.c"), App.MEASURE: ("measure.c",)}


@dataclass(frozen=True, slots=True)
class Bare:
    """A network `name` that was emitted to `project`, and its bare project in `folder`, for `target`."""

    project: Path
    folder: Path
    name: str
    target: Target
    defines: tuple[str, ...] = ()  # of the board: emit_project.board_defines


@dataclass(frozen=True, slots=True)
class Emulated:
    """An application for a machine; `same`: it is to the last bit what the board would be given."""

    elf: Path
    machine: Machine
    same: bool


def for_board(bare: Bare, app: App, out: Path, *, output: Output, uart: Uart) -> Path:
    """Links `app` for the board by its own linker script to `out`, with the user's board.c where there is one.

    Raises:
        ToolMissingError: where arm-none-eabi-gcc is not installed.
        FirmwareError: where a file is missing, or it does not compile, or does not fit the board.
    """
    return _linked(bare, app, out, output, uart, _script(bare), own_board=True)


def for_machine(bare: Bare, app: App, out: Path, machine: Machine, *, output: Output, uart: Uart) -> Emulated:
    """Links `app` for `machine`: as for the board where all it uses is there, else with its memories moved.

    The user's board.c, whose peripherals the machine lacks, is left out.

    Raises:
        ToolMissingError, FirmwareError: as `for_board`.
    """
    elf = _linked(bare, app, out, output, uart, _script(bare), own_board=False)
    if _fits(elf, bare.target, machine):
        return Emulated(elf, machine, same=True)
    moved = layout.emulated(bare.target, machine, _script(bare).read_text(encoding="utf-8"), Spare()).script
    script = out.with_suffix(".ld")
    script.write_text(moved, encoding="utf-8")
    return Emulated(_linked(bare, app, out, output, uart, script, own_board=False), machine, same=False)


def _fits(elf: Path, target: Target, machine: Machine) -> bool:
    """Whether code begins where the machine looks for it, and every section lies in one of its memories."""

    def inside(start: int, end: int) -> bool:
        return any(bank.base <= start and end <= bank.base + bank.nbytes for bank in machine.banks)

    sections = read_elf(elf).sections
    return target.code_region.base == machine.flash_base and all(
        inside(s.address, s.address + s.nbytes) for s in sections
    )


def _script(bare: Bare) -> Path:
    return _present(bare.project / f"{bare.name}.ld", bare)


def _present(path: Path, bare: Bare) -> Path:
    if not path.is_file():
        raise FirmwareError(
            f"{path.name} is missing in {path.parent}: no bare project of {bare.name!r}", hint="build it again"
        )
    return path


def _linked(bare: Bare, app: App, out: Path, output: Output, uart: Uart, script: Path, *, own_board: bool) -> Path:
    files = [*_SOURCES[app], *_BOARD, f"output_{_output(app, output)}.c"]
    if own_board and (bare.folder / OWN_BOARD).is_file():
        files.append(OWN_BOARD)
    elif uart.driver:
        files.append(f"uart_{uart.driver}.c")
    network = build.sources_in(bare.project)
    own = [*network.own, *(_present(bare.folder / name, bare) for name in files)]
    architecture = (*bare.target.flags, "-mthumb", "-masm-syntax-unified")
    flags = (*architecture, "-O3", "-ffunction-sections", "-fdata-sections")
    libraries: list[Path] = []
    if network.third_party:
        chain = build.Toolchain(_COMPILER, flags)
        libraries.append(build.archive(chain, network.third_party, network.third_party_include_dirs))
    command = [
        str(tools.find(_COMPILER).path),
        *flags,
        *_OWN,
        *_included(bare, network.third_party_include_dirs),
        *(f"-D{define}" for define in (*bare.defines, *uart.defines)),
        *map(str, [*own, *libraries]),
        "-nostartfiles",
        f"-Wl,-T,{script}",
        "-Wl,--gc-sections",
        "-o",
        str(out),
    ]
    build.call(command, f"building {app} for {bare.target.name}")
    return out


def _output(app: App, output: Output) -> Output:
    """Where `app` writes: the frames of `measure` leave a UART only."""
    return Output.UART if app is App.MEASURE else output


def _included(bare: Bare, third_party: Sequence[Path]) -> Iterable[str]:
    return (f"-I{bare.project}", f"-I{bare.folder}", *(f"-isystem{folder}" for folder in third_party))
