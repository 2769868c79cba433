"""How long an inference takes on a board, in closed form and by trace, and what energy that is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ptee_mcu.cycles.cores import CORES
from ptee_mcu.plan.cost import PlanCost
from ptee_mcu.plan.expected_cost import PointCycles, distribution, exit_cycles, running
from ptee_mcu.plan.placement import all_in_place
from ptee_mcu.plan.plan import Plan
from ptee_mcu.plan.plan_cost import full_cycles, known_cost, plan_cost
from ptee_mcu.quant_graph import OperatingPoint
from ptee_mcu.target import is_unsourced
from ptee_mcu.units import milliseconds


@dataclass(frozen=True, slots=True)
class Timing:
    """Core cycles of an inference on a board, its constants where the plan has them; heads that cannot fire left out.

    `per_exit`: of leaving at each exit. `mean` and `percentile_95` follow the images that were reported on, `worst` the
    last exit that can be reached. `in_flash`: the mean with every constant in place where code lies. `boot`: to load
    what is loaded before main, once. `energy_uj`: of the mean inference; None where the board's power is unknown,
    `energy_unsourced` where its figure has no source.
    `full`: of a pass through every head up to each exit, in closed form; `traced`: the same by trace of the firmware,
    empty where none was taken. `error`: percent by which priced cycles may lie below and above measured ones, None
    where nothing measured is known.
    """

    board: str
    core: str
    clock_hz: int
    per_exit: tuple[float, ...]
    mean: float
    percentile_95: float
    worst: float
    in_flash: float
    boot: float
    energy_uj: float | None
    energy_unsourced: bool
    full: tuple[float, ...]
    traced: tuple[float, ...]
    error: tuple[float, float] | None
    checked: str

    def ms(self, cycles: float) -> float:
        """`cycles` in milliseconds at the board's clock."""
        return milliseconds(cycles, self.clock_hz)


def timing(plan: Plan, shares: Sequence[float]) -> Timing | None:
    """Of `plan` under its default operating point, where `shares` of the images leave at each exit.

    None where there are no rates for the board's core.
    """
    target, graph, cost = plan.target, plan.graph, known_cost(plan)
    full = full_cycles(plan, cost)
    if cost is None or full is None:
        return None
    flash = replace(plan, placements=all_in_place(graph, target), stage=None)
    nodes, thresholds = running(graph, graph.point.thresholds), graph.point.thresholds
    found = _spread(exit_cycles(plan, cost, nodes), shares, thresholds)
    in_flash = _spread(exit_cycles(flash, plan_cost(flash), nodes), shares, thresholds)
    core = CORES[target.cpu]
    return Timing(
        board=target.name,
        core=target.cpu,
        clock_hz=target.clock_hz,
        per_exit=found.per_exit,
        mean=found.mean,
        percentile_95=found.percentile_95,
        worst=found.worst,
        in_flash=in_flash.mean,
        boot=cost.boot,
        energy_uj=target.microjoules(found.mean),
        energy_unsourced=target.energy is not None and is_unsourced(target.energy.source),
        full=full,
        traced=(),
        error=core.error,
        checked=core.checked,
    )


def point_ms(plan: Plan, cost: PlanCost, point: OperatingPoint, shares: Sequence[float]) -> tuple[float, float]:
    """Milliseconds under `point`, on average and at worst; `cost`: of `plan`."""
    per_exit = exit_cycles(plan, cost, running(plan.graph, point.thresholds))
    found = _spread(per_exit, shares, point.thresholds)
    return plan.target.milliseconds(found.mean), plan.target.milliseconds(found.worst)


def _spread(per_exit: Sequence[float], shares: Sequence[float], thresholds: Sequence[int]) -> PointCycles:
    left = [sum(shares[i:]) for i in range(len(shares))]
    return distribution(per_exit, left, thresholds)
