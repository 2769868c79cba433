"""The deepest stack that a network can need, computed: frames by gcc, over the calls of the linked program."""

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import build, calls, tools
from ptee_mcu.firmware.calls import Function
from ptee_mcu.firmware.machines import Machine
from ptee_mcu.target import Target

_COMPILER = "arm-none-eabi-gcc"
_LINE = re.compile(r"^.*:\d+:\d+:(\S+)\t(\d+)\t(\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class StackUse:
    """The deepest stack below some functions, without what calls them and without interrupts.

    `path`: functions on it, outermost first, each with its own bytes. `hooks`: functions that call the application's
    through a pointer, each with the bytes taken when it does: what the application's takes comes on top of those.
    """

    nbytes: int
    path: tuple[tuple[str, int], ...]
    hooks: tuple[tuple[str, int], ...] = ()

    def with_hook(self, nbytes: int) -> int:
        """The deepest stack where every hook of the application takes at most `nbytes`."""
        return max(self.nbytes, *(taken + nbytes for _, taken in self.hooks)) if self.hooks else self.nbytes


def worst_stack(project: Path, name: str, on: Machine | Target, *, optimize: str = "-O3") -> StackUse:
    """The deepest stack that a function of network `name` can need, compiled with the flags of `on`.

    Every function of the emitted `project` and of its CMSIS-NN counts, also those that an application does not link. An
    interrupt of the application takes what it takes on top; so do hooks with which it replaces ptee_copy_*.

    Raises:
        ToolMissingError: where the cross compiler is not installed.
        FirmwareError: where `project` holds no such network or does not compile, or no bound exists: for recursion, a
            call through a pointer that is no hook of the application, or a frame whose size only running tells.
    """
    with tempfile.TemporaryDirectory(prefix="ptee-stack-") as scratch:
        elf = linked(project, name, on, Path(scratch), optimize=optimize)
        graph = calls.functions(elf)
        return deepest(graph, frames(Path(scratch)), entries(graph, name), hooks(name))


def linked(project: Path, name: str, on: Machine | Target, folder: Path, *, optimize: str = "-O3") -> Path:
    """All functions of `project` as one program that cannot run, in `folder`, beside what gcc says of their frames.

    Raises:
        ToolMissingError, FirmwareError: as `worst_stack`.
    """
    if not (project / f"{name}.h").is_file():
        raise FirmwareError(f"{project} holds no network {name!r}: {name}.h is missing", hint="build it first")
    compiler = str(tools.find(_COMPILER).path)
    architecture = (*on.flags, "-mthumb", "-masm-syntax-unified")
    sources = build.sources_in(project)
    places = (*sources.include_dirs, *sources.third_party_include_dirs)
    flags = [*architecture, optimize, "-std=c11", "-w", "-fstack-usage", *(f"-I{place}" for place in places)]

    def compiled(numbered: tuple[int, Path]) -> str:
        made = folder / f"{numbered[0]:03}-{numbered[1].stem}.o"
        build.call([compiler, *flags, "-c", str(numbered[1]), "-o", str(made)], f"compiling {numbered[1].name}")
        return str(made)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        objects = list(pool.map(compiled, enumerate((*sources.own, *sources.third_party))))
    elf = folder / f"{name}.elf"
    # Labels of linker scripts are left open: nothing here runs, and no memory can be too small.
    link = ["-nostartfiles", "-Wl,--unresolved-symbols=ignore-all", f"-Wl,-e,{name}_run", "-o", str(elf)]
    build.call([compiler, *architecture, *objects, *link], f"linking {name}")
    return elf


def entries(graph: Mapping[str, Function], name: str) -> frozenset[str]:
    """What an application can call: the functions of network `name`, and the loader of sections."""
    own = {found for found in graph if found.startswith(f"{name}_") and "." not in found}
    return frozenset(own | ({"ptee_load_sections"} & set(graph)))


def hooks(name: str) -> frozenset[str]:
    """The functions of network `name` that call one of the application's through a pointer: its counter of cycles."""
    return frozenset({f"{name}_run_until", f"{name}_measure"})


def frames(folder: Path) -> Mapping[str, int]:
    """Bytes of the frame of each function, from the .su files in `folder`; of one name and its clones the largest.

    Source: GCC 12 manual, -fstack-usage.

    Raises:
        FirmwareError: naming a function whose frame has no fixed size.
    """
    found: dict[str, int] = {}
    for path in sorted(folder.glob("*.su")):
        for function, nbytes, qualifiers in _LINE.findall(path.read_text(encoding="utf-8")):
            if qualifiers != "static":
                raise FirmwareError(
                    f"{function}: its frame is {qualifiers}, {nbytes} B or more",
                    hint="compile it without variable-length arrays and alloca",
                )
            base = _base(function)
            found[base] = max(found.get(base, 0), int(nbytes))
    return MappingProxyType(found)


def deepest(
    graph: Mapping[str, Function],
    known: Mapping[str, int],
    roots: Iterable[str],
    calling_hooks: frozenset[str] = frozenset(),
) -> StackUse:
    """The deepest stack below any of `roots`; where gcc reported no frame, what the function's instructions push.

    A jump at the end of a function counts as a call: its frame may be gone by then, so the sum is never too small.

    Args:
        graph: by `calls.functions`.
        known: by `frames`.
        roots: functions that somebody calls.
        calling_hooks: functions that may call through pointers.

    Raises:
        FirmwareError: on recursion, on a call through a pointer elsewhere, and for a frame that nobody knows.
    """
    chosen = sorted(roots)
    if circle := calls.recursion(graph, chosen):
        raise FirmwareError(f"{' calls '.join((*circle, circle[0]))}: recursion has no bound")
    below: dict[str, StackUse] = {}
    order = _leaves_first(graph, chosen)
    for name in order:
        function = graph[name]
        if function.indirect and _base(name) not in calling_hooks:
            raise FirmwareError(f"{name} calls through a pointer ({function.indirect[0]}): whom, its code does not say")
        own = known.get(_base(name), function.pushed_bytes)
        if own is None:
            raise FirmwareError(f"{name}: nobody knows its frame", hint="compile it with -fstack-usage")
        best = max((below[c] for c in sorted(function.calls) if c in below), key=lambda use: use.nbytes, default=None)
        below[name] = StackUse(own + best.nbytes, ((name, own), *best.path)) if best else StackUse(own, ((name, own),))
    worst = max((below[root] for root in chosen), key=lambda use: use.nbytes)
    above = _taken_above(graph, below, order)
    return replace(worst, hooks=tuple((name, above[name]) for name in sorted(order) if graph[name].indirect))


def _taken_above(graph: Mapping[str, Function], below: Mapping[str, StackUse], order: list[str]) -> dict[str, int]:
    """The deepest stack within each function itself, its own frame and those of its callers together."""
    own = {name: below[name].path[0][1] for name in order}
    found = dict(own)
    for name in reversed(order):
        for callee in graph[name].calls & own.keys():
            found[callee] = max(found[callee], found[name] + own[callee])
    return found


def _leaves_first(graph: Mapping[str, Function], roots: Iterable[str]) -> list[str]:
    """All functions below `roots`, each after those it calls."""
    order: dict[str, None] = {}
    waiting = [(root, False) for root in roots]
    while waiting:
        name, left = waiting.pop()
        if left:
            order[name] = None
        elif name in graph and name not in order:
            waiting.append((name, True))
            waiting += [(callee, False) for callee in graph[name].calls]
    return list(order)


def _base(function: str) -> str:
    """The name without what gcc adds for a clone, such as .constprop.0."""
    return function.partition(".")[0] or function
