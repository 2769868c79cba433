"""Offsets in one arena for buffers with sizes and lifetimes: near-minimal, deterministic."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ptee_mcu.plan.plan import SLOT_ALIGN, Slot

_SEED = 1  # the search is part of the compiler: equal input, equal arena
_ROUNDS = 600


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A buffer of `nbytes` needed during steps first..last, both included."""

    nbytes: int
    first: int
    last: int

    def meets(self, other: "Lifetime") -> bool:
        """True where both are needed at some step."""
        return self.first <= other.last and other.first <= self.last


def aligned(nbytes: int) -> int:
    """`nbytes` rounded up to SLOT_ALIGN."""
    return -(-nbytes // SLOT_ALIGN) * SLOT_ALIGN


def lower_bound(lifetimes: Mapping[str, Lifetime]) -> int:
    """Aligned bytes live at the widest step: no arena of these lifetimes can be smaller."""
    return max((total for _, total in _live(lifetimes)), default=0)


def widest_step(lifetimes: Mapping[str, Lifetime]) -> int:
    """The first step at which most bytes are live."""
    return max(_live(lifetimes), key=lambda entry: (entry[1], -entry[0]))[0]


def arena_bytes(slots: Mapping[str, Slot]) -> int:
    """Bytes of an arena that holds all `slots`, a multiple of SLOT_ALIGN."""
    return aligned(max((slot.end for slot in slots.values()), default=0))


def allocate(lifetimes: Mapping[str, Lifetime]) -> dict[str, Slot]:
    """A slot for every lifetime, none sharing a byte with another that is alive at the same step.

    Greedy first fit over several orders, then a seeded local search over orders; stops at the lower bound.

    Source: first fit by size, Pisarchyk & Lee 2020 (arXiv:2001.03288), section 5; the search moves a buffer that ends
    at the top of the arena before those it met.
    """
    search = _Search(list(lifetimes.values()))
    offsets = search.best(lower_bound(lifetimes))
    return {
        name: Slot(offset, live.nbytes, live.first, live.last)
        for (name, live), offset in zip(lifetimes.items(), offsets, strict=True)
    }


def _live(lifetimes: Mapping[str, Lifetime]) -> list[tuple[int, int]]:
    """(step, aligned bytes live) at every step where a buffer begins; the sum is largest at one of these."""
    return [
        (step, sum(aligned(live.nbytes) for live in lifetimes.values() if live.first <= step <= live.last))
        for step in sorted({live.first for live in lifetimes.values()})
    ]


class _Search:
    """Orders of placing buffers, and the arena each leads to."""

    def __init__(self, lifetimes: Sequence[Lifetime]) -> None:
        self.sizes = [aligned(live.nbytes) for live in lifetimes]
        self.spans = [live.last - live.first + 1 for live in lifetimes]
        self.first = [live.first for live in lifetimes]
        self.meets = [
            [j for j, other in enumerate(lifetimes) if j != i and live.meets(other)] for i, live in enumerate(lifetimes)
        ]

    def best(self, bound: int) -> list[int]:
        """Offsets of the smallest arena found."""
        starts = [self.place(order) for order in self.orders()]
        height, choice = min((self.height(offsets), i) for i, offsets in enumerate(starts))
        offsets, order = starts[choice], self.orders()[choice]
        random_source = random.Random(_SEED)  # noqa: S311 - a search, not a secret
        for _ in range(_ROUNDS):
            if height <= bound:
                break
            trial_order = self.neighbour(order, offsets, height, random_source)
            trial = self.place(trial_order)
            trial_height = self.height(trial)
            if trial_height <= height:  # sideways moves leave plateaus
                offsets, order, height = trial, trial_order, trial_height
        return offsets

    def orders(self) -> list[list[int]]:
        """Orders to begin with: by size, by area, by lifetime, by time."""
        every = range(len(self.sizes))
        return [
            sorted(every, key=lambda i: (-self.sizes[i], self.first[i])),
            sorted(every, key=lambda i: (-self.sizes[i] * self.spans[i], self.first[i])),
            sorted(every, key=lambda i: (-self.spans[i], -self.sizes[i], self.first[i])),
            sorted(every, key=lambda i: (self.first[i], -self.spans[i], -self.sizes[i])),
        ]

    def place(self, order: Sequence[int]) -> list[int]:
        """First fit: each buffer at the lowest offset free of those placed before that it meets."""
        offsets = [-1] * len(self.sizes)
        for i in order:
            taken = sorted((offsets[j], offsets[j] + self.sizes[j]) for j in self.meets[i] if offsets[j] >= 0)
            offset = 0
            for start, end in taken:
                if start - offset >= self.sizes[i]:
                    break
                offset = max(offset, end)
            offsets[i] = offset
        return offsets

    def height(self, offsets: Sequence[int]) -> int:
        """One past the highest byte used."""
        return max((offset + size for offset, size in zip(offsets, self.sizes, strict=True)), default=0)

    def neighbour(
        self, order: Sequence[int], offsets: Sequence[int], height: int, random_source: random.Random
    ) -> list[int]:
        """`order` with one buffer from the top of the arena, or one it meets, moved to an earlier place."""
        top = random_source.choice([i for i, offset in enumerate(offsets) if offset + self.sizes[i] == height])
        moved = random_source.choice([top, *self.meets[top]])
        trial = [i for i in order if i != moved]
        trial.insert(random_source.randint(0, order.index(moved)), moved)
        return trial
