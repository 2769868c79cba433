"""What may lie where: the places open to every constant, what each costs, and what room the memories have."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum
from types import MappingProxyType

from ptee_mcu.plan.placement import Constant, How, Placement, Stage, aligned
from ptee_mcu.plan.plan import ARENA_ALIGN
from ptee_mcu.plan.settings import Objective
from ptee_mcu.target import Region, Target
from ptee_mcu.units import rounded_up

STACK_ALIGN = 8  # AAPCS32, section 6.2.1.2


@dataclass(frozen=True, slots=True)
class Prices:
    """Core cycles waited in one execution of a constant's segment, or of its head.

    `read`: constant -> memory -> where the kernel reads it there. `copy`: constant -> memory of its image -> to bring
    it into the stage. `arena`: memory -> per inference, weighted by reach, if the arena lies there. What has no price
    is no choice.
    """

    read: Mapping[str, Mapping[str, float]]
    copy: Mapping[str, Mapping[str, float]]
    arena: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes that are no constant: arena, stack, and per memory what others take (code, the application)."""

    arena_bytes: int
    stack_bytes: int
    reserved: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Option:
    """A place for one constant; `cycles` are waited for it per inference, weighted by reach."""

    how: How
    region: str
    load_region: str
    cycles: float


@dataclass(frozen=True, slots=True)
class Layout:
    """One option per constant, in their order, and the memory of the arena."""

    arena: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """`options` of each constant, preferred first among equals; `room`: bytes left by stack and reserved bytes."""

    found: tuple[Constant, ...]
    options: tuple[tuple[Option, ...], ...]
    arena: Mapping[str, float]
    arena_bytes: int
    room: Mapping[str, int]

    @property
    def segments(self) -> int:
        """Number of exit segments."""
        return 1 + max((constant.segment for constant in self.found), default=0)

    @property
    def cheapest(self) -> float:
        """Cycles if every memory had room for everything: no layout can beat them."""
        best = [min(option.cycles for option in options) for options in self.options]
        return fsum((min(self.arena.values()), *best))

    def only(self, keep: Callable[[Option], bool]) -> "Problem":
        """The same with the options that `keep` keeps."""
        return replace(self, options=tuple(tuple(filter(keep, options)) for options in self.options))

    def cycles(self, layout: Layout) -> float:
        """What is minimized: cycles waited per inference."""
        return fsum((self.arena[layout.arena], *(option.cycles for option in layout.options)))


def pose(
    found: Sequence[Constant],
    target: Target,
    needs: Needs,
    prices: Prices,
    *,
    reach: Sequence[float],
    head_reach: Sequence[float],
    objective: Objective,
) -> Problem:
    """Every option of every constant: in place, then loaded at boot, then staged; memories in the target's order."""
    always = objective is Objective.WORST
    weights = [1.0 if always else (head_reach if c.head else reach)[c.segment] for c in found]
    return Problem(
        found=tuple(found),
        options=tuple(_options(c, target, prices, weight) for c, weight in zip(found, weights, strict=True)),
        arena=MappingProxyType(
            {r.name: prices.arena[r.name] for r in written_regions(target) if r.name in prices.arena}
        ),
        arena_bytes=rounded_up(needs.arena_bytes, ARENA_ALIGN),
        room=MappingProxyType({region.name: _room(region, target, needs) for region in target.regions}),
    )


def _options(constant: Constant, target: Target, prices: Prices, weight: float) -> tuple[Option, ...]:
    read, copy = prices.read[constant.name], prices.copy.get(constant.name, {})
    loads = [region.name for region in fixed_regions(target)]
    runs = [region.name for region in written_regions(target) if region.name in read]
    return (
        *(Option(How.IN_PLACE, load, load, weight * read[load]) for load in loads if load in read),
        *(Option(How.BOOT, run, load, weight * read[run]) for run in runs for load in loads),
        *(
            Option(How.STAGED, run, load, weight * (read[run] + copy[load]))
            for run in runs
            for load in loads
            if load in copy
        ),
    )


def fixed_regions(target: Target) -> tuple[Region, ...]:
    """Memories that hold constants when power comes: where code lies first, then in the target's order."""
    found = [r for r in target.regions if "constants" in r.holds and "data" not in r.holds]
    return tuple(sorted(found, key=lambda region: region != target.code_region))


def written_regions(target: Target) -> tuple[Region, ...]:
    """Memories that hold data, in the target's order."""
    return tuple(region for region in target.regions if "data" in region.holds)


def _room(region: Region, target: Target, needs: Needs) -> int:
    stack = rounded_up(needs.stack_bytes, STACK_ALIGN) if region == target.main_ram else 0
    return region.nbytes - region.null_bytes - stack - aligned(needs.reserved.get(region.name, 0))


class Ledger:
    """Bytes taken in every memory by a layout, kept up to date while constants move."""

    def __init__(self, problem: Problem, layout: Layout) -> None:
        self._problem = problem
        self._sizes = [aligned(constant.nbytes) for constant in problem.found]
        self._left = dict(problem.room)
        self._left[layout.arena] -= problem.arena_bytes
        self._trunks = [0] * (problem.segments + 1)
        self._heads = [0] * problem.segments
        self._staged: Counter[str] = Counter()
        self._booted = 0
        self.arena = layout.arena
        self.options = list(layout.options)
        for i, option in enumerate(layout.options):
            self._book(i, option, 1)

    @property
    def layout(self) -> Layout:
        """What is booked now."""
        return Layout(self.arena, tuple(self.options))

    @property
    def stage_bytes(self) -> int:
        """Bytes of the stage: trunks lie at its bottom, heads at its top, and the next trunk may come during a head."""
        pairs = zip(self._trunks, self._trunks[1:], self._heads, strict=False)
        return max(max(trunk, after) + head for trunk, after, head in pairs)

    @property
    def ram_bytes(self) -> int:
        """Bytes of constants loaded at boot, and of the stage."""
        return self._booted + self.stage_bytes

    @property
    def stage_regions(self) -> tuple[str, ...]:
        """Memories in which constants are staged; more than one is no layout."""
        return tuple(name for name, count in self._staged.items() if count)

    def short(self) -> dict[str, int]:
        """Bytes missing per memory where some are."""
        stages, nbytes = self.stage_regions, self.stage_bytes
        left = {name: free - (nbytes if name in stages else 0) for name, free in self._left.items()}
        return {name: -free for name, free in left.items() if free < 0}

    def holds(self) -> bool:
        """True where everything fits and there is at most one stage."""
        return len(self.stage_regions) <= 1 and not self.short()

    def move(self, i: int, option: Option) -> None:
        """Constant `i` goes to `option`."""
        self._book(i, self.options[i], -1)
        self._book(i, option, 1)
        self.options[i] = option

    def move_arena(self, region: str) -> None:
        """The arena goes to `region`."""
        self._left[self.arena] += self._problem.arena_bytes
        self._left[region] -= self._problem.arena_bytes
        self.arena = region

    def _book(self, i: int, option: Option, sign: int) -> None:
        constant, nbytes = self._problem.found[i], sign * self._sizes[i]
        self._left[option.load_region] -= nbytes
        if option.how is How.BOOT:
            self._left[option.region] -= nbytes
            self._booted += nbytes
        elif option.how is How.STAGED:
            (self._heads if constant.head else self._trunks)[constant.segment] += nbytes
            self._staged[option.region] += sign


def place(problem: Problem, layout: Layout) -> tuple[Mapping[str, Placement], Stage | None]:
    """Placements of `layout` and its stage: offsets of trunks from its bottom upwards, of heads from its top down."""
    ledger = Ledger(problem, layout)
    stage = Stage(ledger.stage_regions[0], ledger.stage_bytes) if ledger.stage_regions else None
    taken: Counter[tuple[int, bool]] = Counter()
    placements = {}
    for constant, option in zip(problem.found, layout.options, strict=True):
        offset = None
        if stage and option.how is How.STAGED:
            key, nbytes = (constant.segment, constant.head), aligned(constant.nbytes)
            taken[key] += nbytes
            offset = stage.nbytes - taken[key] if constant.head else taken[key] - nbytes
        placements[constant.name] = Placement(option.how, option.region, option.load_region, offset)
    return MappingProxyType(placements), stage
