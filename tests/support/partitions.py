"""Constants, boards and prices to partition, and every layout of them tried one by one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from hypothesis import strategies as st
from support.targets import region, tiny_board

from ptee_mcu.plan.partition import Mode, Needs, Objective, Partition, Prices, partition
from ptee_mcu.plan.placement import Constant, How
from ptee_mcu.target import Region, Target

Spot = tuple[How, str, str]  # how, region, load region


@dataclass(frozen=True, slots=True)
class Case:
    found: tuple[Constant, ...]
    board: Target
    needs: Needs
    prices: Prices
    reach: tuple[float, ...]
    head_reach: tuple[float, ...]

    def solve(
        self,
        mode: Mode = Mode.AUTO,
        objective: Objective = Objective.MEAN,
        time_limit_s: float = 8.0,
        larger: Callable[[int, int], str | None] | None = None,
    ) -> Partition:
        return partition(
            self.found,
            self.board,
            self.needs,
            self.prices,
            reach=self.reach,
            head_reach=self.head_reach,
            mode=mode,
            objective=objective,
            time_limit_s=time_limit_s,
            larger=larger,
        )

    def cycles(self, spots: Sequence[Spot], arena: str, *, worst: bool = False) -> float:
        total = self.prices.arena[arena]
        for constant, (how, run, load) in zip(self.found, spots, strict=True):
            weight = 1.0 if worst else (self.head_reach if constant.head else self.reach)[constant.segment]
            copied = self.prices.copy[constant.name][load] if how is How.STAGED else 0.0
            total += weight * (self.prices.read[constant.name][run] + copied)
        return total

    def spots(self, made: Partition) -> list[Spot]:
        places = [made.placements[constant.name] for constant in self.found]
        return [(place.how, place.region, place.load_region) for place in places]

    def taken(self, spots: Sequence[Spot], arena: str) -> Mapping[str, int]:
        """Bytes per memory, all of them counted."""
        taken = {r.name: up(self.needs.reserved.get(r.name, 0), 4) for r in self.board.regions}
        taken[self.board.main_ram.name] += up(self.needs.stack_bytes, 8)
        taken[arena] += up(self.needs.arena_bytes, 16)
        parts: dict[tuple[int, bool], int] = {}
        for constant, (how, run, load) in zip(self.found, spots, strict=True):
            nbytes = up(constant.nbytes, 4)
            taken[load] += nbytes
            if how is How.BOOT:
                taken[run] += nbytes
            if how is How.STAGED:
                parts[constant.segment, constant.head] = parts.get((constant.segment, constant.head), 0) + nbytes
        if stages := {run for how, run, _ in spots if how is How.STAGED}:
            beside = [(s, after) for s in range(len(self.reach)) for after in (s, s + 1)]
            widest = max(parts.get((after, False), 0) + parts.get((s, True), 0) for s, after in beside)
            taken[stages.pop()] += widest
        return taken

    def fits(self, spots: Sequence[Spot], arena: str) -> bool:
        if len({run for how, run, _ in spots if how is How.STAGED}) > 1:
            return False
        return all(nbytes <= self.board.region(name).nbytes for name, nbytes in self.taken(spots, arena).items())

    def layouts(self, mode: Mode) -> Iterator[tuple[tuple[Spot, ...], str]]:
        """Every layout that `mode` allows, whether it fits or not."""
        fixed = [r.name for r in self.board.regions if "data" not in r.holds]
        written = [r.name for r in self.board.regions if "data" in r.holds]
        moved: list[Spot] = [(how, run, load) for how in (How.BOOT, How.STAGED) for run in written for load in fixed]
        every: list[Spot] = [(How.IN_PLACE, load, load) for load in fixed] + moved
        wanted = {Mode.FLASH: (How.IN_PLACE,), Mode.BOOT: (How.BOOT,), Mode.STAGED: (How.STAGED,)}.get(mode, tuple(How))
        spots = [spot for spot in every if spot[0] in wanted]
        code = self.board.code_region
        room = code.nbytes - up(self.needs.reserved.get(code.name, 0), 4)
        if mode is Mode.FLASH and sum(up(constant.nbytes, 4) for constant in self.found) <= room:
            spots = [(How.IN_PLACE, code.name, code.name)]
        for chosen in product(spots, repeat=len(self.found)):
            for arena in written:
                yield chosen, arena

    def least(self, mode: Mode, *, worst: bool = False) -> float | None:
        """Fewest cycles of any layout that fits; None where none does."""
        fitting = (self.cycles(*layout, worst=worst) for layout in self.layouts(mode) if self.fits(*layout))
        return min(fitting, default=None)

    def least_shortage(self, mode: Mode) -> int:
        """Fewest bytes that a layout lacks."""
        return min(
            sum(max(0, n - self.board.region(name).nbytes) for name, n in self.taken(*layout).items())
            for layout in self.layouts(mode)
            if len({run for how, run, _ in layout[0] if how is How.STAGED}) <= 1
        )


def up(nbytes: int, unit: int) -> int:
    return -(-nbytes // unit) * unit


def board(*regions: Region) -> Target:
    return replace(tiny_board(), regions=regions)


@st.composite
def cases(draw: st.DrawFn, most: int = 5) -> Case:
    """Up to `most` constants in up to three segments; flash, SRAM and a third memory, each too small or not."""
    segments = draw(st.integers(1, 3))
    found = []
    for i in range(draw(st.integers(0, most))):
        segment = draw(st.integers(0, segments - 1))
        head = draw(st.booleans()) and segment < segments - 1
        found.append(Constant(f"n{i}:weights", draw(st.integers(1, 40)), segment, head))
    found.sort(key=lambda constant: (constant.segment, constant.head))
    largest = 8 * max(most, 5)  # words: about one memory in three is too small for all
    third = draw(st.sampled_from(["external", "tcm", "sram"]))
    target = board(
        region("FLASH", "flash", 0, draw(st.integers(16, largest)) * 4),
        region("SRAM", "sram", 1 << 29, draw(st.integers(8, largest)) * 4),
        region("MORE", third, 1 << 30, draw(st.integers(8, largest)) * 4),
    )
    cycles = st.integers(0, 30).map(float)
    names = [r.name for r in target.regions]
    return Case(
        found=tuple(found),
        board=target,
        needs=Needs(draw(st.integers(1, 40)), draw(st.integers(0, 20)), {"FLASH": draw(st.integers(0, 30))}),
        prices=Prices(
            read={c.name: {name: draw(cycles) for name in names} for c in found},
            copy={c.name: {name: draw(cycles) for name in names} for c in found},
            arena={name: draw(cycles) for name in names},
        ),
        reach=tuple(draw(st.sampled_from([0.0, 0.25, 0.5, 1.0])) for _ in range(segments)),
        head_reach=tuple(draw(st.sampled_from([0.0, 0.5, 1.0])) for _ in range(segments)),
    )


def by_bytes(
    found: Sequence[Constant],
    target: Target,
    waits: Mapping[str, float],
    *,
    needs: Needs | None = None,
    passes: Mapping[str, int] | None = None,
    reach: Sequence[float] = (1.0,),
) -> Case:
    """Reads wait `waits` cycles a byte, `passes` times (once where not said); a copy waits and takes half a cycle."""
    times = passes or {}
    return Case(
        found=tuple(found),
        board=target,
        needs=needs or Needs(16, 0, {}),
        prices=Prices(
            read={c.name: {r: c.nbytes * times.get(c.name, 1) * wait for r, wait in waits.items()} for c in found},
            copy={c.name: {r: c.nbytes * (0.5 + wait) for r, wait in waits.items()} for c in found},
            arena=dict(waits),
        ),
        reach=tuple(reach),
        head_reach=tuple(reach),
    )


def resnet110(target: Target, waits: Mapping[str, float], *, segments: int = 5) -> Case:
    """109 convolutions of 16, 32 and 64 channels with a head of two layers after each segment but the last."""
    found, passes = [], {}
    for layer in range(109):
        stage = layer // 37
        segment, channels = layer * segments // 109, 16 << stage
        for role, nbytes in (
            ("weights", 9 * channels**2),
            *((r, 4 * channels) for r in ("bias", "multiplier", "shift")),
        ):
            found.append(Constant(f"conv{layer}:{role}", nbytes, segment, head=False))
        passes[f"conv{layer}:weights"] = 512 >> 2 * stage
        if segment < (layer + 1) * segments // 109 < segments:
            for name in ("logits", "confidence"):
                found.append(Constant(f"head{segment}.{name}:weights", 10 * channels, segment, head=True))
                found.append(Constant(f"head{segment}.{name}:bias", 40, segment, head=True))
    reach = tuple(0.7**segment for segment in range(segments))
    return by_bytes(found, target, waits, needs=Needs(60_000, 4096, {"FLASH": 100_000}), passes=passes, reach=reach)
