"""What lies where in each memory of a board, in the stage per exit segment, in the arena over time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from ptee_mcu.plan.placement import Constant, How, aligned, constants
from ptee_mcu.plan.plan import Plan
from ptee_mcu.plan.used import Fixed, widest_step
from ptee_mcu.units import show_bytes


class What(Enum):
    """What a block of a memory is."""

    CODE = "code"
    IN_PLACE = "constants read in place"
    IMAGE_BOOT = "images of constants loaded at boot"
    IMAGE_STAGED = "images of staged constants"
    BOOT = "constants loaded at boot"
    STAGE = "stage"
    ARENA = "arena"
    VARIABLES = "variables"
    STACK = "stack"


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes of a memory with one purpose; `segment` and `head`: whose constants they are, None and False for others."""

    what: What
    nbytes: int
    segment: int | None = None
    head: bool = False
    parts: tuple[tuple[str, int], ...] = ()  # constants, the largest first


@dataclass(frozen=True, slots=True)
class RegionMap:
    """A memory; its blocks stand one after the other, in an order that the linker is free to change."""

    name: str
    kind: str
    base: int
    nbytes: int
    blocks: tuple[Block, ...]

    @property
    def used(self) -> int:
        """Bytes of all blocks."""
        return sum(block.nbytes for block in self.blocks)

    @property
    def figures(self) -> str:
        """Used, size and what is left in words."""
        left = f"{self.free:,} B free" if self.free >= 0 else f"{-self.free:,} B too much"
        return f"{self.used:,} B of {show_bytes(self.nbytes)} ({self.used / self.nbytes:.1%}), {left}"

    @property
    def free(self) -> int:
        """Bytes that are left; below zero where the blocks do not fit."""
        return self.nbytes - self.used


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes [offset, offset + nbytes) of the arena or the stage during steps first..last, both included.

    `segment` is that of the step that writes them, None for the network's input; `minor`: scratch, or of a head.
    """

    name: str
    offset: int
    nbytes: int
    first: int
    last: int
    segment: int | None
    minor: bool = False

    @property
    def end(self) -> int:
        """One past the last byte."""
        return self.offset + self.nbytes


@dataclass(frozen=True, slots=True)
class Shared:
    """Bytes [offset, offset + nbytes) that a step reads from `source` and overwrites with `output`."""

    output: str
    source: str
    offset: int
    nbytes: int
    step: int


@dataclass(frozen=True, slots=True)
class SegmentMap:
    """Steps first..last of an exit segment; `reach`: fraction of inputs that enter it, None where unknown."""

    exit: str
    first: int
    last: int
    reach: float | None


@dataclass(frozen=True, slots=True)
class MemoryMap:
    """Everything that both pictures show. `steps`: name and kind of every op in order; `widest`: the arena's step."""

    name: str
    board: str
    point: str
    regions: tuple[RegionMap, ...]
    segments: tuple[SegmentMap, ...]
    steps: tuple[tuple[str, str], ...]
    arena_region: str
    arena_bytes: int
    lower_bound_bytes: int
    arena: tuple[Held, ...]
    shared: tuple[Shared, ...]
    widest: int
    stage_region: str | None
    stage_bytes: int
    stage: tuple[Held, ...]


def memory_map(plan: Plan, fixed: Fixed) -> MemoryMap:
    """The memories of the board with what `plan` puts there; `fixed` adds code, variables and stack."""
    graph = plan.graph
    found = constants(graph)
    reach = graph.point.reach
    parts = [plan.segment_steps(i) for i in range(len(graph.exits))]
    return MemoryMap(
        name=graph.name,
        board=plan.target.title,
        point=graph.point.name,
        regions=tuple(
            RegionMap(r.name, r.kind, r.base, r.nbytes, tuple(_blocks(plan, fixed, found, r.name)))
            for r in plan.target.regions
        ),
        segments=tuple(
            SegmentMap(graph.exits[i].name, steps[0].index, steps[-1].index, None if reach is None else reach[i])
            for i, steps in enumerate(parts)
        ),
        steps=tuple((step.node.name, step.node.op.template) for step in plan.steps),
        arena_region=plan.arena_region,
        arena_bytes=plan.arena_bytes,
        lower_bound_bytes=plan.lower_bound_bytes,
        arena=_arena(plan),
        shared=tuple(_shared(plan)),
        widest=widest_step(plan).index,
        stage_region=plan.stage.region if plan.stage else None,
        stage_bytes=plan.stage.nbytes if plan.stage else 0,
        stage=_staged(plan, found),
    )


def arena_words(found: MemoryMap) -> str:
    """Size of the arena and how far it is from the least there can be."""
    more = found.arena_bytes - found.lower_bound_bytes
    gap = f"{more:,} B ({more / found.lower_bound_bytes:.1%}) above" if more else "equal to"
    return f"{found.arena_bytes:,} B in {found.arena_region}, {gap} its lower bound"


def _blocks(plan: Plan, fixed: Fixed, found: tuple[Constant, ...], region: str) -> Iterator[Block]:
    if fixed.code_bytes and region == plan.target.code_region.name:
        yield Block(What.CODE, fixed.code_bytes)
    for what, how, loads in (
        (What.IN_PLACE, How.IN_PLACE, True),
        (What.IMAGE_BOOT, How.BOOT, True),
        (What.IMAGE_STAGED, How.STAGED, True),
        (What.BOOT, How.BOOT, False),
    ):
        yield from _constants(plan, found, what, _lies(plan, how, region, in_image=loads))
    if plan.stage and region == plan.stage.region:
        yield Block(What.STAGE, plan.stage.nbytes)
    if region == plan.arena_region:
        yield Block(What.ARENA, plan.arena_bytes)
    if region == plan.target.main_ram.name:
        for what, nbytes in ((What.VARIABLES, fixed.static_bytes), (What.STACK, fixed.stack_bytes)):
            if nbytes:
                yield Block(what, nbytes)


def _lies(plan: Plan, how: How, region: str, *, in_image: bool) -> Callable[[Constant], bool]:
    def lies(constant: Constant) -> bool:
        place = plan.placements[constant.name]
        return place.how is how and region == (place.load_region if in_image else place.region)

    return lies


def _constants(
    plan: Plan, found: tuple[Constant, ...], what: What, chosen: Callable[[Constant], bool]
) -> Iterator[Block]:
    """A block per segment, its head apart."""
    for segment in range(len(plan.graph.exits)):
        for head in (False, True):
            held = [c for c in found if (c.segment, c.head) == (segment, head) and chosen(c)]
            if held:
                parts = sorted(((c.name, c.nbytes) for c in held), key=lambda part: (-part[1], part[0]))
                yield Block(what, sum(aligned(c.nbytes) for c in held), segment, head, tuple(parts))


def _arena(plan: Plan) -> tuple[Held, ...]:
    writers = {name: step for step in plan.steps for name in (step.node.output, step.scratch)}
    return tuple(
        Held(
            name=name,
            offset=slot.offset,
            nbytes=slot.nbytes,
            first=slot.first,
            last=slot.last,
            segment=writers[name].segment if name in writers else None,
            minor=name in writers and name == writers[name].scratch,
        )
        for name, slot in sorted(plan.arena.items(), key=lambda item: (item[1].first, item[1].offset, item[0]))
    )


def _shared(plan: Plan) -> Iterator[Shared]:
    for step in plan.steps:
        output = plan.arena[step.node.output]
        for name in dict.fromkeys(step.node.inputs):
            source = plan.arena[name]
            if output.overlaps(source):
                start, end = max(output.offset, source.offset), min(output.end, source.end)
                yield Shared(step.node.output, name, start, end - start, step.index)


def _staged(plan: Plan, found: tuple[Constant, ...]) -> tuple[Held, ...]:
    """Staged constants of a trunk lie there while their segment runs, those of a head from its first step on."""
    at = {step.node.name: step for step in plan.steps}
    held = []
    for constant in found:
        place = plan.placements[constant.name]
        if place.offset is None:
            continue
        steps = plan.segment_steps(constant.segment)
        heads = [at[c.name.rpartition(":")[0]].index for c in found if c.head and c.segment == constant.segment]
        first = min(heads) if constant.head else steps[0].index
        held.append(
            Held(constant.name, place.offset, constant.nbytes, first, steps[-1].index, constant.segment, constant.head)
        )
    return tuple(held)
