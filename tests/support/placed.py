"""Plans whose constants lie elsewhere than in flash: on a board with a second SRAM, a TCM and an external flash."""

from collections.abc import Callable
from dataclasses import replace

from support.targets import region, tiny_board

from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.placement import Constant, How, Placement, Stage, aligned, constants
from ptee_mcu.plan.plan import Plan, verify_plan
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.target import Target

MIB = 1 << 20
KIB = 1 << 10
Choice = Callable[[int, Constant], Placement]

FLASH = Placement(How.IN_PLACE, "FLASH", "FLASH")
EXTERNAL = Placement(How.IN_PLACE, "QSPI", "QSPI")
MAIN = Placement(How.BOOT, "SRAM", "FLASH")
SECOND = Placement(How.BOOT, "SRAM2", "FLASH")
TCM = Placement(How.BOOT, "DTCM", "FLASH")
TCM_FROM_EXTERNAL = Placement(How.BOOT, "DTCM", "QSPI")
MAIN_FROM_EXTERNAL = Placement(How.BOOT, "SRAM", "QSPI")
STAGED = Placement(How.STAGED, "SRAM2", "FLASH")
STAGED_FROM_EXTERNAL = Placement(How.STAGED, "SRAM2", "QSPI")
MIXED = (FLASH, STAGED, MAIN, TCM, EXTERNAL, SECOND, TCM_FROM_EXTERNAL, STAGED_FROM_EXTERNAL, MAIN_FROM_EXTERNAL)


def _all(place: Placement) -> Choice:
    return lambda _, __: place


MODES: dict[str, Choice] = {
    "flash": _all(FLASH),
    "external in place": _all(EXTERNAL),
    "boot to main RAM": _all(MAIN),
    "boot to a second SRAM": _all(SECOND),
    "boot to TCM": _all(TCM),
    "boot from external": _all(TCM_FROM_EXTERNAL),
    "staged": _all(STAGED),
    "staged from external": _all(STAGED_FROM_EXTERNAL),
    "mixed": lambda i, _: MIXED[i % len(MIXED)],
}


def board() -> Target:
    return tiny_board(
        flash=MIB,
        sram=256 * KIB,
        more=(
            region("SRAM2", "sram", 0x2800_0000, 128 * KIB),
            region("DTCM", "tcm", 0x3000_0000, 128 * KIB),
            region("QSPI", "external", 0x9000_0000, 2 * MIB),
        ),
    )


def everywhere(target: Target) -> Choice:
    """Constants by turns in every memory of `target` that may hold them, and in a stage in the main one."""
    code = target.code_region.name
    found = [Placement(How.STAGED, target.main_ram.name, code)]
    for memory in target.regions:
        if "data" in memory.holds:
            found.append(Placement(How.BOOT, memory.name, code))
        elif "constants" in memory.holds:
            found.append(Placement(How.IN_PLACE, memory.name, memory.name))
    return lambda i, _: found[i % len(found)]


def placed(graph: QuantGraph, choice: Choice, *, target: Target | None = None, arena_region: str | None = None) -> Plan:
    """A verified plan of `graph` with the constant of number i where `choice(i, constant)` says.

    In the stage the trunks of even segments lie at the bottom and those of odd ones above the largest of them, heads
    above both: images that may be there together share no byte.
    """
    plan = make_plan(graph, target or board())
    found = constants(graph)
    places = {constant.name: choice(i, constant) for i, constant in enumerate(found)}
    staged = [constant for constant in found if places[constant.name].how is How.STAGED]
    groups = [[c for c in staged if not c.head and c.segment % 2 == parity] for parity in (0, 1)]
    start = 0
    for group in (*groups, [c for c in staged if c.head]):
        tops = [start]
        at: dict[int, int] = {}
        for constant in group:
            offset = at.setdefault(constant.segment, start)
            places[constant.name] = replace(places[constant.name], offset=offset)
            at[constant.segment] = offset + aligned(constant.nbytes)
            tops.append(at[constant.segment])
        start = max(tops)
    stage = Stage(places[staged[0].name].region, start) if staged else None
    made = replace(plan, placements=places, stage=stage, arena_region=arena_region or plan.arena_region)
    verify_plan(made)
    return made
