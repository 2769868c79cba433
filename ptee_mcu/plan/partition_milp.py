"""The layout with the fewest cycles, as mixed-integer programs; and the one that lacks the fewest bytes."""

from dataclasses import dataclass, field, replace
from math import floor, inf, log2
from time import perf_counter

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp
from scipy.sparse import csr_array

from ptee_mcu.plan.partition_problem import Layout, Ledger, Option, Problem
from ptee_mcu.plan.placement import How, aligned
from ptee_mcu.plan.quiet import standard_output_to_error

REL_GAP = 1e-6  # at which a layout counts as optimal
_UNIT = 1 << 20  # bytes: the solver's tolerance of 1e-6 is then less than the 4 bytes that sizes differ by at least
_LARGEST_COST = 2.0**17  # the solver's tolerances are made for numbers of such size
_BORROW_ELSEWHERE = 1e-5  # bytes are rather borrowed in the largest memory
_SHORTAGE_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Solution:
    """What the solver found; `bound`: cycles that no layout can beat; `proven`: they differ by REL_GAP at most."""

    layout: Layout
    bound: float
    proven: bool


def solve(problem: Problem, limit_s: float) -> Solution | None:
    """The layout with the fewest cycles that `limit_s` seconds find; None where none was found or none exists.

    One program per memory that arena and stage may lie in, the most promising first; those whose relaxation is no
    better than a layout already found are never solved.
    """
    deadline = perf_counter() + limit_s
    programs = [_Program(part) for part in _parts(problem)]
    bounds = [program.relaxed(limit_s) for program in programs]
    best: Layout | None = None
    cycles = inf
    queue = sorted(range(len(programs)), key=bounds.__getitem__)
    for rank, i in enumerate(queue):
        left_s = deadline - perf_counter()
        if bounds[i] >= cycles * (1 - REL_GAP / 2) or bounds[i] == inf or left_s <= 0:
            break  # and so are all after it
        layout, bound = programs[i].solved(left_s if rank == len(queue) - 1 else 0.75 * left_s)
        bounds[i] = max(bounds[i], bound)
        if layout and problem.cycles(layout) < cycles:
            best, cycles = layout, problem.cycles(layout)
    bound = min([*bounds, cycles])
    return Solution(best, bound, cycles - bound <= REL_GAP * cycles) if best else None


def least_shortage(problem: Problem) -> Layout:
    """The layout that lacks the fewest bytes: none where one fits."""
    parts = _parts(problem)
    layouts = [_Program(part, elastic=True).solved(_SHORTAGE_LIMIT_S / len(parts))[0] for part in parts]
    shorts = [(Ledger(problem, layout).short(), layout) for layout in layouts if layout]
    return min(shorts, key=lambda pair: (sum(pair[0].values()), len(pair[0])))[1]


def _parts(problem: Problem) -> list[Problem]:
    """`problem` with one memory for the arena and one for the stage: together all of it."""
    staged = {o.region for options in problem.options for o in options if o.how is How.STAGED}
    stages = [name for name in problem.room if name in staged] or [""]
    by_stage = [problem.only(lambda o, stage=stage: o.how is not How.STAGED or o.region == stage) for stage in stages]  # type: ignore[misc]
    return [replace(part, arena={name: cycles}) for name, cycles in problem.arena.items() for part in by_stage]


@dataclass(frozen=True, slots=True)
class _Kind:
    """Constants that nothing tells apart, and per option the column that counts how many of them take it."""

    members: tuple[int, ...]
    segment: int
    head: bool
    size: float
    options: tuple[Option, ...]
    columns: tuple[int, ...]


@dataclass(slots=True)
class _Rows:
    entries: list[tuple[int, int, float]] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def add(self, terms: list[tuple[int, float]], low: float, high: float) -> None:
        self.entries += [(len(self.low), column, factor) for column, factor in terms]
        self.low.append(low)
        self.high.append(high)


class _Program:
    """Columns: how many constants of a kind take an option, the size of the stage, and bytes borrowed if `elastic`.

    Sizes are in _UNIT. The arena lies in the one memory that the problem names.
    """

    def __init__(self, problem: Problem, *, elastic: bool = False) -> None:
        self._problem = problem
        ((self._arena, self._arena_cycles),) = problem.arena.items()
        self._elastic = elastic
        self._costs: list[float] = []
        self._upper: list[float] = []
        self._integral: list[int] = []
        self._rows = _Rows()
        room = dict(problem.room)
        room[self._arena] -= problem.arena_bytes
        binding = _binding(problem, room)
        self._kinds = self._find_kinds(binding)
        stage = self._stage()
        for name in sorted(binding, key=lambda name: (-room[name], name)):
            self._fill(name, room[name], stage)

    def relaxed(self, limit_s: float) -> float:
        """Cycles that no layout can beat, by the linear relaxation: infinite where there is none."""
        result = self._run(limit_s, [0] * len(self._integral))
        if result.status == 2:  # infeasible
            return inf
        return self._cycles(result.fun) if result.status == 0 else -inf

    def solved(self, limit_s: float) -> tuple[Layout | None, float]:
        """The layout found, None where there is none, and cycles that none can beat."""
        result = self._run(limit_s, self._integral)
        if result.status == 2:
            return None, inf
        layout = None if result.x is None else self._read(result.x)
        if layout and not self._elastic and not Ledger(self._problem, layout).holds():
            layout = None
        return layout, -inf if result.mip_dual_bound is None else self._cycles(result.mip_dual_bound)

    def _run(self, limit_s: float, integral: list[int]) -> OptimizeResult:
        shape = (len(self._rows.low), len(self._costs))
        entries = np.array(self._rows.entries, dtype=np.float64).reshape(-1, 3)
        positions = (entries[:, 0].astype(int), entries[:, 1].astype(int))
        matrix = csr_array((entries[:, 2], positions), shape=shape)
        with standard_output_to_error():
            return milp(
                np.array(self._costs) * self._scale,
                integrality=np.array(integral),
                bounds=Bounds(np.zeros(shape[1]), np.array(self._upper)),
                constraints=LinearConstraint(matrix, np.array(self._rows.low), np.array(self._rows.high)),
                options={"time_limit": max(limit_s, 0.1), "mip_rel_gap": REL_GAP / 2},
            )

    @property
    def _scale(self) -> float:
        """A power of two, so that scaling loses nothing."""
        most = max(self._costs)
        return 2.0 ** floor(log2(_LARGEST_COST / most)) if most > 0 else 1.0

    def _cycles(self, value: float) -> float:
        return self._arena_cycles + value / self._scale

    def _read(self, values: npt.NDArray[np.float64]) -> Layout:
        """The layout that `values` mean; of a kind, the first to run take the option named first."""
        options: dict[int, Option] = {}
        for kind in self._kinds:
            counts = np.rint(values[list(kind.columns)]).astype(int)
            taken = [option for option, count in zip(kind.options, counts, strict=True) for _ in range(count)]
            options |= zip(kind.members, taken, strict=True)
        return Layout(self._arena, tuple(options[i] for i in range(len(self._problem.found))))

    def _column(self, cost: float, *, upper: float, integral: bool) -> int:
        self._costs.append(cost)
        self._upper.append(upper)
        self._integral.append(int(integral))
        return len(self._costs) - 1

    def _find_kinds(self, binding: set[str]) -> tuple[_Kind, ...]:
        alike: dict[tuple[int, bool, float, tuple[Option, ...]], list[int]] = {}
        for i, (constant, options) in enumerate(zip(self._problem.found, self._problem.options, strict=True)):
            key = (constant.segment, constant.head, aligned(constant.nbytes) / _UNIT, options)
            alike.setdefault(key, []).append(i)
        kinds = []
        for (segment, head, size, options), members in alike.items():
            kept, count = _undominated(options, binding), float(len(members))
            costs = [0.0 if self._elastic else option.cycles for option in kept]
            columns = tuple(self._column(cost, upper=count, integral=True) for cost in costs)
            self._rows.add([(column, 1.0) for column in columns], count, count)
            kinds.append(_Kind(tuple(members), segment, head, size, kept, columns))
        return tuple(kinds)

    def _stage(self) -> int:
        """The column with the size of the stage, which holds each trunk, or the one after it, beside each head."""
        stage = self._column(0.0, upper=inf, integral=False)
        staged = [
            (column, kind.size, (kind.segment, kind.head))
            for kind in self._kinds
            for option, column in zip(kind.options, kind.columns, strict=True)
            if option.how is How.STAGED
        ]
        for segment in range(self._problem.segments):
            for trunk in (segment, segment + 1):
                together = ((trunk, False), (segment, True))
                self._rows.add([*((c, size) for c, size, part in staged if part in together), (stage, -1.0)], -inf, 0.0)
        return stage

    def _fill(self, name: str, room: int, stage: int) -> None:
        """What lies in memory `name` fits into it."""
        terms = [
            (column, kind.size)
            for kind in self._kinds
            for option, column in zip(kind.options, kind.columns, strict=True)
            if option.load_region == name or (option.how is How.BOOT and option.region == name)
        ]
        if any(o.how is How.STAGED and o.region == name for kind in self._kinds for o in kind.options):
            terms.append((stage, 1.0))
        if self._elastic:
            largest = max(self._problem.room, key=self._problem.room.__getitem__)
            cost = _UNIT * (1.0 + (0.0 if name == largest else _BORROW_ELSEWHERE))
            terms.append((self._column(cost, upper=inf, integral=False), -1.0))
        self._rows.add(terms, -inf, room / _UNIT)


def _binding(problem: Problem, room: dict[str, int]) -> set[str]:
    """Memories that what may lie in them could fill: the others limit nothing."""
    most = dict.fromkeys(room, 0)
    for constant, options in zip(problem.found, problem.options, strict=True):
        touched = {o.load_region for o in options} | {o.region for o in options if o.how is not How.IN_PLACE}
        for name in touched:  # once each: a constant is loaded or staged there, and no stage is larger than its sum
            most[name] += aligned(constant.nbytes)
    return {name for name, nbytes in most.items() if nbytes > room[name]}


def _undominated(options: tuple[Option, ...], binding: set[str]) -> tuple[Option, ...]:
    """Without options that cost no less than another and take all it takes."""
    kept: list[tuple[Option, frozenset[tuple[str, str]]]] = []
    for option in sorted(options, key=lambda o: o.cycles):  # stable: preferred first among equals
        takes = _takes(option, binding)
        if not any(less <= takes for _, less in kept):
            kept.append((option, takes))
    return tuple(option for option, _ in kept)


def _takes(option: Option, binding: set[str]) -> frozenset[tuple[str, str]]:
    rooms = {option.load_region} | ({option.region} if option.how is How.BOOT else set())
    stage = {("stage", option.region)} if option.how is How.STAGED and option.region in binding else set()
    return frozenset({("room", name) for name in rooms & binding} | stage)
