"""A plan with its constants placed: what it costs, that it stays a plan, what an unknown core does."""

from dataclasses import replace

import pytest
from support.builder import small_network
from support.points import switched_network

from ptee_mcu import boards
from ptee_mcu.errors import ConfigError, DoesNotFitError
from ptee_mcu.plan.expected_cost import point_cycles
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.place import Placed, placed
from ptee_mcu.plan.placement import How
from ptee_mcu.plan.plan import verify_plan
from ptee_mcu.plan.plan_cost import flash_cycles, plan_cost
from ptee_mcu.plan.settings import Mode, Objective, PlaceSettings
from ptee_mcu.quant_graph import NEVER, OperatingPoint, QuantGraph
from ptee_mcu.target import Target

BOARDS = ("nucleo_l4r5zi", "nucleo_f746zg", "disco_f746ng", "nrf52840_dk", "nrf5340_dk", "pico")


def on(name: str, mode: Mode = Mode.AUTO, graph: QuantGraph | None = None, target: Target | None = None) -> Placed:
    plan = make_plan(graph or small_network(), target or boards.load(name))
    return placed(plan, PlaceSettings(mode=mode))


def mean(found: Placed) -> float:
    return point_cycles(found.plan, found.cost, found.plan.graph.point).mean


@pytest.mark.parametrize("name", BOARDS)
def test_placed_by_the_optimizer_a_network_never_costs_more_than_in_flash_or_first_segment_first(name: str) -> None:
    best = mean(on(name))
    for mode in (Mode.FLASH, Mode.GREEDY):
        assert best <= mean(on(name, mode)) * (1 + 1e-9)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", BOARDS)
def test_a_placed_plan_keeps_its_contract_in_every_mode(name: str, mode: Mode) -> None:
    found = on(name, mode)
    verify_plan(found.plan)
    kinds = {place.how for place in found.plan.placements.values()}
    wanted = {Mode.FLASH: {How.IN_PLACE}, Mode.BOOT: {How.BOOT}, Mode.STAGED: {How.STAGED}}
    assert mode not in wanted or kinds == wanted[mode]


def test_a_board_without_waits_leaves_everything_in_flash() -> None:
    found = on("mps2_an386")
    assert {place.how for place in found.plan.placements.values()} == {How.IN_PLACE}
    assert found.plan.stage is None
    assert found.cost.boot == 0


def test_what_the_partition_says_is_waited_is_what_the_plan_costs_beyond_its_compute() -> None:
    for mode in Mode:
        found = on("nrf52840_dk", mode)
        whole = mean(found)
        no_waits = replace(
            found.plan.target, regions=tuple(replace(r, wait_cycles=0) for r in found.plan.target.regions)
        )
        unwaited = replace(
            found.plan, target=no_waits, stage=None, placements=make_plan(found.plan.graph, no_waits).placements
        )
        code = sum(step.cycles.code for step in found.cost.steps)
        compute = point_cycles(unwaited, plan_cost(unwaited), unwaited.graph.point).mean
        assert whole - compute - found.partition.cycles == pytest.approx(_mean_of_code(found), abs=1e-6 * whole)
        assert code >= 0


def _mean_of_code(found: Placed) -> float:
    only = [
        replace(step, cycles=replace(step.cycles, compute=0.0, constants=0.0, activations=0.0))
        for step in found.cost.steps
    ]
    zero = (0.0,) * len(found.cost.entry)
    return point_cycles(
        found.plan, replace(found.cost, steps=tuple(only), entry=zero, heads=zero), found.plan.graph.point
    ).mean


def test_constants_of_segments_that_few_inputs_enter_weigh_little() -> None:
    """Room for one of two equal layers: the one that every inference reads gets it."""
    graph = small_network()
    often = replace(graph, points=(OperatingPoint("often", (0,), reach=(1.0, 0.01)),))
    board = boards.load("nrf52840_dk")
    plan = make_plan(often, board)
    need = plan.arena_bytes + 4096 + 400
    tight = replace(
        board, regions=tuple(replace(r, nbytes=need // 4 * 4) if r.name == "RAM" else r for r in board.regions)
    )
    found = on("", graph=often, target=tight)
    loaded = {name for name, place in found.plan.placements.items() if place.how is How.BOOT}
    first = {
        f"{step.node.name}:{role}" for step in found.plan.steps if step.segment == 0 for role in step.node.op.constants
    }
    assert loaded
    assert loaded <= first


def test_the_worst_case_is_least_where_that_is_asked_for() -> None:
    graph = replace(small_network(), points=(OperatingPoint("p", (0,), reach=(1.0, 0.1)),))
    board = boards.load("nrf52840_dk")
    plan = make_plan(graph, board)
    tight = replace(
        board,
        regions=tuple(
            replace(r, nbytes=plan.arena_bytes + 4096 + 600) if r.name == "RAM" else r for r in board.regions
        ),
    )
    plan = make_plan(graph, tight)
    worst, usual = (placed(plan, PlaceSettings(objective=o)) for o in (Objective.WORST, Objective.MEAN))
    cycles = [point_cycles(f.plan, f.cost, graph.point) for f in (worst, usual)]
    assert cycles[0].worst <= cycles[1].worst
    assert cycles[1].mean <= cycles[0].mean


def test_a_head_that_cannot_fire_weighs_nothing() -> None:
    graph = switched_network()
    never = (NEVER,) * (len(graph.exits) - 1)
    off = replace(graph, points=(OperatingPoint("off", never),), default=0)
    found = on("nrf52840_dk", graph=off)
    heads = off.skipped(never)
    assert all(
        place.how is How.IN_PLACE for name, place in found.plan.placements.items() if name.partition(":")[0] in heads
    )


def test_a_plan_says_how_much_stack_its_linker_script_keeps() -> None:
    plan = make_plan(small_network(), boards.load("nucleo_l4r5zi"))
    assert placed(plan, PlaceSettings(stack_bytes=1024)).plan.stack_bytes == 1024


def test_a_board_too_small_names_the_memory_and_the_bytes() -> None:
    board = boards.load("nrf52840_dk")
    plan = make_plan(small_network(), board)
    tiny = replace(
        plan,
        target=replace(board, regions=tuple(replace(r, nbytes=2048) if r.name == "RAM" else r for r in board.regions)),
    )
    with pytest.raises(DoesNotFitError, match=r"RAM"):
        placed(tiny)


def test_an_unknown_core_has_no_cycles() -> None:
    unknown = replace(boards.load("nrf52840_dk"), cpu="cortex-m85")
    with pytest.raises(ConfigError, match=r"no cycle rates are known for 'cortex-m85'"):
        placed(make_plan(small_network(), unknown))


def test_in_flash_a_network_costs_the_sum_of_its_nodes() -> None:
    target = boards.load("nucleo_l4r5zi")
    graph = small_network()
    found = on("nucleo_l4r5zi", Mode.FLASH)
    nodes = flash_cycles(graph, target)
    for step, cost in zip(found.plan.steps, found.cost.steps, strict=True):
        assert nodes[step.node.name] == pytest.approx(cost.cycles.total)


@pytest.mark.parametrize("field", ["stack_bytes", "flash_reserve_bytes", "ram_reserve_bytes"])
def test_negative_bytes_are_refused(field: str) -> None:
    with pytest.raises(ConfigError, match=rf"{field} is -4; it cannot be negative"):
        PlaceSettings(**{field: -4})
