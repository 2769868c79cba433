"""Budgets: what is refused, what is blamed, and that every way out was worked out."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from pydantic import ValidationError
from report.placed import cost_of, mixed
from support.builder import small_network
from support.emitted import planned
from support.points import switched_network
from support.targets import tiny_board

from ptee_mcu import boards
from ptee_mcu.budget import Budget, BudgetSection, check
from ptee_mcu.budget_options import Change, Option, options
from ptee_mcu.errors import BudgetError
from ptee_mcu.plan.cost import PlanCost
from ptee_mcu.plan.expected_cost import point_cycles
from ptee_mcu.plan.placement import How, constants
from ptee_mcu.plan.plan import Plan
from ptee_mcu.plan.used import Fixed, live_bytes, used_by, widest_step
from ptee_mcu.quant_graph import NEVER, OperatingPoint
from ptee_mcu.target import Energy

FIXED = Fixed(code_bytes=10_000, static_bytes=100, stack_bytes=2000)
KHZ = 1000  # one cycle is one millisecond


def slow(plan: Plan) -> Plan:
    return replace(plan, target=replace(plan.target, clock_hz=KHZ))


def price(plan: Plan) -> PlanCost:
    """100 cycles per step, and one for every byte of constants read in place."""
    in_place = {
        step.node.name: 100.0
        + sum(
            c.nbytes
            for c in constants(plan.graph)
            if c.name.split(":")[0] == step.node.name and plan.placements[c.name].how is How.IN_PLACE
        )
        for step in plan.steps
    }
    return cost_of(plan, in_place)


def refused(
    plan: Plan, cost: PlanCost, budget: Budget, fixed: Fixed = FIXED, **tools: Callable[..., object]
) -> tuple[str, str]:
    """The message and its hint."""
    with pytest.raises(BudgetError) as caught:
        check(plan, cost, used_by(plan, cost, fixed), budget, **tools)  # type: ignore[arg-type]
    return caught.value.args[0], caught.value.hint or ""


def by_text(found: list[Option]) -> dict[str, Option]:
    return {option.text.split(" (")[0]: option for option in found}


def test_a_section_reads_sizes_with_units_and_positive_numbers() -> None:
    section = BudgetSection.model_validate(
        {"flash": "512 KiB", "ram": "64 KiB", "mean_ms": 40, "worst_ms": 90, "energy_uj": 900}
    )
    assert section.budget == Budget(512 * 1024, 64 * 1024, 40.0, 90.0, 900.0)
    assert BudgetSection().budget == Budget()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"ram": 64}, "its unit is missing"),
        ({"flash": "512"}, "its unit is missing"),
        ({"flash": "0 B"}, "greater than 0"),
        ({"mean_ms": 0}, "greater than 0"),
        ({"worst_ms": -1}, "greater than 0"),
        ({"energy_uj": float("inf")}, "finite number"),
        ({"rom": "1 KiB"}, "Extra inputs"),
    ],
)
def test_a_section_refuses_what_is_no_limit(section: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BudgetSection.model_validate(section)


def test_what_meets_its_budget_exactly_passes() -> None:
    plan = slow(mixed(small_network()))
    cost = cost_of(plan, {"stem.conv": 10.0})
    used = used_by(plan, cost, FIXED)
    check(plan, cost, used, Budget(used.flash_bytes, used.ram_bytes, 10.0, 10.0))
    check(plan, cost, used, Budget())
    for tight in (
        Budget(flash_bytes=used.flash_bytes - 1), Budget(ram_bytes=used.ram_bytes - 1), Budget(mean_ms=9.99),
        Budget(worst_ms=9.99),
    ):  # fmt: skip
        with pytest.raises(BudgetError, match="small is over its budget on mps2_an386"):
            check(plan, cost, used, tight)


def test_every_exceeded_limit_is_named_with_both_numbers() -> None:
    plan = slow(mixed(small_network()))
    cost = cost_of(plan, {"stem.conv": 60.0, "final.logits": 40.0})
    used = used_by(plan, cost, FIXED)
    message, _ = refused(plan, cost, Budget(1000, 2000, 80.0, 100.0))
    assert f"flash: {used.flash_bytes:,} B, 1,000 B allowed: {used.flash_bytes - 1000:,} B too much" in message
    assert f"ram: {used.ram_bytes:,} B, 2,000 B allowed" in message
    assert "mean_ms: 100 ms, 80 ms allowed: 20 ms too much (25.0%)" in message
    assert "worst_ms: " not in message


def test_flash_blames_code_and_the_largest_constants() -> None:
    plan = mixed(small_network())
    cost = cost_of(plan, {}, other=1.0)
    largest = max(constants(plan.graph), key=lambda c: c.nbytes)
    message, _ = refused(plan, cost, Budget(flash_bytes=5000))
    assert f"code 10,000 B\n    largest constants: {largest.name} {largest.nbytes:,} B, " in message
    message, _ = refused(plan, cost, Budget(flash_bytes=500), Fixed())
    assert "code unknown, nothing was linked" in message


def test_ram_blames_its_parts_the_widest_step_and_what_is_loaded() -> None:
    plan = mixed(small_network())
    message, _ = refused(plan, cost_of(plan, {}, other=1.0), Budget(ram_bytes=3000))
    widest = widest_step(plan)
    live = {name: slot.nbytes for name, slot in plan.arena.items() if slot.first <= widest.index <= slot.last}
    largest = min(live, key=lambda name: (-live[name], name))
    assert (
        f"arena {plan.arena_bytes:,} B, stage 1,524 B, constants loaded at boot 640 B, variables 100 B, stack 2,000 B\n"
        f"    arena is widest at step {widest.index} ({widest.node.name}), {live_bytes(plan, widest.index):,} B: "
        f"{largest} {live[largest]:,} B, "
    ) in message
    assert "largest constants loaded at boot: stem.conv:weights 216 B, block.depthwise:weights 72 B" in message


def test_time_blames_the_steps_by_who_gets_there_and_heads_in_the_worst_case() -> None:
    plan = slow(planned(switched_network()))  # half of the inputs pass a, a quarter b, an eighth c
    steps = {"one": 100.0, "two": 160.0, "four": 400.0, "a.logits": 30.0, "c.linear": 8.0}
    cost = cost_of(plan, steps, entry=(0.0, 0.0, 0.0, 80.0))
    message, _ = refused(plan, cost, Budget(mean_ms=10.0))
    assert "most cycles on average: one 100 (36.8%), two 80 (29.4%), four 50 (18.4%)" in message
    message, _ = refused(plan, cost, Budget(worst_ms=10.0))
    assert "most cycles: four 400 (51.4%), two 160 (20.6%), one 100 (12.9%)\n    heads on the way: 38 cycles" in message


def test_staging_is_blamed_where_it_takes_most() -> None:
    plan = slow(planned(switched_network()))
    cost = cost_of(plan, {"one": 1.0}, entry=(0.0, 0.0, 0.0, 9.0))
    message, _ = refused(plan, cost, Budget(worst_ms=5.0))
    assert "most cycles: staging for exit final 9 (90.0%), one 1 (10.0%)" in message


def test_another_operating_point_that_fits_is_named_with_its_numbers() -> None:
    plan = slow(planned(switched_network()))
    points = (
        OperatingPoint("slow", (0, 0, 0), (1.0, 0.9, 0.9, 0.9)),
        OperatingPoint("middle", (0, 0, 0), (1.0, 0.5, 0.5, 0.5)),
        OperatingPoint("fast", (0, 0, 0), (1.0, 0.1, 0.1, 0.1)),
    )
    plan = replace(plan, graph=replace(plan.graph, points=points, default=0))
    cost = cost_of(plan, {"one": 100.0, "two": 200.0})
    message, hint = refused(plan, cost, Budget(mean_ms=210.0))
    assert "any of these brings everything under" in message
    assert "another operating point: operating point 'middle': mean_ms 200 ms (-80 ms, -80 cycles)" in message
    assert "'fast'" not in message
    assert hint == "operating point 'middle'"


def test_options_at_other_points_are_what_the_points_take() -> None:
    plan = slow(planned(switched_network()))
    cost = cost_of(plan, {}, other=10.0, heads=(5.0, 6.0, 7.0, 0.0))
    found = [o for o in options(plan, cost, FIXED) if o.change is Change.POINT]
    assert [o.text for o in found] == [
        "operating point '1 %', its reach unknown", "operating point '10 %', its reach unknown",
    ]  # fmt: skip
    for option, point in zip(found, (plan.graph.points[0], plan.graph.points[2]), strict=True):
        assert option.used.worst_ms == point_cycles(plan, cost, point).worst


def test_unloading_saves_ram_and_costs_the_cycles_that_the_pricing_says() -> None:
    plan = slow(mixed(small_network()))
    cost = price(plan)
    base = used_by(plan, cost, FIXED)
    found = by_text(list(options(plan, cost, FIXED, ram_bytes=base.ram_bytes - 250, price=price)))
    boot = sorted((c for c in constants(plan.graph) if c.segment == 0 and not c.head), key=lambda c: -c.nbytes)
    assert (boot[0].nbytes, boot[0].nbytes + boot[1].nbytes) == (216, 288)  # the least that frees 250 bytes
    least = found[f"{boot[0].name}, {boot[1].name} in place instead of loaded at boot"].used
    assert least.ram_bytes == base.ram_bytes - 288
    assert least.mean_ms == base.mean_ms + 288
    none = found["nothing loaded at boot"].used
    assert (none.ram_bytes, none.mean_ms) == (base.ram_bytes - 640, base.mean_ms + sum(c.nbytes for c in boot))
    unstaged = found["nothing staged"].used
    assert plan.stage is not None
    assert unstaged.ram_bytes == base.ram_bytes - plan.stage.nbytes
    assert found["every constant in place"].used.ram_bytes == plan.arena_bytes + 2100


def test_a_placement_that_fits_is_named_with_its_bytes_and_cycles() -> None:
    plan = slow(mixed(small_network()))
    cost = price(plan)
    base = used_by(plan, cost, FIXED)
    message, _ = refused(plan, cost, Budget(ram_bytes=base.ram_bytes - 200), price=price)
    assert (
        "another placement: stem.conv:weights in place instead of loaded at boot: "
        f"ram {base.ram_bytes - 216:,} B (-216 B), mean_ms {base.mean_ms + 216:,.0f} ms (+216 ms, +216 cycles)"
    ) in message


def test_loading_more_saves_cycles_where_there_is_room() -> None:
    plan = slow(planned(small_network()))
    cost = price(plan)
    message, _ = refused(plan, cost, Budget(mean_ms=len(plan.steps) * 100.0), price=price)
    assert "another placement: all constants up to exit final loaded at boot" in message
    full = Fixed(stack_bytes=plan.target.main_ram.nbytes - plan.arena_bytes)
    texts = [o.text for o in options(plan, cost, full, price=price) if o.change is Change.PLACEMENT]
    assert texts == []


def test_leaving_an_exit_out_saves_its_head_and_sends_its_inputs_on() -> None:
    plan = slow(planned(switched_network()))
    cost = cost_of(plan, {"one": 100.0, "a.logits": 10.0, "two": 50.0, "c.linear": 4.0}, heads=(1.0, 0.0, 2.0, 0.0))
    base = used_by(plan, cost, FIXED)
    found = by_text([o for o in options(plan, cost, FIXED) if o.change is Change.FEWER_EXITS])
    assert len(found) == 5  # each alone, then the two largest heads, then all
    one = found["without exit a"]
    assert one.at_most
    assert one.used.worst_ms == base.worst_ms - 11
    head = sum(-(-c.nbytes // 4) * 4 for c in constants(plan.graph) if c.name.startswith("a."))
    assert one.used.flash_bytes == base.flash_bytes - head
    # exit b keeps its quarter, c its eighth; a's half goes all the way: 150 + (.125 + .5 + .125) * (4 + 2)
    assert one.used.mean_ms == 150 + 0.75 * 6
    everything = found["without exits a, b, c"].used
    assert everything.worst_ms == everything.mean_ms == 150


def test_the_logits_that_a_later_head_reads_stay_where_their_exit_goes() -> None:
    plan = slow(planned(switched_network()))
    cost = cost_of(plan, {"b.logits": 5.0, "b.confidence": 7.0})
    found = by_text([o for o in options(plan, cost, FIXED) if o.change is Change.FEWER_EXITS])
    assert found["without exit b"].used.worst_ms == 5
    gone = sum(-(-c.nbytes // 4) * 4 for c in constants(plan.graph) if c.name.startswith("b.confidence"))
    assert found["without exit b"].used.flash_bytes == used_by(plan, cost, FIXED).flash_bytes - gone


def test_ending_earlier_takes_what_that_exit_takes_without_its_confidence() -> None:
    plan = slow(planned(switched_network()))
    cost = cost_of(plan, {"one": 100.0, "a.confidence": 3.0, "two": 50.0, "b.logits": 5.0, "b.confidence": 7.0})
    found = by_text([o for o in options(plan, cost, FIXED) if o.change is Change.SHORTER])
    assert list(found) == ["ending at exit c", "ending at exit b", "ending at exit a"]
    used = found["ending at exit b"].used
    assert (used.worst_ms, used.mean_ms) == (158, 103 + 0.5 * 55)
    kept = ("one", "a.logits", "a.confidence", "two", "b.logits")
    nbytes = sum(-(-c.nbytes // 4) * 4 for c in constants(plan.graph) if c.name.split(":")[0] in kept)
    assert used.constant_bytes == nbytes


def test_an_option_that_breaks_another_limit_is_no_way_out() -> None:
    plan = slow(mixed(small_network()))
    cost = price(plan)
    base = used_by(plan, cost, FIXED)
    budget = Budget(ram_bytes=base.ram_bytes - 200, mean_ms=base.mean_ms + 100, worst_ms=base.worst_ms)
    message, _ = refused(plan, cost, budget, price=price)
    assert "none of these is enough alone" in message
    assert re.search(r"stem.conv:weights in place .*\+216 cycles, too much", message)


def test_a_placement_and_a_point_together_are_named_where_neither_is_enough() -> None:
    graph = small_network(thresholds=(10,))
    points = (
        OperatingPoint("slow", (10,), (1.0, 0.9)), OperatingPoint("middle", (5,), (1.0, 0.5)),
        OperatingPoint("fast", (0,), (1.0, 0.1)),
    )  # fmt: skip
    plan = slow(mixed(replace(graph, points=points)))
    cost = price(plan)
    base = used_by(plan, cost, FIXED)
    budget = Budget(ram_bytes=base.ram_bytes - 200, mean_ms=base.mean_ms - 50)
    message, hint = refused(plan, cost, budget, price=price)
    assert hint == "operating point 'middle'; stem.conv:weights in place instead of loaded at boot"
    assert f"another placement and operating point: {hint}: ram {base.ram_bytes - 216:,} B (-216 B), mean_ms" in message
    with pytest.raises(BudgetError, match="none of these is enough alone"):
        check(plan, cost, base, budget)


def test_where_nothing_is_enough_the_nearest_of_each_kind_is_shown() -> None:
    plan = slow(planned(switched_network()))
    cost = cost_of(plan, {"one": 100.0, "a.logits": 10.0, "two": 50.0})
    message, hint = refused(plan, cost, Budget(worst_ms=5.0))
    assert "none of these is enough alone" in message
    assert re.search(r"without exit a: .*worst_ms 150 ms \(-10 ms, -10 cycles, too much\)", message)
    assert "ending at exit a" in message
    assert hint == "allow more, or choose a smaller network"


def test_a_network_that_cannot_be_less_is_told_so() -> None:
    graph = small_network(thresholds=(NEVER,))
    plan = slow(planned(graph))
    message, _ = refused(plan, cost_of(plan, {"stem.conv": 10.0}), Budget(mean_ms=5.0))
    assert "no other operating point, placement or choice of these exits takes less" in message


def test_the_smallest_board_is_asked_for_what_is_used() -> None:
    plan = mixed(small_network())
    cost = cost_of(plan, {}, other=1.0)
    used = used_by(plan, cost, FIXED)
    asked = []

    def smallest(flash: int, ram: int) -> object:
        asked.append((flash, ram))
        return tiny_board()

    message, _ = refused(plan, cost, Budget(ram_bytes=3000), smallest=smallest)
    assert asked == [(used.flash_bytes, used.ram_bytes)]
    need = f"{used.flash_bytes:,} B of flash and {used.ram_bytes:,} B of RAM"
    assert f"the smallest listed board with {need} is tiny_board: allow as much as it has" in message
    message, _ = refused(plan, cost, Budget(ram_bytes=3000), smallest=lambda *_: boards.load("mps2_an386"))
    assert "is mps2_an386, this one" in message
    message, _ = refused(plan, cost, Budget(ram_bytes=3000), smallest=lambda *_: None)
    assert f"no listed board has {need}" in message
    message, _ = refused(plan, cost, Budget(worst_ms=1e-9), smallest=smallest)
    assert "listed board" not in message


def test_an_energy_budget_where_the_power_is_unknown_is_an_error_that_says_so() -> None:
    plan = replace(slow(planned(small_network())), target=tiny_board())
    cost = cost_of(plan, {"stem.conv": 10.0})
    message, hint = refused(plan, cost, Budget(energy_uj=900.0))
    assert "energy_uj: limited to 900 uJ, and the power of tiny_board is unknown" in message
    assert "run_mw" in hint
    plan = replace(plan, graph=replace(plan.graph, points=(*plan.graph.points, OperatingPoint("other", (-128,)))))
    cost = cost_of(plan, {"final.logits": 10.0})
    message, _ = refused(plan, cost, Budget(mean_ms=1e-9, energy_uj=900.0))
    assert "mean_ms: 0.01 ms" in message
    assert "power of tiny_board is unknown" in message
    assert "any of these brings everything else under" in message


def test_energy_over_its_budget_blames_the_steps_and_finds_the_point() -> None:
    plan = slow(planned(switched_network()))
    plan = replace(plan, target=replace(plan.target, energy=Energy(None, None, 2.0, "invented")))
    points = (OperatingPoint("whole", (0, 0, 0)), OperatingPoint("half", (0, 0, 0), (1.0, 0.5, 0.5, 0.5)))
    plan = replace(plan, graph=replace(plan.graph, points=points, default=0))
    cost = cost_of(plan, {"one": 100.0, "two": 100.0})
    message, hint = refused(plan, cost, Budget(energy_uj=300.0))
    assert "energy_uj: 400 uJ, 300 uJ allowed: 100 uJ too much" in message
    assert "most cycles on average: one 100 (50.0%), two 100 (50.0%)" in message
    assert "operating point 'half': mean_ms 150 ms (-50 ms, -50 cycles), energy_uj 300 uJ (-100 uJ)" in message
    assert hint == "operating point 'half'"
