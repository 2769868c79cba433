"""What every operating point of a network does to the report images; agreement and accuracy stay two figures."""

from dataclasses import dataclass

import numpy as np

from ptee_mcu.data import require_reportable
from ptee_mcu.errors import DataError
from ptee_mcu.exits.outcomes import Outcomes, exit_taken
from ptee_mcu.exits.thresholds import note
from ptee_mcu.plan.cost import PlanCost
from ptee_mcu.plan.expected_cost import last_reached
from ptee_mcu.plan.plan import Plan
from ptee_mcu.plan.plan_cost import known_cost
from ptee_mcu.quant_graph import OperatingPoint
from ptee_mcu.report.timing import point_ms


@dataclass(frozen=True, slots=True)
class PointRow:
    """One operating point: what was asked and promised of it, and what it gave on the report images.

    `quantity`, `asked`, `delta`, `bound` and `thresholds` are the point's own. `certified`: with probability at least
    1 - delta every certified point of the table keeps its `quantity` within its `bound` on new images.
    `agreement`, with the network's own final exit, and `disagreement` add to 1; `accuracy`, against labels, is another
    figure, and `drop` what it lacks to that of the final exit on the same images; both None without labels.
    `cost` is the mean and `worst_cost` the cost of the last exit that can be reached, in backbones: every head on the
    way is charged, those of exits that cannot fire under the point are not. `shares` are the fractions that leave at
    each exit. `mean_ms` and `worst_ms` are times on the board, None where its core has no rates. `note` is what a
    reader should know; `default`: the point that NAME_init selects.
    """

    name: str
    quantity: str
    asked: float | None
    delta: float | None
    bound: float | None
    certified: bool
    accuracy: float | None
    agreement: float
    disagreement: float
    drop: float | None
    cost: float
    worst_cost: float
    shares: tuple[float, ...]
    thresholds: tuple[int, ...]
    note: str | None = None
    default: bool = False
    mean_ms: float | None = None
    worst_ms: float | None = None


def point_rows(plan: Plan, outcomes: Outcomes) -> tuple[PointRow, ...]:
    """A row per operating point of `plan`'s network, in its order; none where there is no early exit.

    Args:
        plan: of the network whose points are measured.
        outcomes: what its exits say on the report images; a split of images whose `y` is empty has no labels.

    Raises:
        SplitError: where the images were trained on, or thresholds were chosen on them.
        DataError: where the outcomes are of another number of exits.
    """
    graph = plan.graph
    require_reportable(outcomes.split)
    if len(outcomes.labels) != len(graph.exits):
        raise DataError(f"{graph.name}: outcomes of {len(outcomes.labels)} exits, the network has {len(graph.exits)}")
    if len(graph.exits) == 1:
        return ()
    cost = known_cost(plan)
    return tuple(_row(plan, cost, i, point, outcomes) for i, point in enumerate(graph.points))


def _row(plan: Plan, known: PlanCost | None, index: int, point: OperatingPoint, outcomes: Outcomes) -> PointRow:
    graph = plan.graph
    count, macs, backbone = outcomes.count, graph.exit_macs(point), graph.backbone_macs()
    taken = exit_taken(outcomes.confidences, point.thresholds)
    answers, final = outcomes.labels[taken, np.arange(count)], outcomes.labels[-1]
    left = np.bincount(taken, minlength=len(macs)).tolist()
    other = int((answers != final).sum())
    accuracy, drop = None, None
    if len(truth := outcomes.split.y):
        right, full = int((answers == truth).sum()), int((final == truth).sum())
        accuracy, drop = right / count, (full - right) / count
    shares = tuple(n / count for n in left)
    mean_ms, worst_ms = (None, None) if known is None else point_ms(plan, known, point, shares)
    return PointRow(
        name=point.name,
        quantity=point.quantity,
        asked=point.asked,
        delta=point.delta,
        bound=point.bound,
        certified=point.delta is not None,
        accuracy=accuracy,
        agreement=(count - other) / count,
        disagreement=other / count,
        drop=drop,
        # One division of integers, rounded once: the mean never exceeds the worst case.
        cost=sum(n * m for n, m in zip(left, macs, strict=True)) / (count * backbone),
        worst_cost=macs[last_reached(point.thresholds)] / backbone,
        shares=shares,
        thresholds=point.thresholds,
        note=note(point),
        default=index == graph.default,
        mean_ms=mean_ms,
        worst_ms=worst_ms,
    )
