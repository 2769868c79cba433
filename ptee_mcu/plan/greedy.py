"""Layouts by rule of thumb: the first segments to SRAM, most cycles saved per byte; and single moves that help."""

from ptee_mcu.plan.partition_problem import Layout, Ledger, Option, Problem
from ptee_mcu.plan.placement import How


def first_to_ram(problem: Problem, start: Layout, fast: tuple[str, ...]) -> Layout:
    """`start`, all in place, with each constant that still fits loaded at boot, in the order of execution.

    The quickest of the memories `fast` that has room takes it, the first of equals.
    """
    ledger = Ledger(problem, start)
    for i, (options, now) in enumerate(zip(problem.options, start.options, strict=True)):
        loads = [o for o in options if o.how is How.BOOT and o.region in fast and o.load_region == now.load_region]
        for option in sorted(loads, key=lambda o: o.cycles):
            if _accepts(ledger, i, option):
                break
    return ledger.layout


def most_saved_per_byte(problem: Problem, start: Layout) -> Layout:
    """`start` with constants moved while they fit, those first that save most cycles per byte."""
    ledger = Ledger(problem, start)
    moves = [
        (now.cycles - option.cycles, problem.found[i].nbytes, i, option)
        for i, (options, now) in enumerate(zip(problem.options, start.options, strict=True))
        for option in options
        if option.cycles < now.cycles
    ]
    for _, _, i, option in sorted(moves, key=lambda move: -move[0] / max(move[1], 1)):
        if option.cycles < ledger.options[i].cycles:
            _accepts(ledger, i, option)
    return ledger.layout


def polished(problem: Problem, start: Layout) -> Layout:
    """`start` after every move of one constant, or of the arena, that saves cycles or goes to a preferred equal."""
    ledger = Ledger(problem, start)
    moved = True
    while moved:
        moved = _polish_arena(problem, ledger)
        for i, options in enumerate(problem.options):
            now = ledger.options[i]
            rank = options.index(now)
            better = [(o.cycles, j) for j, o in enumerate(options) if (o.cycles, j) < (now.cycles, rank)]
            moved |= any(_accepts(ledger, i, options[j]) for _, j in sorted(better))
    return ledger.layout


def _polish_arena(problem: Problem, ledger: Ledger) -> bool:
    names = list(problem.arena)
    prices = {name: (cycles, names.index(name)) for name, cycles in problem.arena.items()}
    now = ledger.arena
    for name in sorted(names, key=prices.__getitem__):
        if prices[name] >= prices[now]:
            return False
        ledger.move_arena(name)
        if ledger.holds():
            return True
        ledger.move_arena(now)
    return False


def _accepts(ledger: Ledger, i: int, option: Option) -> bool:
    """Moves constant `i` to `option` where that fits."""
    now = ledger.options[i]
    ledger.move(i, option)
    if ledger.holds():
        return True
    ledger.move(i, now)
    return False
