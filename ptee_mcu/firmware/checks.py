"""What a report says of a network's code: the deepest stack of each call, computed and painted, and its audit."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import audit_symbols, calls, stack
from ptee_mcu.firmware.audit_symbols import Audit
from ptee_mcu.firmware.calls import Function
from ptee_mcu.firmware.execution import collect
from ptee_mcu.firmware.harness import Firmware
from ptee_mcu.firmware.machines import Machine
from ptee_mcu.firmware.records import Calls, Options
from ptee_mcu.firmware.run import run_qemu
from ptee_mcu.quant_graph import NEVER, QuantGraph
from ptee_mcu.target import Target
from ptee_mcu.tensor import Int8, UInt8


@dataclass(frozen=True, slots=True)
class CallStack:
    """The most that a call of `function` takes of the stack; interrupts and the application's hooks come on top."""

    function: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class Checks:
    """Of a network's functions, each counted whether an application links it or not.

    `stacks`: of every function that an application can call, in alphabetical order; empty where `unbounded` says why
    there is no bound. `painted`: what calls took in the emulator, by `painted_stacks`; empty where none ran there.
    `reserved_bytes`: what the linker script keeps for the whole application. `clean`: the audit found nothing.
    """

    stacks: tuple[CallStack, ...]
    unbounded: str | None
    painted: tuple[CallStack, ...]
    reserved_bytes: int
    audit: Audit
    clean: bool

    @property
    def worst(self) -> CallStack | None:
        """The call that takes most; None where there is no bound."""
        return max(self.stacks, key=lambda each: each.nbytes, default=None)

    def problems(self) -> Iterator[str]:
        """Sentences on what must not be."""
        found = self.audit
        for what, names in (
            ("a heap", found.heap),
            ("floating point", found.floats),
            ("recursion", found.recursion),
            ("calls through pointers", found.indirect),
        ):
            if names:
                yield f"the network's code holds {what}: {', '.join(names)}"
        computed = {each.function: each.nbytes for each in self.stacks}
        for name, nbytes in computed.items():
            if nbytes > self.reserved_bytes:
                yield f"{name} takes {nbytes:,} B of stack, the linker script reserves {self.reserved_bytes:,} B"
        for each in self.painted:
            if each.nbytes > computed.get(each.function, each.nbytes):
                yield (
                    f"{each.function} took {each.nbytes:,} B of stack in the emulator, more than the "
                    f"{computed[each.function]:,} B that were computed: do not rely on them"
                )


def checked(
    project: Path, name: str, on: Machine | Target, *, reserved_bytes: int, painted: tuple[CallStack, ...] = ()
) -> Checks:
    """The checks of network `name` of the emitted `project`, compiled once with the flags of `on`.

    Raises:
        ToolMissingError: where the cross compiler is not installed.
        FirmwareError: where `project` holds no such network or does not compile.
    """
    with tempfile.TemporaryDirectory(prefix="ptee-checks-") as scratch:
        elf = stack.linked(project, name, on, Path(scratch))
        graph = calls.functions(elf)
        roots, hooks = stack.entries(graph, name), stack.hooks(name)
        audit = audit_symbols.audit_functions(graph, roots, hooks)
        try:
            stacks, unbounded = _stacks(graph, Path(scratch), roots, hooks), None
        except FirmwareError as error:
            stacks, unbounded = (), str(error.args[0])
    return Checks(stacks, unbounded, painted, reserved_bytes, audit, audit.clean)


def painted_stacks(firmware: Firmware, graph: QuantGraph, x: Int8 | UInt8) -> tuple[CallStack, ...]:
    """What NAME_run and NAME_step of `graph` take of the emulator's stack on `x`, every head evaluated.

    Raises:
        ToolMissingError, FirmwareError, DataError: as `run_qemu`.
    """
    # One below "never", so that NAME_run evaluates the heads too.
    options = Options(thresholds=dict.fromkeys(range(len(graph.exits) - 1), NEVER - 1))
    return tuple(
        CallStack(f"{graph.name}_{call}", collect(run_qemu(firmware, x, replace(options, calls=calls))).stack_bytes)
        for call, calls in (("run", Calls.RUN), ("step", Calls.STEPS))
    )


def _stacks(
    graph: Mapping[str, Function], folder: Path, roots: frozenset[str], hooks: frozenset[str]
) -> tuple[CallStack, ...]:
    known = stack.frames(folder)
    return tuple(CallStack(root, stack.deepest(graph, known, {root}, hooks).nbytes) for root in sorted(roots))
