"""Which constant lies where: the partition of the weights between the memories of a board."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Literal, TypeAlias

from ptee_mcu.plan.greedy import first_to_ram, most_saved_per_byte, polished
from ptee_mcu.plan.misfit import Larger, does_not_fit, no_memory
from ptee_mcu.plan.partition_milp import REL_GAP, least_shortage, solve
from ptee_mcu.plan.partition_problem import Layout, Ledger, Needs, Prices, Problem, place, pose
from ptee_mcu.plan.placement import Constant, How, Placement, Stage, aligned
from ptee_mcu.plan.settings import Mode, Objective
from ptee_mcu.target import Target

__all__ = ["FoundBy", "Larger", "Mode", "Needs", "Objective", "Partition", "Prices", "partition"]

FoundBy: TypeAlias = Literal["solver", "most saved per byte", "first segment to RAM", "all in place"]


@dataclass(frozen=True, slots=True)
class Partition:
    """Where every constant, the arena and the stage lie: `layout` of `problem`.

    `cycles`: waited for constants and arena per inference, under `objective`. `lower_bound`: what no partition of this
    mode can beat; with GREEDY, which is a rule, none of any mode. `found_by`: what made the placements.
    """

    mode: Mode
    objective: Objective
    problem: Problem
    layout: Layout
    placements: Mapping[str, Placement]
    stage: Stage | None
    cycles: float
    lower_bound: float
    found_by: FoundBy
    seconds: float

    @property
    def arena_region(self) -> str:
        """The memory of the arena."""
        return self.layout.arena

    @property
    def gap(self) -> float:
        """The most that another partition could save, as a share of `cycles`."""
        return (self.cycles - self.lower_bound) / self.cycles if self.cycles else 0.0

    @property
    def optimal(self) -> bool:
        """True where another partition could save a millionth at most."""
        return self.gap <= REL_GAP * 1.01  # the solver stops at REL_GAP by its own rounding


def partition(
    found: Sequence[Constant],
    target: Target,
    needs: Needs,
    prices: Prices,
    *,
    reach: Sequence[float],
    head_reach: Sequence[float],
    mode: Mode = Mode.AUTO,
    objective: Objective = Objective.MEAN,
    time_limit_s: float = 8.0,
    larger: Larger | None = None,
) -> Partition:
    """The partition with the fewest cycles that `mode` allows and every memory can hold.

    `reach` and `head_reach`: per segment, the share of inputs that enter it and that evaluate its head. WORST ignores
    both, and wants `prices.arena` for an inference that enters all. `larger`: a listed board with so many bytes of
    flash and of RAM, for the hint.

    Raises:
        DoesNotFitError: where no layout fits: in which memory, by how many bytes, what takes most.
    """
    start = perf_counter()
    problem = pose(found, target, needs, prices, reach=reach, head_reach=head_reach, objective=objective)
    search = _Search(target, needs, mode, larger, start + time_limit_s)
    best, bound, found_by = search.decide(problem)
    placements, stage = place(problem, best)
    cycles = problem.cycles(best)
    return Partition(
        mode=mode,
        objective=objective,
        problem=problem,
        layout=best,
        placements=placements,
        stage=stage,
        cycles=cycles,
        lower_bound=min(max(bound, problem.cheapest), cycles),
        found_by=found_by,
        seconds=perf_counter() - start,
    )


_Found: TypeAlias = tuple[Layout, float, FoundBy]  # a layout, cycles that none can beat, what made it


@dataclass(frozen=True, slots=True)
class _Search:
    target: Target
    needs: Needs
    mode: Mode
    larger: Larger | None
    deadline: float

    def decide(self, problem: Problem) -> _Found:
        """The best layout of the mode."""
        if self.mode in (Mode.BOOT, Mode.STAGED):
            how = How[self.mode.name]
            return *self._least(problem.only(lambda option: option.how is how)), "solver"
        flash, bound = self._least(self._in_place(problem))
        if self.mode is Mode.FLASH:
            return flash, bound, "all in place"
        fast = tuple(region.name for region in self.target.regions if region.kind in ("sram", "tcm"))
        greedy = first_to_ram(problem, flash, fast)
        if self.mode is Mode.GREEDY:
            return greedy, problem.cheapest, "first segment to RAM"
        return self._best(problem, flash, greedy)

    def _best(self, problem: Problem, flash: Layout, greedy: Layout) -> _Found:
        """What the solver proves, else the best of what it found and of the rules of thumb, each polished."""
        solution = solve(problem, self._left_s)
        if solution and solution.proven:
            return polished(problem, solution.layout), solution.bound, "solver"
        rivals: list[tuple[Layout, FoundBy]] = [(solution.layout, "solver")] if solution else []
        rivals += [
            (most_saved_per_byte(problem, flash), "most saved per byte"),
            (greedy, "first segment to RAM"),
            (flash, "all in place"),
        ]
        done = [(polished(problem, layout), found_by) for layout, found_by in rivals]
        best, found_by = min(done, key=lambda rival: problem.cycles(rival[0]))
        return best, solution.bound if solution else problem.cheapest, found_by

    def _in_place(self, problem: Problem) -> Problem:
        """In place where code lies, or in any memory that holds constants where that has no room for all."""
        code = self.target.code_region.name
        fits = sum(aligned(constant.nbytes) for constant in problem.found) <= problem.room[code]
        return problem.only(lambda o: o.how is How.IN_PLACE and (o.region == code or not fits))

    def _least(self, problem: Problem) -> tuple[Layout, float]:
        """The layout of `problem` with the fewest cycles that time allows, and its bound."""
        for constant, options in zip(problem.found, problem.options, strict=True):
            if not options:
                raise no_memory(constant.name, self.target, self.mode)
        if solution := solve(problem, self._left_s):
            return polished(problem, solution.layout), solution.bound
        layout = least_shortage(problem)
        if Ledger(problem, layout).short():
            raise does_not_fit(problem, layout, self.target, self.needs, self.mode, self.larger)
        return polished(problem, layout), problem.cheapest

    @property
    def _left_s(self) -> float:
        return self.deadline - perf_counter()
