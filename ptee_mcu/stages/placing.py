"""The plan: order, arena and the place of every constant; the budget it must keep, and pictures of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from ptee_mcu.artifacts import MANIFEST, Artifacts
from ptee_mcu.boards import smallest_that_fits
from ptee_mcu.budget import Budget, check
from ptee_mcu.config import Config
from ptee_mcu.cycles.kernels import has_rates
from ptee_mcu.emit import emit
from ptee_mcu.emit_integrations import integrations
from ptee_mcu.emit_project import abi_of, bare_project
from ptee_mcu.errors import ConfigError
from ptee_mcu.golden import golden
from ptee_mcu.plan.explain import explain
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.place import Placed, placed
from ptee_mcu.plan.plan import Plan, verify_plan
from ptee_mcu.plan.plan_cost import plan_cost
from ptee_mcu.plan.settings import Mode
from ptee_mcu.plan.used import Fixed, fixed_of, used_by
from ptee_mcu.project import Inputs
from ptee_mcu.project_kind import ProjectKind
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.report.console import Console
from ptee_mcu.report.memory_map import memory_map
from ptee_mcu.report.memory_svg import memory_svg
from ptee_mcu.report.memory_text import memory_text
from ptee_mcu.report.summary import Report
from ptee_mcu.target import Target

PICTURE = "memory.svg"


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """A verified plan; `placed`: what decided where its constants lie, None where no rates of the core are known."""

    plan: Plan
    placed: Placed | None


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """What a build has to tell: the report, the plan and why it is as it is, what the linked firmware takes besides."""

    report: Report
    planned: Planned
    fixed: Fixed


def planned(config: Config, graph: QuantGraph, target: Target, console: Console) -> Planned:
    """The plan of `graph` on `target`, verified.

    Raises:
        DoesNotFitError: where it does not fit the board.
        ConfigError: where constants are to be placed, and no rates of the board's core are known to weigh places by.
    """
    plan, settings = make_plan(graph, target), config.target.place_settings
    if has_rates(target.cpu):
        with console.progress("placing constants") as advance:
            found = placed(plan, settings)
            advance(1, 1)
        verify_plan(found.plan)
        return Planned(found.plan, found)
    if settings.mode not in (Mode.AUTO, Mode.FLASH):
        raise ConfigError(
            f'{target.name}: no cycle rates are known for {target.cpu}, so placement = "{settings.mode.value}" cannot '
            "be weighed",
            hint='take placement = "flash"',
        )
    console.warn(f"no cycle rates are known for {target.cpu}: all constants stay in flash, and no times are told")
    verify_plan(plan)
    return Planned(plan, None)


def emitted(config: Config, plan: Plan) -> Artifacts:
    """The C library, with what the config wants in it."""
    wanted = config.build
    return emit(plan, where=wanted.cmsis_nn, crc=wanted.crc, yield_every_op=wanted.yield_every_op)


def require_budget(config: Config, plan: Plan, fixed: Fixed) -> None:
    """Refuses a plan that exceeds the config's budget.

    Raises:
        BudgetError: naming what is exceeded, what takes most, and what would bring it under.
        ConfigError: where time is limited and no rates of the board's core are known.
    """
    budget = config.budget.budget
    if budget == Budget():
        return
    cost = plan_cost(plan)
    used = used_by(plan, cost, fixed)
    isa = plan.target.isa
    check(
        plan, cost, used, budget, price=plan_cost,
        smallest=lambda flash, ram: smallest_that_fits(flash, ram, isa=isa),
    )  # fmt: skip


def fixed_bytes(plan: Plan, report: Report) -> Fixed:
    """What the linked firmware takes beside arena, stage and constants; code is unknown where nothing was linked."""
    if report.flash_bytes is None or report.ram_bytes is None:
        return Fixed(stack_bytes=plan.stack_bytes)
    return fixed_of(plan, report.flash_bytes, report.ram_bytes)


def pictures(plan: Plan, fixed: Fixed) -> Mapping[str, str]:
    """Files that show what lies where."""
    return {PICTURE: memory_svg(memory_map(plan, fixed))}


def project_files(config: Config, plan: Plan, artifacts: Artifacts, inputs: Inputs) -> Mapping[str, str | bytes]:
    """What is written around the library of `artifacts`, where the config wants it."""
    wanted = config.build.project
    if wanted is ProjectKind.BARE:
        return bare_project(plan, golden(plan, inputs), abi=abi_of(artifacts.files[MANIFEST]))
    return integrations(plan, artifacts.files, name=plan.graph.name, kinds=(wanted,) if wanted else ())


def memory_lines(plan: Plan, fixed: Fixed) -> list[str]:
    """The same for the terminal."""
    return memory_text(memory_map(plan, fixed))


def reasons(found: Planned) -> list[str]:
    """Why every constant lies where it lies, and how good the whole is, a line each."""
    if found.placed is None:
        return ["every constant lies in place in flash: no cycle rates of the core are known to weigh places by"]
    made = found.placed.partition
    proof = "no other placement is better" if made.optimal else f"at most {made.gap:.1%} of it could be saved"
    head = (
        f"placement = {made.mode.value}, least {made.objective.value}: {made.cycles:,.0f} cycles per inference are "
        f"waited for constants and arena; {proof} (found in {made.seconds:.1f} s)"
    )
    return [head, *(f"  {reason.text}" for reason in explain(made))]
