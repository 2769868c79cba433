"""Budgets: how much flash, RAM, time and energy a network may take, and the check that it does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ptee_mcu.budget_causes import flash_causes, mean_causes, ram_causes, worst_causes
from ptee_mcu.budget_options import Change, Option, Price, options
from ptee_mcu.errors import BudgetError
from ptee_mcu.plan.cost import PlanCost
from ptee_mcu.plan.plan import Plan
from ptee_mcu.plan.used import Used
from ptee_mcu.target import Target
from ptee_mcu.units import parse_bytes

SmallestBoard = Callable[[int, int], Target | None]  # that has this much flash and RAM

_Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(gt=0)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Budget:
    """The most a network may take; None: as much as it likes. `mean_ms` and `energy_uj` are of the mean inference."""

    flash_bytes: int | None = None
    ram_bytes: int | None = None
    mean_ms: float | None = None
    worst_ms: float | None = None
    energy_uj: float | None = None


class BudgetSection(BaseModel):
    """`[budget]`: what the build may take of the board at most; nothing is limited that is left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    flash: _Bytes | None = None
    ram: _Bytes | None = None
    mean_ms: _Positive | None = None
    worst_ms: _Positive | None = None
    energy_uj: _Positive | None = None

    @property
    def budget(self) -> Budget:
        """The same as a value."""
        return Budget(self.flash, self.ram, self.mean_ms, self.worst_ms, self.energy_uj)


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that can be limited: its name in the config, what is used, what is allowed; None: unknown, no limit."""

    name: str
    used: float | None
    allowed: float | None

    @property
    def exceeded(self) -> bool:
        """True where it is known to be more than allowed."""
        return self.used is not None and self.allowed is not None and self.used > self.allowed

    def show(self, value: float) -> str:
        """`value` with its unit."""
        unit = {"mean_ms": "ms", "worst_ms": "ms", "energy_uj": "uJ"}.get(self.name, "B")
        return f"{value:,.0f} B" if unit == "B" else f"{value:,.4g} {unit}" if value < 1e4 else f"{value:,.0f} {unit}"


def figures(used: Used, budget: Budget) -> tuple[Figure, ...]:
    """Everything that can be limited."""
    return (
        Figure("flash", used.flash_bytes, budget.flash_bytes),
        Figure("ram", used.ram_bytes, budget.ram_bytes),
        Figure("mean_ms", used.mean_ms, budget.mean_ms),
        Figure("worst_ms", used.worst_ms, budget.worst_ms),
        Figure("energy_uj", used.energy_uj, budget.energy_uj),
    )


def check(
    plan: Plan,
    cost: PlanCost,
    used: Used,
    budget: Budget,
    *,
    price: Price | None = None,
    smallest: SmallestBoard | None = None,
) -> None:
    """Refuses what is over its budget.

    Args:
        plan: what was planned.
        cost: of `plan`.
        used: what `plan` takes under its default operating point.
        budget: what it may take.
        price: of a plan, to try other placements; they are not tried where None.
        smallest: the smallest listed board with so many bytes of flash and RAM; not named where None.

    Raises:
        BudgetError: where a limit is exceeded, or energy is limited and unknown; names every such limit, what takes
            most, and every kind of change that would bring all of them under.
    """
    found = figures(used, budget)
    over = [figure for figure in found if figure.exceeded]
    unknown = budget.energy_uj is not None and used.energy_uj is None
    if not over and not unknown:
        return
    lines = [f"{plan.graph.name} is over its budget on {plan.target.name}:"]
    for figure in over:
        lines += _excess(figure, plan, cost, used)
    if unknown:
        lines.append(f"  energy_uj: limited to {budget.energy_uj:g} uJ, and the power of {plan.target.name} is unknown")
    if not over:
        raise BudgetError(
            "\n".join(lines), hint="state run_mw, or run_ma and supply_v, in [energy] of the board's file"
        )
    ram = budget.ram_bytes if any(figure.name == "ram" for figure in over) else None
    tried = [(option, figures(option.used, budget)) for option in options(
        plan, cost, used.fixed, ram_bytes=ram, price=price
    )]  # fmt: skip
    enough = list(_first_of_each([each for each in tried if not any(f.exceeded for f in each[1])]))
    if len(enough) > 1:
        enough = [each for each in enough if each[0].change is not Change.BOTH]  # one of them is enough
    lines += _advice(enough, tried, found, plan.target.clock_hz)
    lines += _board(over, used, plan.target, smallest)
    hint = enough[0][0].text if enough else "allow more, or choose a smaller network"
    raise BudgetError("\n".join(lines), hint=hint)


_Tried = tuple[Option, tuple[Figure, ...]]


def _excess(figure: Figure, plan: Plan, cost: PlanCost, used: Used) -> Iterator[str]:
    assert figure.used is not None
    assert figure.allowed is not None
    over = figure.used - figure.allowed
    yield (
        f"  {figure.name}: {figure.show(figure.used)}, {figure.show(figure.allowed)} allowed: "
        f"{figure.show(over)} too much ({over / figure.allowed:.1%})"
    )
    match figure.name:
        case "flash":
            causes = flash_causes(plan, used)
        case "ram":
            causes = ram_causes(plan, used)
        case "worst_ms":
            causes = worst_causes(plan, cost)
        case _:
            causes = mean_causes(plan, cost)
    yield from (f"    {cause}" for cause in causes)


def _advice(
    enough: Sequence[_Tried], tried: Sequence[_Tried], before: Sequence[Figure], clock_hz: int
) -> Iterator[str]:
    """What brings everything under; where nothing does, what comes nearest of each kind."""
    if enough:
        unknown = any(figure.used is None and figure.allowed is not None for figure in before)
        yield f"  any of these brings everything {'else ' if unknown else ''}under:"
    nearer = [each for each in tried if _helps(before, each[1])]
    if not enough and nearer:
        yield "  none of these is enough alone:"
    shown = enough or list(_first_of_each(sorted(nearer, key=lambda each: _overshoot(each[1]))))
    for option, after in shown:
        yield f"    {option.change.value}: {option.text}: {_changes(option, before, after, clock_hz)}"
    if not shown:
        yield "  no other operating point, placement or choice of these exits takes less"


def _changes(option: Option, before: Sequence[Figure], after: Sequence[Figure], clock_hz: int) -> str:
    parts = []
    for old, new in zip(before, after, strict=True):
        if old.used is None or new.used is None or (old.used == new.used and not old.exceeded):
            continue
        most = "at most " if option.at_most and new.name in ("mean_ms", "energy_uj") else ""
        difference = new.used - old.used
        cycles = f", {difference * clock_hz / 1e3:+,.0f} cycles" if new.name in ("mean_ms", "worst_ms") else ""
        change = f"{'+' if difference > 0 else '-'}{new.show(abs(difference))}{cycles}" if difference else "as before"
        still = ", too much" if new.exceeded else ""
        parts.append(f"{new.name} {most}{new.show(new.used)} ({change}{still})")
    return ", ".join(parts)


def _first_of_each(tried: Sequence[_Tried]) -> Iterator[_Tried]:
    """The first of every kind of change, kinds in the order in which they are tried."""
    seen = set()
    for option, found in tried:
        if option.change not in seen:
            seen.add(option.change)
            yield option, found


def _helps(before: Sequence[Figure], after: Sequence[Figure]) -> bool:
    """True where something that is too much becomes less."""
    pairs = zip(before, after, strict=True)
    return any(a.exceeded and a.used and b.used is not None and b.used < a.used for a, b in pairs)


def _overshoot(found: Sequence[Figure]) -> float:
    """The worst figure as a multiple of what is allowed."""
    ratios = [f.used / f.allowed for f in found if f.used is not None and f.allowed is not None]
    return max(ratios, default=0.0)


def _board(over: Sequence[Figure], used: Used, target: Target, smallest: SmallestBoard | None) -> Iterator[str]:
    if smallest is None or not {"flash", "ram"} & {figure.name for figure in over}:
        return
    need = f"{used.flash_bytes:,} B of flash and {used.ram_bytes:,} B of RAM"
    board = smallest(used.flash_bytes, used.ram_bytes)
    if board is None:
        yield f"  no listed board has {need}"
    else:
        itself = ", this one" if board.name == target.name else ""
        yield f"  the smallest listed board with {need} is {board.name}{itself}: allow as much as it has"
