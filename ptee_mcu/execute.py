"""Builds and runs the C of a project, on the host or in the emulator."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ptee_mcu.cycles.cores import core_of
from ptee_mcu.cycles.price import Float64, Priced, price
from ptee_mcu.errors import ConfigError
from ptee_mcu.firmware.execution import Execution, collect
from ptee_mcu.firmware.harness import Firmware, build_firmware, build_footprint, build_host
from ptee_mcu.firmware.machines import Machine, machine
from ptee_mcu.firmware.memory import MemoryUse, memory_use
from ptee_mcu.firmware.records import Calls, Options
from ptee_mcu.firmware.run import run_host, run_qemu, trace_qemu
from ptee_mcu.firmware.trace import harness_tracer
from ptee_mcu.operating_point import plan_at, point_notes, selected
from ptee_mcu.plan.plan import Plan
from ptee_mcu.project import Project
from ptee_mcu.quant_graph import NEVER, QuantGraph
from ptee_mcu.report.console import Console
from ptee_mcu.report.summary import Answers, Report, summarise
from ptee_mcu.tensor import Int8, UInt8, readonly

Advance = Callable[[int, int], None]


def executions(
    folder: Path,
    plan: Plan,
    place: str,
    x: UInt8 | Int8,
    options: Options,
    *,
    work: Path,
    traced: bool,
    counted: bool = False,
    progress: Advance | None = None,
) -> Iterator[Execution]:
    """Chunks of what the C of `plan` in `folder` did with `x`, in order; `work` is a folder for the program.

    Raises:
        ConfigError: where the plan's board has no emulator.
        FirmwareError, ToolMissingError: where the C cannot be built or run.
    """
    done = 0

    def finished(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, len(x))

    if place == "host":
        program = build_host(folder, plan.graph.name, work / "host", traced=traced)
        return run_host(program, x, options, progress=finished)
    firmware = emulated(folder, plan, work / "firmware.elf", traced=traced)
    return run_qemu(firmware, x, options, counted=counted, progress=finished)


def emulated(folder: Path, plan: Plan, out: Path, *, traced: bool = False, optimize: str = "-O3") -> Firmware:
    """The C of `plan` in `folder`, built to `out` as its board would run it, memories moved into the emulator's.

    Raises:
        FirmwareError, ToolMissingError, ConfigError: as `executions`.
    """
    return build_firmware(
        folder, plan.graph.name, out, machine=emulator(plan), target=plan.target, traced=traced, optimize=optimize
    )


def emulator(plan: Plan) -> Machine:
    """The machine that stands for the plan's board.

    Raises:
        ConfigError: where there is none.
    """
    if plan.target.machine is None:
        raise ConfigError(f"{plan.target.name} has no emulator", hint="build for a board that has, such as mps2_an386")
    return machine(plan.target.machine)


def execute(project: Project, place: str, count: int | None, console: Console, *, point: str | None = None) -> Report:
    """What NAME_run answers on the project's images; with exact instruction counts where it is emulated.

    `point`: name or number of the operating point that NAME_set_operating_point selects; NAME_init's where None.

    Raises:
        ConfigError: where there is no such point, or the plan's board has no emulator.
        FirmwareError, ToolMissingError: as `executions`.
    """
    plan = plan_at(project.plan, point)
    inputs = project.inputs.head(count)
    counted = place == "qemu"
    with TemporaryDirectory() as work, console.progress(f"running on {place}") as advance:
        parts = executions(
            project.folder,
            plan,
            place,
            inputs.x,
            Options(calls=Calls.RUN, points=selected(plan, point)),
            work=Path(work),
            traced=False,
            counted=counted,
            progress=advance,
        )
        ran = collect(parts)
    stack = f", deepest stack {ran.stack_bytes:,} B" if ran.stack_bytes else ""
    instructions = None
    if ran.instructions is not None:
        totals = ran.instructions.segments.sum(axis=1)
        here = [ran.exits == i for i in range(len(plan.graph.exits))]
        instructions = [round(float(totals[rows].mean())) if rows.any() else None for rows in here]
    return summarise(
        plan,
        Answers(ran.exits, ran.labels, None, inputs.labels),
        of=inputs.of,
        instructions=instructions,
        notes=[*point_notes(plan, point), f"run on {place}" + stack],
    )


def count_instructions(firmware: Firmware, graph: QuantGraph, x: UInt8 | Int8) -> tuple[int, ...]:
    """Instructions of leaving at each exit, every segment so far included: the mean over full passes of `x`.

    Every head is evaluated, as NAME_step does: the worst case of any operating point.

    Raises:
        FirmwareError, ToolMissingError: as `executions`.
    """
    ran = collect(run_qemu(firmware, x, _full_pass(graph), counted=True))
    assert ran.instructions is not None
    means: Sequence[float] = np.cumsum(ran.instructions.segments, axis=1).mean(axis=0).tolist()
    return tuple(map(round, means))


@dataclass(frozen=True, slots=True, eq=False)
class TracedPass:
    """What passes through every head cost; `segments` (segments,): cycles of each NAME_step, the mean over inputs."""

    priced: Priced
    segments: Float64

    @property
    def exits(self) -> tuple[float, ...]:
        """Cycles up to and including each exit."""
        found: list[float] = np.cumsum(self.segments).tolist()
        return tuple(found)


def trace_pass(firmware: Firmware, plan: Plan, x: UInt8 | Int8) -> TracedPass:
    """Priced cycles of full passes of `x`, every head evaluated; caches are empty when a segment begins.

    Raises:
        FirmwareError, ToolMissingError, ConfigError: as `executions`, and where the caches cannot be modelled.
    """
    graph, target = plan.graph, plan.target
    found = trace_qemu(firmware, x, harness_tracer(firmware.path, target), _full_pass(graph))
    priced = price(found.trace, core_of(target.cpu), target)
    cycles, segment = priced.by_interval.cycles, found.intervals.segment
    means = [cycles[segment == i].sum() / len(x) for i in range(len(graph.exits))]
    return TracedPass(priced, readonly(means, np.float64))


def _full_pass(graph: QuantGraph) -> Options:
    return Options(thresholds=dict.fromkeys(range(len(graph.exits) - 1), NEVER))


def linked_memory(folder: Path, plan: Plan) -> MemoryUse:
    """Flash and static RAM of the smallest application around the network.

    Raises:
        FirmwareError, ToolMissingError, ConfigError: as `executions`.
    """
    with TemporaryDirectory() as work:
        out = Path(work) / "footprint.elf"
        return memory_use(build_footprint(folder, plan.graph.name, out, machine=emulator(plan), target=plan.target))
