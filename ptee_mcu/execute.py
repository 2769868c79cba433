"""Builds and runs the C of a project, on the host or in the emulator."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ptee_mcu.cycles.cores import core_of
from ptee_mcu.cycles.price import price
from ptee_mcu.errors import ConfigError
from ptee_mcu.firmware.execution import Execution, collect
from ptee_mcu.firmware.harness import build_firmware, build_footprint, build_host
from ptee_mcu.firmware.machines import Machine, machine
from ptee_mcu.firmware.memory import MemoryUse, memory_use
from ptee_mcu.firmware.records import Calls, Options
from ptee_mcu.firmware.run import run_host, run_qemu, trace_qemu
from ptee_mcu.firmware.trace import harness_tracer
from ptee_mcu.operating_point import plan_at, point_notes, selected
from ptee_mcu.plan.plan import Plan
from ptee_mcu.project import Project
from ptee_mcu.quant_graph import NEVER
from ptee_mcu.report.console import Console
from ptee_mcu.report.summary import Answers, Report, summarise
from ptee_mcu.tensor import Int8, UInt8

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
    out, board = work / "firmware.elf", plan.target
    firmware = build_firmware(folder, plan.graph.name, out, machine=emulator(plan), target=board, traced=traced)
    return run_qemu(firmware, x, options, counted=counted, progress=finished)


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


def count_instructions(folder: Path, plan: Plan, x: UInt8 | Int8) -> tuple[int, ...]:
    """Instructions of leaving at each exit, every segment so far included: the mean over full passes of `x`.

    Every head is evaluated, as NAME_step does: the worst case of any operating point.

    Raises:
        FirmwareError, ToolMissingError, ConfigError: as `executions`.
    """
    never = Options(thresholds=dict.fromkeys(range(len(plan.graph.exits) - 1), NEVER))
    with TemporaryDirectory() as work:
        ran = collect(executions(folder, plan, "qemu", x, never, work=Path(work), traced=False, counted=True))
    assert ran.instructions is not None
    means: Sequence[float] = np.cumsum(ran.instructions.segments, axis=1).mean(axis=0).tolist()
    return tuple(map(round, means))


def trace_cycles(folder: Path, plan: Plan, x: UInt8 | Int8) -> tuple[float, ...]:
    """Priced cycles of a pass through every head up to each exit, by trace of the firmware: the mean over `x`.

    Raises:
        FirmwareError, ToolMissingError, ConfigError: as `executions`.
    """
    never = Options(thresholds=dict.fromkeys(range(len(plan.graph.exits) - 1), NEVER))
    with TemporaryDirectory() as work:
        firmware = build_firmware(
            folder, plan.graph.name, Path(work) / "firmware.elf", machine=emulator(plan), target=plan.target,
            traced=False,
        )  # fmt: skip
        traced = trace_qemu(firmware, x, harness_tracer(firmware.path, plan.target), never)
    cycles = price(traced.trace, core_of(plan.target.cpu), plan.target).by_interval.cycles
    in_segment = [cycles[traced.intervals.segment == i].sum() / len(x) for i in range(len(plan.graph.exits))]
    found: list[float] = np.cumsum(in_segment).tolist()
    return tuple(found)


def linked_memory(folder: Path, plan: Plan) -> MemoryUse:
    """Flash and static RAM of the smallest application around the network.

    Raises:
        FirmwareError, ToolMissingError, ConfigError: as `executions`.
    """
    with TemporaryDirectory() as work:
        out = Path(work) / "footprint.elf"
        return memory_use(build_footprint(folder, plan.graph.name, out, machine=emulator(plan), target=plan.target))
