"""The checks of a network's code into its report: what its calls take of the stack, and what it must not hold."""

from dataclasses import replace
from pathlib import Path

from ptee_mcu.errors import FirmwareError, ToolMissingError
from ptee_mcu.firmware.checks import CallStack, checked
from ptee_mcu.plan.plan import Plan
from ptee_mcu.report.console import Console
from ptee_mcu.report.summary import Report


def with_checks(report: Report, folder: Path, plan: Plan, painted: tuple[CallStack, ...], console: Console) -> Report:
    """`report` with the checks of what was emitted to `folder`; a note where the compiler is missing or fails.

    `painted`: stacks that the emulator showed. What must not be is warned of.
    """
    try:
        found = checked(folder, plan.graph.name, plan.target, reserved_bytes=plan.stack_bytes, painted=painted)
    except (ToolMissingError, FirmwareError) as error:
        said = str(error.args[0]).splitlines()[0]
        return replace(report, notes=(*report.notes, f"no stack was computed and no code audited: {said}"))
    for problem in found.problems():
        console.warn(problem)
    return replace(report, checks=found)
