"""Which operating point of a build a command means."""

from dataclasses import replace

from ptee_mcu.errors import ConfigError
from ptee_mcu.plan.plan import Plan
from ptee_mcu.quant_graph import QuantGraph


def point_index(graph: QuantGraph, asked: str) -> int:
    """The number of the operating point with the name `asked`; where none has it, `asked` is that number.

    Raises:
        ConfigError: where it is neither; lists what there is.
    """
    names = [point.name for point in graph.points]
    if asked in names:
        return names.index(asked)
    if asked.isdecimal() and int(asked) < len(names):
        return int(asked)
    raise ConfigError(
        f"{graph.name} has no operating point {asked!r}",
        hint="choose from " + ", ".join(f"{i} ({name})" for i, name in enumerate(names)),
    )


def plan_at(plan: Plan, asked: str | None) -> Plan:
    """`plan` with the operating point `asked` as its default; unchanged where None.

    Raises:
        ConfigError: as `point_index`.
    """
    if asked is None:
        return plan
    return replace(plan, graph=replace(plan.graph, default=point_index(plan.graph, asked)))


def selected(plan: Plan, asked: str | None) -> tuple[int, ...]:
    """What makes the C run at the default of `plan_at(plan, asked)`: `Options.points`, none where nothing was asked."""
    return () if asked is None else (plan.graph.default,)


def point_notes(plan: Plan, asked: str | None) -> list[str]:
    """What a report on `plan_at(plan, asked)` should say of it; nothing where nothing was asked."""
    return [] if asked is None else [f"operating point {plan.graph.point.name}"]
