"""The error where no partition fits: in which memory, by how many bytes, what takes most there, what would help."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from ptee_mcu.errors import DoesNotFitError
from ptee_mcu.plan.partition_problem import Layout, Ledger, Needs, Problem, fixed_regions, written_regions
from ptee_mcu.plan.placement import How, aligned
from ptee_mcu.plan.settings import Mode
from ptee_mcu.target import Target

Larger: TypeAlias = Callable[[int, int], str | None]  # bytes of flash, bytes of RAM -> name of a board with both
_LISTED = 3


def does_not_fit(
    problem: Problem, least: Layout, target: Target, needs: Needs, mode: Mode, larger: Larger | None
) -> DoesNotFitError:
    """What to raise where even `least`, the layout that lacks the fewest bytes, lacks some."""
    short = Ledger(problem, least).short()
    forced = f' with placement = "{mode.value}"' if mode is not Mode.AUTO else ""
    parts = [_part(problem, least, target, needs, name, nbytes) for name, nbytes in short.items()]
    return DoesNotFitError(
        f"{target.name}{forced}: {'; '.join(parts)}", hint=_hint(problem, least, target, needs, mode, larger)
    )


def no_memory(constant: str, target: Target, mode: Mode) -> DoesNotFitError:
    """What to raise where no memory may hold `constant`."""
    return DoesNotFitError(
        f'{constant}: {target.name} has no memory that may hold it with placement = "{mode.value}"',
        hint='choose placement = "auto", or give the board a memory that holds data',
    )


def _part(problem: Problem, layout: Layout, target: Target, needs: Needs, name: str, short: int) -> str:
    size = target.region(name).nbytes
    takes = sorted(_contents(problem, layout, target, needs, name).items(), key=lambda item: -item[1])
    listed = ", ".join(f"{what} {nbytes:,} B" for what, nbytes in takes[:_LISTED])
    more = f" and {len(takes) - _LISTED} more" if len(takes) > _LISTED else ""
    return f"{name} of {size:,} B is {short:,} B short; it would hold {listed}{more}"


def _contents(problem: Problem, layout: Layout, target: Target, needs: Needs, name: str) -> Mapping[str, int]:
    """Bytes that `layout` puts into memory `name`, by what they are for."""
    ledger = Ledger(problem, layout)
    takes = {"what is reserved": needs.reserved.get(name, 0) + target.region(name).null_bytes}
    if name == layout.arena:
        takes["the arena"] = problem.arena_bytes
    if name == target.main_ram.name:
        takes["the stack"] = needs.stack_bytes
    if name in ledger.stage_regions:
        takes["the stage"] = ledger.stage_bytes
    for constant, option in zip(problem.found, layout.options, strict=True):
        if name == option.load_region or (option.how is How.BOOT and name == option.region):
            takes[constant.name] = aligned(constant.nbytes)
    return {what: nbytes for what, nbytes in takes.items() if nbytes}


def _hint(problem: Problem, layout: Layout, target: Target, needs: Needs, mode: Mode, larger: Larger | None) -> str:
    ledger = Ledger(problem, layout)
    options = zip(problem.found, layout.options, strict=True)
    loaded = sum(aligned(constant.nbytes) for constant, option in options if option.how is How.BOOT)
    flash = sum(aligned(constant.nbytes) for constant in problem.found)
    flash += sum(needs.reserved.get(region.name, 0) for region in fixed_regions(target))
    ram = problem.arena_bytes + needs.stack_bytes + loaded + (ledger.stage_bytes if ledger.stage_regions else 0)
    ram += sum(needs.reserved.get(region.name, 0) for region in written_regions(target))
    board = larger(flash, ram) if larger else None
    other = 'choose placement = "auto", ' if mode in (Mode.BOOT, Mode.STAGED) else "choose a smaller network "
    return f"{other}or a larger board" + (f": the smallest listed one that fits is {board}" if board else "")
