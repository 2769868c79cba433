"""What a linked network must not hold: a heap, floating point, recursion, calls through pointers."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import calls, stack
from ptee_mcu.firmware.calls import Function
from ptee_mcu.firmware.machines import Machine
from ptee_mcu.target import Target

# Source: C11 7.22.3, newlib's reentrant twins and the system call below them.
_HEAP = re.compile(r"_?(?:malloc|calloc|realloc|free|memalign|aligned_alloc|sbrk)(?:_r)?")
# Source: Run-time ABI for the Arm Architecture 4.1.2: double, float and their conversions; gcc's names of the same.
_FLOAT = re.compile(r"__aeabi_(?:c?[dfh]\w*|u?[il]2[dfh])|__\w+[sdhx]f[23]?|__fix\w+|__float\w+")


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found in `functions` functions: names, or `function: instruction`; clean where all are empty.

    `recursion`: functions that call one another in a circle.
    """

    functions: int
    heap: tuple[str, ...]
    floats: tuple[str, ...]
    recursion: tuple[str, ...]
    indirect: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """True where nothing was found."""
        return not (self.heap or self.floats or self.recursion or self.indirect)


def audit_network(project: Path, name: str, on: Machine | Target) -> Audit:
    """What the functions of network `name` hold, compiled with the flags of `on`; calls of the user's hooks are fine.

    Raises:
        ToolMissingError: where the cross compiler is not installed.
        FirmwareError: where `project` does not compile.
    """
    with tempfile.TemporaryDirectory(prefix="ptee-audit-") as scratch:
        graph = calls.functions(stack.linked(project, name, on, Path(scratch)))
        return audit_functions(graph, stack.entries(graph, name), stack.hooks(name))


def audit(elf: Path, roots: frozenset[str] | None = None, calling_hooks: frozenset[str] = frozenset()) -> Audit:
    """What is linked into `elf` below `roots`, all of it where None; `calling_hooks` may call through pointers.

    Raises:
        ToolMissingError: where arm-none-eabi-objdump is not installed.
        FirmwareError: where it cannot read `elf`, or one of `roots` is not in it.
    """
    graph = calls.functions(elf)
    chosen = frozenset(graph) if roots is None else roots
    if missing := sorted(chosen - set(graph)):
        raise FirmwareError(f"{elf.name} has no function {missing[0]!r}", hint="name functions that were linked")
    return audit_functions(graph, chosen, calling_hooks)


def audit_functions(
    graph: Mapping[str, Function], roots: frozenset[str], calling_hooks: frozenset[str] = frozenset()
) -> Audit:
    """What lies below `roots` in `graph`, by `calls.functions`; `calling_hooks` may call through pointers.

    Registers of the floating-point unit that only hold or save values do not count; instructions that compute do.
    """
    found = [graph[name] for name in sorted(calls.reachable(graph, roots))]
    return Audit(
        functions=len(found),
        heap=tuple(function.name for function in found if _HEAP.fullmatch(function.name)),
        floats=(
            *(function.name for function in found if _FLOAT.fullmatch(function.name)),
            *(f"{function.name}: {at}" for function in found for at in function.floats),
        ),
        recursion=calls.recursion(graph, roots),
        indirect=tuple(
            f"{function.name}: {at}"
            for function in found
            if function.name not in calling_hooks
            for at in function.indirect
        ),
    )
