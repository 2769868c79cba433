from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptee_mcu.plan.arena import Lifetime, allocate, arena_bytes, lower_bound, widest_step
from ptee_mcu.plan.plan import SLOT_ALIGN


@st.composite
def lifetimes(draw: st.DrawFn) -> dict[str, Lifetime]:
    steps = draw(st.integers(1, 12))
    found = {}
    for i in range(draw(st.integers(0, 24))):
        first = draw(st.integers(0, steps - 1))
        found[f"t{i}"] = Lifetime(draw(st.integers(1, 5000)), first, draw(st.integers(first, steps - 1)))
    return found


@given(lifetimes())
def test_no_two_live_tensors_share_a_byte(live: dict[str, Lifetime]) -> None:
    slots = allocate(live)
    assert not [(a, b) for a, b in combinations(slots.values(), 2) if a.overlaps(b)]


@given(lifetimes())
def test_the_arena_never_beats_the_lower_bound(live: dict[str, Lifetime]) -> None:
    assert arena_bytes(allocate(live)) >= lower_bound(live)


@given(lifetimes())
def test_the_arena_is_at_most_all_buffers_side_by_side(live: dict[str, Lifetime]) -> None:
    slots = allocate(live)
    assert arena_bytes(slots) <= sum(-(-slot.nbytes // SLOT_ALIGN) * SLOT_ALIGN for slot in slots.values())


@given(lifetimes())
def test_slots_keep_size_and_lifetime_and_are_aligned(live: dict[str, Lifetime]) -> None:
    slots = allocate(live)
    assert list(slots) == list(live)
    for name, slot in slots.items():
        assert Lifetime(slot.nbytes, slot.first, slot.last) == live[name]
        assert slot.offset % SLOT_ALIGN == 0
        assert slot.end <= arena_bytes(slots)


@given(lifetimes())
def test_equal_lifetimes_get_equal_slots(live: dict[str, Lifetime]) -> None:
    assert allocate(live) == allocate(dict(live))


@given(lifetimes().filter(bool))
def test_the_widest_step_holds_as_many_bytes_as_the_lower_bound_says(live: dict[str, Lifetime]) -> None:
    step = widest_step(live)
    held = sum(-(-b.nbytes // SLOT_ALIGN) * SLOT_ALIGN for b in live.values() if b.first <= step <= b.last)
    assert held == lower_bound(live)


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
    assert arena_bytes(allocate(live)) == lower_bound(live) == expected
