"""Where constants lie: types of the partition between flash and SRAM, and its verifier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from ptee_mcu.errors import VerifyError
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.target import Target
from ptee_mcu.units import rounded_up

CONSTANT_ALIGN = 4  # CMSIS-NN reads int8 weights by the word, and multipliers are words


class How(Enum):
    """How a kernel gets at a constant."""

    IN_PLACE = "in place"  # read where the image holds it
    BOOT = "loaded at boot"  # copied once, before main; constant from then on
    STAGED = "staged on entry"  # copied into the caller's stage when its segment, or its head, begins


@dataclass(frozen=True, slots=True)
class Constant:
    """An array of a node; `head`: of a node that only the exit of its segment needs."""

    name: str  # node:role
    nbytes: int
    segment: int
    head: bool


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a constant lies: the kernel reads it in `region`, the image holds it in `load_region`.

    `offset`: bytes from the start of the stage where it is staged, else None.
    """

    how: How
    region: str
    load_region: str
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """The buffer that staged constants share: the caller gives it at init, in `region`."""

    region: str
    nbytes: int


def constants(graph: QuantGraph) -> tuple[Constant, ...]:
    """Every constant of the nodes of `graph`, in the order of execution."""
    heads = graph.head_nodes()
    return tuple(
        Constant(f"{node.name}:{role}", array.nbytes, segment, node.name in heads)
        for segment, nodes in enumerate(graph.segments())
        for node in nodes
        for role, array in node.op.constants.items()
    )


def all_in_place(graph: QuantGraph, target: Target) -> Mapping[str, Placement]:
    """Every constant where code lies: what happens where nothing is decided."""
    place = Placement(How.IN_PLACE, target.code_region.name, target.code_region.name)
    return MappingProxyType(dict.fromkeys((constant.name for constant in constants(graph)), place))


def aligned(nbytes: int) -> int:
    """`nbytes` rounded up to CONSTANT_ALIGN."""
    return rounded_up(nbytes, CONSTANT_ALIGN)


def verify_placements(
    found: Sequence[Constant], placements: Mapping[str, Placement], stage: Stage | None, target: Target
) -> None:
    """Holds placements to their contract: every constant placed, in memories that may hold it, stages disjoint.

    While a head runs, the constants of the segment after it may already be on their way: what is staged for a head
    shares no byte with what is staged for its own segment or the next one.

    Raises:
        VerifyError: naming the constant that breaks it.
    """
    if missing := {c.name for c in found} ^ set(placements):
        raise VerifyError(f"{min(missing)}: no constant of the network, or one without a place")
    for constant in found:
        _verify_one(constant, placements[constant.name], stage, target)
    staged = [c for c in found if placements[c.name].how is How.STAGED]
    for i, one in enumerate(staged):
        for other in staged[:i]:
            if _together(one, other) and _share(one, other, placements):
                raise VerifyError(f"{one.name} and {other.name} are staged at the same time and share bytes")


def _verify_one(constant: Constant, place: Placement, stage: Stage | None, target: Target) -> None:
    region, load = target.region(place.region), target.region(place.load_region)
    if "constants" not in load.holds or "data" in load.holds:
        raise VerifyError(f"{constant.name}: its image lies in {load.name}, which holds no constants when power comes")
    if place.how is How.IN_PLACE and region != load:
        raise VerifyError(f"{constant.name}: read in place in {region.name}, but its image lies in {load.name}")
    if place.how is not How.IN_PLACE and "data" not in region.holds:
        raise VerifyError(f"{constant.name}: {place.how.value} in {region.name}, which cannot be written")
    if (place.how is How.STAGED) != (place.offset is not None):
        raise VerifyError(f"{constant.name}: {place.how.value} with offset {place.offset} in the stage")
    if place.offset is not None:
        if stage is None or stage.region != place.region:
            raise VerifyError(f"{constant.name}: staged in {place.region}, where there is no stage")
        if place.offset % CONSTANT_ALIGN or place.offset < 0 or place.offset + constant.nbytes > stage.nbytes:
            raise VerifyError(f"{constant.name}: bytes from {place.offset} of a stage of {stage.nbytes} B")


def _together(one: Constant, other: Constant) -> bool:
    """True where both may lie in the stage at the same time."""
    if one.segment == other.segment:
        return True
    early, late = sorted((one, other), key=lambda c: c.segment)
    return early.head and not late.head and late.segment == early.segment + 1


def _share(one: Constant, other: Constant, placements: Mapping[str, Placement]) -> bool:
    a, b = placements[one.name].offset, placements[other.name].offset
    assert a is not None
    assert b is not None
    return a < b + other.nbytes and b < a + one.nbytes
