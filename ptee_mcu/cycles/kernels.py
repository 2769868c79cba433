"""Cycles of a layer in closed form: how often its kernel's loops run, times what the core takes for each.

Rates are data (rates/<cpu>.toml), fitted to priced traces by benchmarks/fit_kernels.py.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from ptee_mcu.errors import ConfigError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import QOp, Work
from ptee_mcu.target import Cache
from ptee_mcu.tensor import QTensor

_FOLDER = "rates"
_GATES = (  # parts of loop bodies that some shapes never execute
    "tap outside", "byte in", "row pair byte", "row", "pair block", "pair quad", "pair byte", "block", "channel",
    "rows step", "rows byte", "byte compared",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fetches:
    """Lines of code that an instruction cache of this geometry misses, per loop.

    Whether a loop fits depends on which parts of it run at all: `lines` holds rates by the gates that are open, and
    under the empty key those of all shapes together.
    """

    nbytes: int
    line_bytes: int
    ways: int
    lines: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel on a core: bytes of code that a call may execute, cycles per loop, and misses of small code caches."""

    code_bytes: int
    cycles: Mapping[str, float]
    fetches: tuple[Fetches, ...]


@dataclass(frozen=True, slots=True)
class Rates:
    """All kernels on a core, the compiler that made their code, and the command that made the rates."""

    cpu: str
    isa: Isa
    compiler: str
    command: str
    kernels: Mapping[str, Kernel]


def compute_cycles(op: QOp, inputs: Sequence[QTensor], output: QTensor, cpu: str) -> float:
    """Cycles of one call of `op`, our wrapper included, with memory that never waits.

    Raises:
        ConfigError: where there are no rates for `cpu`.
    """
    rates = known_rates(cpu)
    return cycles_of(op.work(inputs, output, rates.isa), rates)


def cycles_of(work: Work, rates: Rates) -> float:
    """Cycles of loops that run as often as `work` says."""
    return _weighted(work.loops, kernel_of(work, rates).cycles)


def kernel_of(work: Work, rates: Rates) -> Kernel:
    """The kernel that does `work`.

    Raises:
        ConfigError: where it has no rates.
    """
    if work.kernel not in rates.kernels:
        raise ConfigError(f"{work.kernel} has no cycle rates on {rates.cpu}", hint=f"run {rates.command}")
    return rates.kernels[work.kernel]


def missed_lines(work: Work, kernel: Kernel, code: Cache) -> float:
    """Lines of code that one call misses: all of it once where the cache holds it, else as fitted to the like of it."""
    if code.nbytes >= kernel.code_bytes or not kernel.fetches:
        return kernel.code_bytes / code.line_bytes
    like = min(kernel.fetches, key=lambda f: (f.nbytes != code.nbytes, f.line_bytes != code.line_bytes, f.nbytes))
    rates = like.lines.get(open_gates(work), like.lines[""])
    return _weighted(work.loops, rates) * like.line_bytes / code.line_bytes


def open_gates(work: Work) -> str:
    """The parts of loop bodies that `work` executes."""
    return ", ".join(gate for gate in _GATES if work.loops.get(gate))


def has_rates(cpu: str) -> bool:
    """Whether there are rates for a target's `cpu`."""
    return (files("ptee_mcu.cycles") / _FOLDER / f"{cpu}.toml").is_file()


@cache
def known_rates(cpu: str) -> Rates:
    """The rates of a target's `cpu`.

    Raises:
        ConfigError: where there are none.
    """
    folder = files("ptee_mcu.cycles") / _FOLDER
    path = folder / f"{cpu}.toml"
    if not path.is_file():
        known = sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))
        raise ConfigError(f"no cycle rates are known for {cpu!r}", hint=f"known cores: {', '.join(known)}")
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    kernels = {
        name: Kernel(
            table["code_bytes"],
            MappingProxyType(table["cycles"]),
            tuple(
                Fetches(fetch["bytes"], fetch["line"], fetch["ways"], MappingProxyType(fetch["lines"]))
                for fetch in table.get("fetches", ())
            ),
        )
        for name, table in raw["kernels"].items()
    }
    return Rates(cpu, Isa(raw["isa"]), raw["compiler"], raw["command"], MappingProxyType(kernels))


def encode(rates: Rates) -> str:
    """`rates` as the text of their file."""
    lines = [
        f"# Cycles per loop on {rates.cpu}, made by: {rates.command}",
        f'isa = "{rates.isa.value}"',
        f'compiler = "{rates.compiler}"',
        f'command = "{rates.command}"',
    ]
    for name, kernel in sorted(rates.kernels.items()):
        lines += ["", f"[kernels.{name}]", f"code_bytes = {kernel.code_bytes}", f"[kernels.{name}.cycles]"]
        lines += _items(kernel.cycles)
        for fetch in kernel.fetches:
            lines += [f"[[kernels.{name}.fetches]]", f"bytes = {fetch.nbytes}", f"line = {fetch.line_bytes}"]
            lines.append(f"ways = {fetch.ways}")
            for gates, rates_then in sorted(fetch.lines.items()):
                lines += [f'[kernels.{name}.fetches.lines."{gates}"]', *_items(rates_then)]
    return "\n".join(lines) + "\n"


def _items(rates: Mapping[str, float]) -> list[str]:
    return [f'"{loop}" = {rate}' for loop, rate in rates.items()]


def _weighted(loops: Mapping[str, int], rates: Mapping[str, float]) -> float:
    return float(sum(rate * loops.get(name, 0) for name, rate in rates.items()))
