"""Near-minimal arenas: first fit over orders of placing buffers, and a seeded search for a better order."""

import random
from collections.abc import Sequence

from ptee_mcu.plan.buffers import Buffers

_SEED = 1  # the search is part of the compiler: equal input, equal arena
_PLACEMENTS = 60_000  # buffers placed by the search over orders, at most
_ROUNDS = 600


def search(buffers: Buffers, bound: int) -> list[int]:
    """Offsets of the smallest arena found; ends at `bound`.

    Some order leads first fit to the smallest arena there is: the one in which that arena's buffers start, an output
    before what it is written over where both start together.

    Source: first fit by size, Pisarchyk & Lee 2020 (arXiv:2001.03288), section 5; the search moves a buffer that ends
    at the top of the arena before those it met.
    """
    orders = _orders(buffers)
    starts = [place(buffers, order) for order in orders]
    height, choice = min((buffers.height(offsets), i) for i, offsets in enumerate(starts))
    offsets, order = starts[choice], orders[choice]
    random_source = random.Random(_SEED)  # noqa: S311 - a search, not a secret
    for _ in range(min(_ROUNDS, _PLACEMENTS // max(1, len(order)))):
        if height <= bound:
            break
        trial_order = _neighbour(buffers, order, offsets, height, random_source)
        trial = place(buffers, trial_order)
        trial_height = buffers.height(trial)
        if trial_height <= height:  # sideways moves leave plateaus
            offsets, order, height = trial, trial_order, trial_height
    return offsets


def place(buffers: Buffers, order: Sequence[int]) -> list[int]:
    """First fit: each buffer at the lowest offset that those placed before, which it meets, leave to it."""
    offsets = [-1] * len(buffers.sizes)
    for i in order:
        gap = buffers.gap[i]
        taken = sorted(
            (offsets[j] - gap[j], offsets[j] + buffers.gap[j][i]) for j in buffers.meets[i] if offsets[j] >= 0
        )
        offset = 0
        for below, above in taken:  # offsets strictly between are not free
            if offset <= below:
                break
            offset = max(offset, above)
        offsets[i] = offset
    return offsets


def _orders(buffers: Buffers) -> list[list[int]]:
    """Orders to begin with: by size, by area, by lifetime, by time; equal ones from first to last and back."""
    sizes, lives = buffers.sizes, buffers.lives
    spans = [live.last - live.first + 1 for live in lives]
    every = range(len(sizes))
    forward = sorted(every, key=lambda i: (lives[i].first, -spans[i], -sizes[i]))
    backward = sorted(every, key=lambda i: (-lives[i].last, -spans[i], -sizes[i]))
    return [
        order
        for times in (forward, backward)
        for order in (
            sorted(times, key=lambda i: -sizes[i]),
            sorted(times, key=lambda i: -sizes[i] * spans[i]),
            sorted(times, key=lambda i: (-spans[i], -sizes[i])),
            times,
        )
    ]


def _neighbour(
    buffers: Buffers, order: Sequence[int], offsets: Sequence[int], height: int, random_source: random.Random
) -> list[int]:
    """`order` with one buffer from the top of the arena, or one it meets, moved to an earlier place."""
    top = random_source.choice([i for i, offset in enumerate(offsets) if offset + buffers.sizes[i] == height])
    moved = random_source.choice([top, *buffers.meets[top]])
    trial = [i for i in order if i != moved]
    trial.insert(random_source.randint(0, order.index(moved)), moved)
    return trial
