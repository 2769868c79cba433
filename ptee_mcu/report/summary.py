"""What a network did with a set of images, per exit and on average; every evaluated head is charged."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ptee_mcu.exits.costs import nominal_exit_costs
from ptee_mcu.exits.outcomes import ExitRisk
from ptee_mcu.plan.expected_cost import last_reached
from ptee_mcu.plan.plan import Plan
from ptee_mcu.report.points import PointRow
from ptee_mcu.report.timing import Timing, timing

if TYPE_CHECKING:  # they load scipy.optimize and all that runs firmware, which other commands do without
    from ptee_mcu.exits.reliability import Reliability
    from ptee_mcu.firmware.checks import Checks

Integers: TypeAlias = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class ExitRow:
    """One exit: who left there, how right they were, what leaving there costs.

    `share`, `agreement` and `accuracy` are fractions; the last two are of those that left here, None where unknown.
    `macs` and `instructions` are totals up to and including this exit's head, every head on the way charged.
    `cycles` is the time of leaving here on the board, in closed form, without heads that cannot fire; None where there
    are no rates for its core. `nominal` is the papers' cost of this exit over the backbone's, in MACs: the trunk and
    its own head alone, none at the final exit; None where the network has no early exit.
    """

    name: str
    after: str | None
    threshold: int | None
    share: float
    agreement: float | None
    accuracy: float | None
    macs: int
    instructions: int | None
    nominal: float | None = None
    cycles: float | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """Accuracy of the network without its exits, in int8 and in float32, on the held-out images.

    Those are threshold A, threshold B and the report together, whichever part of the data set each was taken from; the
    backbone was trained on none of them.
    """

    images: int
    int8_accuracy: float
    float_accuracy: float | None  # None where it came as int8


@dataclass(frozen=True, slots=True)
class Report:
    """A table for people and JSON for programs.

    `cost` is the mean MACs over the MACs of the backbone alone; `accuracy` against labels, `agreement` with the
    network's own final exit: two figures, never one. `full_accuracy` is that of the final exit on every image.
    `worst_cost` is that of the last exit that can be reached. `nominal_cost` is the mean of the papers' costs, for
    comparison with papers only; None without early exits. `points` are all operating points on the report images;
    `reliability` and `risks`, per exit under the default point, are estimates and certified by nothing. `checks` of the
    code: None where it was not compiled.
    """

    name: str
    images: int
    of: str  # which images, and what they were used for
    rows: tuple[ExitRow, ...]
    backbone_macs: int
    mean_macs: float
    cost: float
    worst_cost: float
    mean_instructions: float | None
    agreement: float | None
    accuracy: float | None
    full_accuracy: float | None
    arena_bytes: int
    weight_bytes: int
    flash_bytes: int | None = None
    ram_bytes: int | None = None
    baseline: Baseline | None = None
    notes: tuple[str, ...] = ()
    nominal_cost: float | None = None
    points: tuple[PointRow, ...] = ()
    reliability: "tuple[Reliability, ...]" = ()
    risks: tuple[ExitRisk, ...] = ()
    timing: Timing | None = None
    checks: "Checks | None" = None

    def as_json(self) -> dict[str, Any]:
        """The same for json.dumps, NaN forbidden: enums as their values, what is not a finite number as None."""
        return {name: _plain(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Per image: which exit answered and with what; `final` is the final exit's label, None where it was not run."""

    exits: Integers
    labels: Integers
    final: Integers | None
    truth: Integers | None


def summarise(  # noqa: D417 - the rest is Report's
    plan: Plan,
    answers: Answers,
    *,
    of: str,
    instructions: Sequence[int | None] | None = None,
    baseline: Baseline | None = None,
    notes: Sequence[str] = (),
    points: Sequence[PointRow] = (),
    reliability: "Sequence[Reliability]" = (),
    risks: Sequence[ExitRisk] = (),
) -> Report:
    """The report on `answers`.

    Args:
        plan: of the network that answered.
        answers: per image.
        instructions: cumulative instructions of leaving at each exit, where they were counted.
        risks: one per exit, in order, or none.
    """
    graph = plan.graph
    macs, backbone = graph.exit_macs(graph.point), graph.backbone_macs()
    counts = list(instructions) if instructions is not None else [None] * len(macs)
    assert len(risks) in (0, len(macs))
    early = len(macs) > 1
    nominal: Sequence[float | None] = nominal_exit_costs(graph) if early else [None] * len(macs)
    thresholds = (*graph.point.thresholds, None)
    rows = tuple(
        _row(answers, i, leave.name, leave.tap, thresholds[i], macs[i], counts[i], nominal[i])
        for i, leave in enumerate(graph.exits)
    )
    taken = timing(plan, [row.share for row in rows])
    if taken is not None:
        rows = tuple(replace(row, cycles=cycles) for row, cycles in zip(rows, taken.per_exit, strict=True))
    mean_macs = float(sum(row.share * row.macs for row in rows))
    known = [row.instructions for row in rows if row.share > 0]
    mean_instructions = None
    if all(count is not None for count in known):
        mean_instructions = float(sum(row.share * (row.instructions or 0) for row in rows))
    return Report(
        name=graph.name,
        images=len(answers.exits),
        of=of,
        rows=rows,
        backbone_macs=backbone,
        mean_macs=mean_macs,
        cost=_of_backbone(mean_macs, backbone),
        worst_cost=_of_backbone(macs[last_reached(graph.point.thresholds)], backbone),
        mean_instructions=mean_instructions,
        agreement=_mean_equal(answers.labels, answers.final),
        accuracy=_mean_equal(answers.labels, answers.truth),
        full_accuracy=None if answers.final is None else _mean_equal(answers.final, answers.truth),
        arena_bytes=plan.arena_bytes,
        weight_bytes=plan.weight_bytes,
        baseline=baseline,
        notes=tuple(notes),
        nominal_cost=float(sum(row.share * (row.nominal or 0.0) for row in rows)) if early else None,
        points=tuple(points),
        reliability=tuple(reliability),
        risks=tuple(risks),
        timing=taken,
    )


def _of_backbone(macs: float, backbone: int) -> float:
    """1 for a network that multiplies nothing, which has no exits."""
    return macs / backbone if backbone else 1.0


def _row(
    answers: Answers,
    exit_: int,
    name: str,
    after: str | None,
    threshold: int | None,
    macs: int,
    count: int | None,
    nominal: float | None,
) -> ExitRow:
    here = answers.exits == exit_
    return ExitRow(
        name=name,
        after=after,
        threshold=threshold,
        share=float(here.mean()),
        agreement=_mean_equal(answers.labels, answers.final, here),
        accuracy=_mean_equal(answers.labels, answers.truth, here),
        macs=macs,
        instructions=count,
        nominal=nominal,
    )


def _mean_equal(
    labels: Integers,
    other: Integers | None,
    here: npt.NDArray[np.bool_] | None = None,
) -> float | None:
    if other is None:
        return None
    same = labels == other if here is None else (labels == other)[here]
    return float(same.mean()) if same.size else None


def _plain(value: Any) -> Any:
    """`value` of bool, int, float, str, None, list and dict alone."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
