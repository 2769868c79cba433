"""What a firmware executes and reads between two marks, block by block, through a QEMU plugin.

Blocks with their executions and taken exits, and per block and window of addresses the bytes read and written and the
lines that a board's caches missed: all that pricing needs (ptee_mcu.cycles.price). The same in every run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory

from ptee_mcu.cycles.caches import in_front_of
from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import plugin, qemu
from ptee_mcu.firmware.count import CALL, OP
from ptee_mcu.firmware.elf import Elf, read_elf
from ptee_mcu.firmware.machines import Machine
from ptee_mcu.firmware.qemu import Plugin
from ptee_mcu.firmware.trace_file import PASS, UNSTOPPED, Function, Trace, read_trace
from ptee_mcu.firmware.windows import Window, flattened, windows_of
from ptee_mcu.target import Target

_SOURCES = ("trace_plugin.c", "trace_model.c")
_HEADERS = ("trace_model.h", "qemu_plugin_api.h")


@dataclass(frozen=True, slots=True)
class Tracer:
    """The plugin, set up for one program on one board: as `count.Counter`."""

    library: Path
    config: str
    target: Target
    windows: tuple[Window, ...]
    functions: tuple[Function, ...]  # by start

    def plugin(self, folder: Path) -> Plugin:
        """The plugin for one run that keeps its files in `folder`."""
        config = plugin.in_folder(folder, "trace-config")
        config.write_text(self.config, encoding="ascii")
        return Plugin(self.library, (f"config={config}", f"out={folder / 'traced'}"))

    def read(self, folder: Path) -> Trace:
        """What the run in `folder` did.

        Raises:
            FirmwareError: as `read_trace`.
        """
        return read_trace(folder / "traced", self.target, self.windows, self.functions)


def trace(
    elf: Path,
    machine: Machine,
    target: Target,
    *,
    windows: Sequence[Window] | None = None,
    between: tuple[str, str] | None = None,
    times: int | None = None,
    warm: bool = False,
    words: Sequence[str] = (),
    cwd: Path | None = None,
    any_exit_code: bool = False,
    timeout_s: float = 600,
) -> Trace:
    """Runs `elf` on `machine` and counts what `target`'s memories and caches would have to do.

    Args:
        elf: any program that runs on the machine; it ends by itself, or after `times`.
        machine: where it runs.
        target: the board it is priced for.
        windows: which memory an address stands for; `windows_of(elf, target)` where None. The first of two that
            overlap holds.
        between: two symbols, or addresses such as "0x8000": counting begins as the first is executed and ends before
            the second is, as often as both come by; the whole run where None. What follows the last second mark does
            not count.
        times: ends the run after so many passes.
        warm: whether a pass finds in the caches what the one before it left there; else they are empty.
        words: the program's command line.
        cwd: folder that it opens files in; the current one where None.
        any_exit_code: whether a program that ends with another code than 0 has done its work all the same.
        timeout_s: limit for the run.

    Raises:
        ToolMissingError: where gcc or QEMU is not installed.
        FirmwareError: where `elf` is not for Arm, a symbol is unknown, the run fails, or the plugin does not fit QEMU.
        ConfigError: where the target's caches cannot be modelled.
    """
    program = read_elf(elf)
    marks = ""
    if between is not None:
        first, last = (address_of(program, name) for name in between)
        marks = f"go {first:x} 1 {int(not warm)}\nstop {last:x} {PASS}\n"
        marks += f"limit {times:x}\n" if times else ""
    tracing = _tracer(program, target, windows, marks)
    with TemporaryDirectory(prefix="ptee-") as scratch:
        folder = Path(scratch)
        loaded = tracing.plugin(folder)
        done = qemu.run(elf, machine, words=words, timeout_s=timeout_s, cwd=cwd or Path.cwd(), plugin=loaded)
        if done.exit_code != 0 and not any_exit_code:
            raise FirmwareError(
                f"{elf.name} on {machine.name} ended with code {done.exit_code}:\n{done.stdout.strip()[-2000:]}",
                hint="where that is no failure, say so with --any-exit-code",
            )
        found = tracing.read(folder)
    if between is None or found.kinds[-1] != UNSTOPPED:
        return found
    if len(found.kinds) == 1:
        raise FirmwareError(
            f"{elf.name} came to {between[0]} and ended before {between[1]}",
            hint="name a second mark that is executed after the first",
        )
    return found.first(len(found.kinds) - 1)


def harness_tracer(elf: Path, target: Target, windows: Sequence[Window] | None = None) -> Tracer:
    """A tracer of the counted calls of `elf`, which was linked with marks.S; each call begins with empty caches.

    Raises:
        FirmwareError: where `elf` holds no marks; else as `trace`.
    """
    program = read_elf(elf)
    address = {symbol.name: symbol.address & ~1 for symbol in program.symbols}
    if "ptee_count_stop" not in address:
        raise FirmwareError(f"{elf.name} holds no marks to trace between", hint="link marks.S")
    goes = {"ptee_count_start": 1, "ptee_count_resume": 0}
    stops = {"ptee_trace_op": OP, "ptee_count_stop": CALL}
    marks = "".join(f"go {address[name]:x} 0 {cold}\n" for name, cold in goes.items() if name in address)
    marks += "".join(f"stop {address[name]:x} {kind}\n" for name, kind in stops.items() if name in address)
    return _tracer(program, target, windows, marks)


def address_of(elf: Elf, name: str) -> int:
    """The address that `name` is: a symbol of `elf`, or a number such as 0x8000.

    Raises:
        FirmwareError: where there is no such symbol, or several places have that name.
    """
    if name[:1].isdigit():
        try:
            return int(name, 0) & ~1
        except ValueError as error:
            raise FirmwareError(f"{name!r} is no address", hint="write such as 0x8000") from error
    found = sorted({symbol.address & ~1 for symbol in elf.symbols if symbol.name == name})
    if not found:
        close = get_close_matches(name, [symbol.name for symbol in elf.symbols], n=1)
        raise FirmwareError(
            f"{elf.path.name} has no symbol {name!r}", hint=f"did you mean {close[0]}?" if close else None
        )
    if len(found) > 1:
        places = ", ".join(f"{address:#x}" for address in found)
        raise FirmwareError(f"{elf.path.name} has {len(found)} places called {name!r}: {places}", hint="give one")
    return found[0]


def _tracer(elf: Elf, target: Target, windows: Sequence[Window] | None, marks: str) -> Tracer:
    disjoint = flattened(windows_of(elf, target) if windows is None else windows)
    functions: list[Function] = []
    for symbol in elf.symbols:
        # Aliases of one address count once, under the first name.
        if symbol.function and symbol.nbytes and (not functions or functions[-1].start != symbol.address):
            functions.append(Function(symbol.name, symbol.address, symbol.address + symbol.nbytes))
    config = _memories(target, disjoint) + marks + "".join(f"cut {function.start:x}\n" for function in functions)
    library = plugin.library("tracing", _SOURCES, _HEADERS)
    return Tracer(library, config, target, disjoint, tuple(functions))


def _memories(target: Target, windows: Sequence[Window]) -> str:
    """The plugin's caches and windows: a cache of the board once, and for loads and fetches past it a buffer each."""
    caches: list[str] = []
    number: dict[str, int] = {}
    before: dict[str, tuple[int, int]] = {}
    for region in target.regions:
        pair = []
        named = (region.data_cache, region.instruction_cache)
        for role, name, shape in zip(("loads", "fetches"), named, in_front_of(target, region), strict=True):
            key = f"cache {name}" if name else f"{role} from {region.name}"
            if key not in number:
                number[key] = len(caches)
                caches.append(f"cache {shape.sets:x} {shape.ways:x} {shape.line_bytes.bit_length() - 1:x}\n")
            pair.append(number[key])
        before[region.name] = (pair[0], pair[1])
    lines = (f"window {w.start:x} {w.end:x} {before[w.region][0]:x} {before[w.region][1]:x}\n" for w in windows)
    return "".join((*caches, *lines))
