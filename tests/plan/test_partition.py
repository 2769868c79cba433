import ctypes
from dataclasses import replace

import pytest
from support.partitions import Case, board, by_bytes, resnet110
from support.targets import region

from ptee_mcu.errors import DoesNotFitError
from ptee_mcu.plan.partition import Mode, Needs, Objective
from ptee_mcu.plan.placement import Constant, How, Placement, Stage, verify_placements
from ptee_mcu.plan.quiet import standard_output_to_error

FLASH = region("FLASH", "flash", 0, 4096)
SRAM = region("SRAM", "sram", 1 << 29, 1024)
IN_FLASH = Placement(How.IN_PLACE, "FLASH", "FLASH")
BOOTED = Placement(How.BOOT, "SRAM", "FLASH")

L4 = board(
    region("FLASH", "flash", 0, 2 << 20),
    region("SRAM1", "sram", 0x20000000, 192 << 10),
    region("SRAM2", "sram", 0x10000000, 64 << 10),
    region("SRAM3", "sram", 0x20040000, 384 << 10),
    region("QSPI", "external", 0x90000000, 8 << 20),
)
L4_WAITS = {"FLASH": 0.35, "SRAM1": 0.0, "SRAM2": 0.0, "SRAM3": 0.0, "QSPI": 3.0}


def constant(name: str, nbytes: int, segment: int = 0, *, head: bool = False) -> Constant:
    return Constant(name, nbytes, segment, head)


def two_segments(*, sram: int = 1024, waits: float = 1.0) -> Case:
    """Two dense layers of 400 B, the second reached by one input in four."""
    found = (constant("a:weights", 400), constant("b:weights", 400, 1))
    target = board(FLASH, replace(SRAM, nbytes=sram))
    return by_bytes(found, target, {"FLASH": waits, "SRAM": 0.0}, reach=(1.0, 0.25))


def test_on_a_board_without_waits_everything_stays_in_flash() -> None:
    made = two_segments(waits=0.0).solve()
    assert set(made.placements.values()) == {IN_FLASH}
    assert (made.stage, made.cycles, made.gap, made.optimal) == (None, 0.0, 0.0, True)


def test_where_sram_has_room_for_one_it_goes_to_the_segment_that_is_entered_more_often() -> None:
    made = two_segments(sram=500).solve()
    assert dict(made.placements) == {"a:weights": BOOTED, "b:weights": IN_FLASH}
    assert made.cycles == pytest.approx(0.25 * 400)


def test_for_the_worst_case_every_segment_counts_alike() -> None:
    made = two_segments(sram=500).solve(objective=Objective.WORST)
    assert made.cycles == pytest.approx(400)


def test_least_energy_is_where_least_mean_cycles_are() -> None:
    mean, energy = (two_segments(sram=500).solve(objective=o) for o in (Objective.MEAN, Objective.ENERGY))
    assert (mean.placements, mean.cycles) == (energy.placements, energy.cycles)


def test_weights_that_no_input_reaches_stay_in_flash() -> None:
    case = replace(two_segments(), reach=(1.0, 0.0), head_reach=(1.0, 0.0))
    assert case.solve().placements["b:weights"] == IN_FLASH


def test_weights_that_are_read_often_share_a_stage_where_sram_is_too_small_for_all() -> None:
    case = two_segments(sram=450)
    case = by_bytes(
        case.found, case.board, {"FLASH": 1.0, "SRAM": 0.0}, passes={"a:weights": 50, "b:weights": 50}, reach=(1.0, 1.0)
    )
    made = case.solve()
    assert {place.how for place in made.placements.values()} == {How.STAGED}
    assert made.stage == Stage("SRAM", 400)
    assert made.cycles == pytest.approx(2 * 400 * 1.5)


def test_trunks_lie_at_the_bottom_of_the_stage_and_heads_at_its_top() -> None:
    found = (
        constant("a:weights", 98),
        constant("a:bias", 8),
        constant("exit:weights", 30, head=True),
        constant("exit:bias", 4, head=True),
        constant("b:weights", 200, 1),
    )
    made = by_bytes(found, board(FLASH, SRAM), {"FLASH": 1.0, "SRAM": 0.0}, reach=(1.0, 1.0)).solve(Mode.STAGED)
    assert made.stage == Stage("SRAM", 200 + 32 + 4)
    assert [made.placements[c.name].offset for c in found] == [0, 100, 204, 200, 0]


def test_arena_and_weights_compete_for_tightly_coupled_memory() -> None:
    target = board(FLASH, SRAM, region("DTCM", "tcm", 0x20000000, 512))
    found = (constant("a:weights", 480),)
    waits = {"FLASH": 2.0, "SRAM": 1.0, "DTCM": 0.0}
    for arena_price, arena, weights in ((100.0, "SRAM", "DTCM"), (1000.0, "DTCM", "SRAM")):
        case = by_bytes(found, target, waits, needs=Needs(500, 0, {}))
        prices = replace(case.prices, arena={"SRAM": arena_price, "DTCM": 0.0})
        made = replace(case, prices=prices).solve()
        assert (made.arena_region, made.placements["a:weights"].region) == (arena, weights)


def test_with_placement_flash_external_flash_holds_only_what_internal_flash_cannot() -> None:
    target = board(replace(FLASH, nbytes=500), SRAM, region("QSPI", "external", 9 << 28, 4096))
    waits = {"FLASH": 1.0, "SRAM": 0.0, "QSPI": 8.0}
    found = (constant("a:weights", 400), constant("b:weights", 200, 1))
    made = by_bytes(found, target, waits, reach=(1.0, 0.25)).solve(Mode.FLASH)
    assert [made.placements[c.name].region for c in found] == ["FLASH", "QSPI"]
    roomy = by_bytes(found, board(FLASH, *target.regions[1:]), waits | {"QSPI": 0.0}, reach=(1.0, 0.25))
    assert {place.region for place in roomy.solve(Mode.FLASH).placements.values()} == {"FLASH"}


def test_weights_in_external_flash_are_loaded_at_boot_first() -> None:
    target = board(replace(FLASH, nbytes=400), SRAM, region("QSPI", "external", 9 << 28, 4096))
    found = (constant("a:weights", 400), constant("b:weights", 400))
    made = by_bytes(found, replace(target), {"FLASH": 0.5, "SRAM": 0.0, "QSPI": 8.0}, needs=Needs(600, 0, {})).solve()
    moved, still = sorted(made.placements.values(), key=lambda place: place.how is How.IN_PLACE)
    assert moved == Placement(How.BOOT, "SRAM", "QSPI")
    assert still == IN_FLASH


def test_placement_boot_loads_everything() -> None:
    assert set(two_segments().solve(Mode.BOOT).placements.values()) == {BOOTED}


def test_placement_greedy_loads_the_first_that_fit_in_the_order_of_execution() -> None:
    found = tuple(constant(f"n{i}:weights", nbytes, i) for i, nbytes in enumerate((100, 600, 200)))
    target = board(FLASH, replace(SRAM, nbytes=500), region("SDRAM", "external", 3 << 28, 4096))
    sdram = replace(target.regions[2], holds=("constants", "data"))
    target = replace(target, regions=(*target.regions[:2], sdram))
    case = by_bytes(found, target, {"FLASH": 1.0, "SRAM": 0.0, "SDRAM": 0.1}, reach=(0.0, 0.0, 1.0))
    made = case.solve(Mode.GREEDY)
    assert [made.placements[c.name] for c in found] == [BOOTED, IN_FLASH, BOOTED]
    assert made.found_by == "first segment to RAM"


def test_what_is_reserved_and_the_stack_leave_less_room() -> None:
    case = two_segments(sram=1024)
    assert [p.how for p in case.solve().placements.values()] == [How.BOOT, How.BOOT]
    less = replace(case, needs=Needs(16, 101, {"SRAM": 97}))  # 104 and 100 once aligned: 4 B too many for both
    assert less.solve().placements["a:weights"] == BOOTED
    assert [p.how for p in replace(case, needs=Needs(16, 101, {"SRAM": 104})).solve().placements.values()] == [
        How.BOOT,
        How.BOOT,
    ]
    assert replace(case, needs=Needs(16, 101, {"SRAM": 105})).solve().placements["b:weights"] == IN_FLASH


def test_a_network_without_constants_has_only_an_arena() -> None:
    made = by_bytes((), board(FLASH, SRAM), {"FLASH": 1.0, "SRAM": 0.5}).solve()
    assert (dict(made.placements), made.arena_region, made.cycles) == ({}, "SRAM", 0.5)


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.FLASH, Mode.GREEDY])
def test_110_layers_on_five_memories_take_less_than_ten_seconds(mode: Mode) -> None:
    case = resnet110(L4, L4_WAITS)
    made = case.solve(mode)
    verify_placements(case.found, made.placements, made.stage, case.board)
    assert made.seconds < 10
    assert made.optimal or mode is Mode.GREEDY


def test_110_layers_gain_over_both_baselines() -> None:
    case = resnet110(L4, L4_WAITS)
    best, flash, greedy = (case.solve(mode).cycles for mode in (Mode.AUTO, Mode.FLASH, Mode.GREEDY))
    assert best < 0.6 * greedy < greedy < flash


def test_without_a_solution_in_time_rules_of_thumb_give_one_and_the_gap_is_said() -> None:
    case = resnet110(L4, L4_WAITS)
    made = case.solve(time_limit_s=0.0)
    assert made.found_by != "solver"
    assert made.cycles < case.solve(Mode.GREEDY).cycles
    assert made.gap > 0
    assert not made.optimal
    verify_placements(case.found, made.placements, made.stage, case.board)


@pytest.mark.parametrize("limit_s", [0.0, 0.05, 0.3])
def test_however_short_the_time_is_the_result_fits_and_beats_both_baselines(limit_s: float) -> None:
    case = resnet110(L4, L4_WAITS)
    made = case.solve(time_limit_s=limit_s)
    assert case.fits(case.spots(made), made.arena_region)
    assert made.lower_bound <= made.cycles <= case.solve(Mode.GREEDY).cycles


def test_an_arena_that_fits_nowhere_is_an_error_that_says_by_how_much() -> None:
    case = replace(two_segments(), needs=Needs(2000, 100, {}))
    with pytest.raises(
        DoesNotFitError,
        match=r"tiny_board: SRAM of 1,024 B is 1,080 B short; it would hold the arena 2,000 B, the stack",
    ):
        case.solve()


def test_constants_that_no_flash_holds_are_an_error_that_names_the_largest() -> None:
    found = (constant("small:weights", 100), constant("large:weights", 4000), constant("other:weights", 300))
    case = by_bytes(found, board(FLASH, SRAM), {"FLASH": 1.0, "SRAM": 0.0}, needs=Needs(16, 0, {"FLASH": 200}))
    with pytest.raises(
        DoesNotFitError,
        match=r"FLASH of 4,096 B is 504 B short; it would hold large:weights 4,000 B, other:weights 300 B, "
        r"what is reserved 200 B and 1 more\n  hint: choose a smaller network or a larger board",
    ):
        case.solve()


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        (Mode.BOOT, r'"boot": SRAM of 500 B is 316 B short; it would hold .*\n  hint: choose placement = "auto"'),
        (Mode.STAGED, r'"staged": SRAM of 400 B is 16 B short; it would hold the stage 400 B, the arena 16 B'),
    ],
)
def test_a_forced_placement_that_does_not_fit_says_by_how_much(mode: Mode, message: str) -> None:
    with pytest.raises(DoesNotFitError, match=message):
        two_segments(sram=500 if mode is Mode.BOOT else 400).solve(mode)


def test_the_hint_names_the_board_that_is_large_enough() -> None:
    asked = []

    def larger(flash: int, ram: int) -> str | None:
        asked.append((flash, ram))
        return "big_board"

    case = replace(two_segments(sram=500), needs=Needs(16, 8, {"FLASH": 1000, "SRAM": 40}))
    with pytest.raises(DoesNotFitError, match="larger board: the smallest listed one that fits is big_board"):
        case.solve(Mode.BOOT, larger=larger)
    assert asked == [(1800, 16 + 8 + 40 + 800)]


def test_a_memory_without_a_price_is_no_choice_and_none_at_all_is_an_error() -> None:
    case = two_segments()
    unread = {name: {"FLASH": prices["FLASH"]} for name, prices in case.prices.read.items()}
    made = replace(case, prices=replace(case.prices, read=unread))
    assert set(made.solve().placements.values()) == {IN_FLASH}
    with pytest.raises(
        DoesNotFitError, match='a:weights: tiny_board has no memory that may hold it with placement = "boot"'
    ):
        made.solve(Mode.BOOT)


def test_what_a_c_library_prints_does_not_reach_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    libc = ctypes.CDLL(None)
    print("ours before")  # noqa: T201
    with standard_output_to_error():
        libc.puts(b"left in from debugging")
    print("ours after")  # noqa: T201
    captured = capfd.readouterr()
    assert captured.out.split("\n") == ["ours before", "ours after", ""]
    assert captured.err == "left in from debugging\n"
