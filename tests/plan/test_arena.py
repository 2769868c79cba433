"""Layouts of buffers with lifetimes: no shared bytes but those permitted, at or near the smallest arena there is."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ptee_mcu.plan.arena import Layout, allocate, lower_bound, widest_step
from ptee_mcu.plan.arena_search import place
from ptee_mcu.plan.buffers import Buffers, Lifetime, aligned
from ptee_mcu.plan.overlap import Overlaps

Lives = dict[str, Lifetime]
Case = tuple[Lives, Overlaps]


@st.composite
def cases(draw: st.DrawFn, *, most: int = 9, longest: int = 7) -> Case:
    """Buffers as a network has them: one that begins at a step is its output, and may lie over some that end there."""
    steps = draw(st.integers(1, longest))
    lives: Lives = {}
    for i in range(draw(st.integers(0, most))):
        first = draw(st.integers(0, steps - 1))
        lives[f"t{i}"] = Lifetime(draw(st.integers(1, 5000)), first, draw(st.integers(first, steps - 1)))
    outputs = {live.first: name for name, live in reversed(lives.items())}
    overlaps = {
        (outputs[live.last], name): draw(st.integers(0, 2000))
        for name, live in lives.items()
        if live.first < live.last and live.last in outputs and draw(st.booleans())
    }
    return lives, overlaps


def offends(layout: Layout, overlaps: Overlaps) -> list[tuple[str, str]]:
    """Pairs that share a byte at the same step and are not permitted to, at that distance."""
    found = []
    for (a, slot), (b, other) in combinations(layout.slots.items(), 2):
        near = [(a, b), (b, a)]
        permitted = any(
            pair in overlaps and layout.slots[pair[1]].offset - layout.slots[pair[0]].offset >= overlaps[pair]
            for pair in near
        )
        if slot.overlaps(other) and not permitted:
            found.append((a, b))
    return found


@given(cases())
def test_no_two_live_tensors_share_a_byte_but_an_output_and_an_input_at_their_distance(case: Case) -> None:
    assert not offends(allocate(*case), case[1])


@given(cases(most=30, longest=14))
@settings(max_examples=5, deadline=None)
def test_many_buffers_keep_the_contract_too(case: Case) -> None:
    layout = allocate(*case)
    assert not offends(layout, case[1])
    assert layout.arena_bytes >= layout.lower_bound_bytes


@given(cases())
def test_without_permission_no_two_live_tensors_share_a_byte(case: Case) -> None:
    assert not offends(allocate(case[0]), {})


@given(cases())
def test_the_arena_never_beats_the_lower_bound(case: Case) -> None:
    layout = allocate(*case)
    assert layout.arena_bytes >= layout.lower_bound_bytes >= lower_bound(*case)


@given(cases())
def test_the_arena_is_at_most_all_buffers_side_by_side(case: Case) -> None:
    layout = allocate(*case)
    assert layout.arena_bytes <= sum(aligned(slot.nbytes) for slot in layout.slots.values())


@given(cases())
def test_slots_keep_size_and_lifetime_and_are_aligned(case: Case) -> None:
    layout = allocate(*case)
    assert list(layout.slots) == list(case[0])
    for name, slot in layout.slots.items():
        assert Lifetime(slot.nbytes, slot.first, slot.last) == case[0][name]
        assert slot.offset % 4 == 0
        assert slot.end <= layout.arena_bytes


@given(cases())
def test_equal_buffers_get_equal_slots(case: Case) -> None:
    assert allocate(*case) == allocate(dict(case[0]), dict(case[1]))


@given(cases().filter(lambda case: bool(case[0])))
def test_the_widest_step_holds_as_many_bytes_as_the_lower_bound_says(case: Case) -> None:
    lives, _ = case
    step = widest_step(lives)
    held = sum(aligned(b.nbytes) for b in lives.values() if b.first <= step <= b.last)
    assert held == lower_bound(lives)


@given(cases(most=6, longest=5))
@settings(max_examples=150, deadline=None)
def test_the_arena_of_few_buffers_is_the_best_of_every_order_of_placing_them_and_the_bound_says_so(case: Case) -> None:
    buffers = Buffers(*case)
    best = min(buffers.height(place(buffers, order)) for order in permutations(range(len(case[0]))))
    layout = allocate(*case)
    assert layout.arena_bytes == layout.lower_bound_bytes == best


@given(cases(most=6, longest=4))
@settings(max_examples=60, deadline=None)
@example(({"a": Lifetime(8, 0, 1), "b": Lifetime(8, 1, 1), "c": Lifetime(4, 1, 1)}, {("b", "a"): 4}))
def test_no_layout_on_a_grid_beats_the_lower_bound(case: Case) -> None:
    lives = {name: Lifetime(1 + live.nbytes % 16, live.first, live.last) for name, live in case[0].items()}
    overlaps = {pair: distance % 12 for pair, distance in case[1].items()}
    layout = allocate(lives, overlaps)
    assert grid_minimum(Buffers(lives, overlaps)) == layout.arena_bytes == layout.lower_bound_bytes


def grid_minimum(buffers: Buffers) -> int:
    """The smallest arena by trying every multiple of 4 for every buffer."""
    height = buffers.height([0] * len(buffers.sizes))
    while not _fits(buffers, [], height):
        height += 4
    return height


def _fits(buffers: Buffers, offsets: list[int], height: int) -> bool:
    i = len(offsets)
    if i == len(buffers.sizes):
        return True
    for offset in range(0, height - buffers.sizes[i] + 1, 4):
        apart = all(
            offset + buffers.gap[i][j] <= offsets[j] or offsets[j] + buffers.gap[j][i] <= offset
            for j in buffers.meets[i]
            if j < i
        )
        if apart and _fits(buffers, [*offsets, offset], height):
            return True
    return False


@pytest.mark.parametrize("seed", range(4))
def test_the_arena_is_not_above_the_best_of_ten_thousand_random_orders(seed: int) -> None:
    random = np.random.default_rng(seed)
    lives: Lives = {}
    overlaps: dict[tuple[str, str], int] = {}
    for step in range(9):  # a chain with branches, as networks have them
        lives[f"t{step}"] = Lifetime(int(random.integers(1, 4000)), step, min(9, step + int(random.integers(1, 4))))
        lives[f"s{step}"] = Lifetime(int(random.integers(1, 1000)), step, step)
        overlaps |= {
            (f"t{step}", name): int(random.integers(0, 500))
            for name, live in lives.items()
            if live.first < step == live.last and random.random() < 0.7
        }
    buffers = Buffers(lives, overlaps)
    orders = (random.permutation(len(lives)).tolist() for _ in range(10_000))
    best = min(buffers.height(place(buffers, order)) for order in orders)
    assert allocate(lives, overlaps).arena_bytes <= best


def test_an_output_that_may_replace_its_input_takes_its_bytes() -> None:
    lives = {"x": Lifetime(100, 0, 1), "y": Lifetime(100, 1, 2)}
    layout = allocate(lives, {("y", "x"): 0})
    assert layout.slots["x"].offset == layout.slots["y"].offset == 0
    assert layout.arena_bytes == layout.lower_bound_bytes == 100


def test_an_output_starts_its_distance_before_the_input_and_never_behind_it() -> None:
    lives = {"x": Lifetime(100, 0, 1), "y": Lifetime(100, 1, 2)}
    layout = allocate(lives, {("y", "x"): 18})
    assert layout.slots["x"].offset - layout.slots["y"].offset == 20
    assert layout.arena_bytes == layout.lower_bound_bytes == 120


def test_a_chain_in_place_climbs_down_and_starts_again_at_the_top() -> None:
    lives = {f"t{i}": Lifetime(100, i, i + 1) for i in range(12)}
    overlaps = {(f"t{i + 1}", f"t{i}"): 40 for i in range(11)}
    layout = allocate(lives, overlaps)
    assert not offends(layout, overlaps)
    assert layout.arena_bytes == layout.lower_bound_bytes


HAND = {
    "nothing": ({}, 0),
    "one": ({"a": Lifetime(5, 0, 3)}, 8),
    "a chain reuses what died": ({"a": Lifetime(8, 0, 1), "b": Lifetime(16, 1, 2), "c": Lifetime(8, 2, 3)}, 24),
    "a residual holds its input": (
        {"x": Lifetime(100, 0, 3), "y": Lifetime(100, 1, 2), "z": Lifetime(100, 2, 3), "s": Lifetime(12, 2, 2)},
        312,
    ),
    # First fit needs 48 by size, area, lifetime and time alike.
    "only the search over orders gets there": (
        {
            "a": Lifetime(24, 1, 2),
            "b": Lifetime(16, 1, 3),
            "c": Lifetime(8, 3, 4),
            "d": Lifetime(36, 0, 0),
            "e": Lifetime(36, 4, 4),
        },
        44,
    ),
}


@pytest.mark.parametrize(("live", "expected"), HAND.values(), ids=HAND)
def test_hand_made_lifetimes_reach_their_minimum(live: dict[str, Lifetime], expected: int) -> None:
    layout = allocate(live)
    assert layout.arena_bytes == layout.lower_bound_bytes == lower_bound(live) == expected
