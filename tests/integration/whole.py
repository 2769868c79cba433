"""The whole way: a network placed by the optimizer, emitted, built, run on the host and in QEMU, held to the simulator.

Boards are shrunk to what makes the optimizer choose; memories of the emulated board are full of poison before boot.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from support.differential import inputs_for
from support.emitted import written

from ptee_mcu.firmware import harness, run
from ptee_mcu.firmware.execution import Execution, collect
from ptee_mcu.firmware.harness import Firmware
from ptee_mcu.firmware.machines import machine
from ptee_mcu.firmware.records import Calls, Options
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.place import Placed, placed
from ptee_mcu.plan.placement import How, aligned, constants
from ptee_mcu.plan.plan import Plan, verify_plan
from ptee_mcu.plan.settings import STACK_BYTES, Mode, Objective, PlaceSettings
from ptee_mcu.quant_graph import ALWAYS, NEVER, QuantGraph
from ptee_mcu.sim import evaluate
from ptee_mcu.target import Target
from ptee_mcu.tensor import Int8

BOARDS = ("nucleo_l4r5zi", "nucleo_f746zg", "disco_f746ng", "nrf52840_dk", "nrf5340_dk", "pico")
RAM_RESERVE = 0
Run = Callable[[Int8, Options], Execution]


def constant_bytes(graph: QuantGraph) -> int:
    """Bytes of all constants, each rounded up to words."""
    return sum(aligned(constant.nbytes) for constant in constants(graph))


def shrunk(graph: QuantGraph, board: Target, main: float, other: int) -> Target:
    """`board` whose main RAM has room for arena, stack and the share `main` of the constants; `other`: bytes elsewhere.

    Flash keeps its size.
    """
    arena = -(-make_plan(graph, board).arena_bytes // 32) * 32
    sizes = dict.fromkeys((region.name for region in board.regions if "data" in region.holds), other)
    room = int(main * constant_bytes(graph)) // 32 * 32
    sizes[board.main_ram.name] = (
        max(other, arena + STACK_BYTES + RAM_RESERVE + room) + 160
    )  # gaps between sections, context
    return resized(board, sizes)


def resized(board: Target, sizes: Mapping[str, int]) -> Target:
    """`board` with other sizes of the memories named."""
    return replace(board, regions=tuple(replace(r, nbytes=sizes.get(r.name, r.nbytes)) for r in board.regions))


def optimized(
    graph: QuantGraph, board: Target, mode: Mode = Mode.AUTO, objective: Objective = Objective.MEAN
) -> Placed:
    """`graph` placed on `board`, verified."""
    found = placed(make_plan(graph, board), PlaceSettings(mode, objective, ram_reserve_bytes=RAM_RESERVE))
    verify_plan(found.plan)
    return found


def ways(plan: Plan) -> set[How]:
    """How the constants of `plan` are placed."""
    return {place.how for place in plan.placements.values()}


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """`plan` in C, ready to run; on the host with sanitizers."""

    plan: Plan
    firmware: Firmware
    places: Mapping[str, Run]


def built(plan: Plan, folder: Path, *, host: bool = True, application: bool = True) -> Built:
    """`plan` emitted to `folder`, linked for its board's emulator and, if `host`, for this computer.

    `application`: the smallest one is linked too, and must fit the board itself.
    """
    graph, target = plan.graph, plan.target
    assert target.machine is not None
    project, on = written(plan, folder / "project"), machine(target.machine)
    firmware = harness.build_firmware(project, graph.name, folder / "board.elf", machine=on, target=target)
    if application:
        harness.build_footprint(project, graph.name, folder / "footprint.elf", machine=on, target=target)
    places: dict[str, Run] = {target.name: lambda x, options: collect(run.run_qemu(firmware, x, options, workers=1))}
    if host:
        program = harness.build_host(project, graph.name, folder / "host", optimize="-O1")
        places["host"] = lambda x, options: collect(run.run_host(program, x, options, workers=1))
    return Built(plan, firmware, places)


def forced_and_free(graph: QuantGraph) -> list[tuple[int, ...]]:
    """Thresholds that make each exit answer in turn, then the network's own."""
    early = len(graph.exits) - 1
    forced = [tuple(ALWAYS if i == leave else NEVER for i in range(early)) for leave in range(early + 1)]
    return [*forced, graph.point.thresholds]


def hold_to_the_simulator(made: Built, inputs: Int8 | None = None) -> None:
    """Asserts that every place answers what the simulator does, every exit forced and free, by step and by run."""
    graph = made.plan.graph
    x = inputs_for(graph, 2) if inputs is None else inputs
    for thresholds in forced_and_free(graph):
        wanted = evaluate(graph, x, thresholds=thresholds)
        for calls in Calls:
            options = Options(dict(enumerate(thresholds)), calls=calls)
            for place, execute in made.places.items():
                found, where = execute(x, options), f"{place}, thresholds {thresholds}, {calls}"
                np.testing.assert_array_equal(found.exits, wanted.exit, err_msg=where)
                np.testing.assert_array_equal(found.labels, wanted.label, err_msg=where)
                np.testing.assert_array_equal(found.confidence, wanted.confidence, err_msg=where)
                np.testing.assert_array_equal(found.logits, wanted.logits, err_msg=where)
