"""Offsets in one arena for buffers with sizes and lifetimes: optimal, or with a stated gap; deterministic."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ptee_mcu.plan.arena_exact import EXACT_BUFFERS, improve
from ptee_mcu.plan.arena_search import place, search
from ptee_mcu.plan.buffers import Buffers, Lifetime, aligned
from ptee_mcu.plan.overlap import NONE, Overlaps
from ptee_mcu.plan.plan import Slot


@dataclass(frozen=True, slots=True)
class Layout:
    """Slots, and the bytes that no layout of the same buffers can beat: optimal where the arena has as many."""

    slots: Mapping[str, Slot]
    lower_bound_bytes: int

    @property
    def arena_bytes(self) -> int:
        """Bytes of an arena that holds all slots, a multiple of SLOT_ALIGN."""
        return aligned(max((slot.end for slot in self.slots.values()), default=0))


def allocate(lifetimes: Mapping[str, Lifetime], overlaps: Overlaps = NONE) -> Layout:
    """A slot for every lifetime; two that are alive at the same step share bytes only as `overlaps` permits.

    First fit over several orders, a seeded local search over orders, then an exhaustive one for the most crowded
    buffers, with the others put where they fit; each only where the one before has not reached the lower bound: the
    widest step, everything shared there that may be. Where an exhaustive search ends, what it found bounds all layouts.

    Args:
        lifetimes: buffers by name.
        overlaps: pairs (output, input), alive together at one step only, that may share bytes at that step if the
            output starts so many bytes before the input.
    """
    buffers = Buffers(lifetimes, overlaps)
    bound = buffers.widest[0]
    offsets = search(buffers, bound)
    if buffers.height(offsets) > bound:
        offsets, bound = _exhaust(buffers, offsets, bound)
    slots = {
        name: Slot(offset, live.nbytes, live.first, live.last)
        for (name, live), offset in zip(lifetimes.items(), offsets, strict=True)
    }
    return Layout(MappingProxyType(slots), bound)


def _exhaust(buffers: Buffers, offsets: list[int], bound: int) -> tuple[list[int], int]:
    """Offsets at most as high as `offsets`, and a better bound, by the best layouts of the most crowded buffers."""
    crowding = [0] * len(offsets)
    for _, alive in buffers.crowds:
        for i in alive:
            crowding[i] = max(crowding[i], sum(buffers.sizes[j] for j in alive))
    ranked = sorted(range(len(offsets)), key=lambda i: (-crowding[i], -buffers.sizes[i], i))
    for count in EXACT_BUFFERS:
        chosen, others = sorted(ranked[:count]), ranked[count:]
        part = buffers.part(chosen)
        found = improve(part, [offsets[i] for i in chosen], bound)
        bound = found.bound
        order = sorted(range(len(chosen)), key=lambda n: (found.offsets[n], -part.lives[n].first))
        offsets = min(offsets, place(buffers, [*(chosen[n] for n in order), *others]), key=buffers.height)
        if not others or not found.proven or buffers.height(offsets) <= bound:
            break
    return offsets, bound


def lower_bound(lifetimes: Mapping[str, Lifetime], overlaps: Overlaps = NONE) -> int:
    """Aligned bytes of the widest step, everything shared there that may be: no arena can be smaller."""
    return Buffers(lifetimes, overlaps).widest[0]


def widest_step(lifetimes: Mapping[str, Lifetime], overlaps: Overlaps = NONE) -> int:
    """The first step that needs the most bytes."""
    return Buffers(lifetimes, overlaps).widest[1]
