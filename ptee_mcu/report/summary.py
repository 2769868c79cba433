"""What a network did with a set of images, per exit and on average; every evaluated head is charged."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ptee_mcu.plan.plan import Plan

Integers: TypeAlias = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class ExitRow:
    """One exit: who left there, how right they were, what leaving there costs.

    `share`, `agreement` and `accuracy` are fractions; the last two are of those that left here, None where unknown.
    `macs` and `instructions` are totals up to and including this exit's head.
    """

    name: str
    after: str | None
    threshold: int | None
    share: float
    agreement: float | None
    accuracy: float | None
    macs: int
    instructions: int | None


@dataclass(frozen=True, slots=True)
class Baseline:
    """Accuracy of the network without its exits, in int8 and in float32, on all test images."""

    images: int
    int8_accuracy: float
    float_accuracy: float


@dataclass(frozen=True, slots=True)
class Report:
    """A table for people and JSON for programs.

    `cost` is the mean MACs over the MACs of the backbone alone; `accuracy` against labels, `agreement` with the
    network's own final exit: two figures, never one. `full_accuracy` is that of the final exit on every image.
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

    def as_json(self) -> dict[str, Any]:
        """The same for json.dumps."""
        return asdict(self)


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
) -> Report:
    """The report on `answers`.

    Args:
        plan: of the network that answered.
        answers: per image.
        instructions: cumulative instructions of leaving at each exit, where they were counted.
    """
    graph = plan.graph
    macs, backbone = graph.exit_macs(graph.point), graph.backbone_macs()
    counts = list(instructions) if instructions is not None else [None] * len(macs)
    thresholds = (*graph.point.thresholds, None)
    rows = tuple(
        _row(answers, i, leave.name, leave.tap, thresholds[i], macs[i], counts[i])
        for i, leave in enumerate(graph.exits)
    )
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
        cost=mean_macs / backbone,
        worst_cost=macs[-1] / backbone,
        mean_instructions=mean_instructions,
        agreement=_mean_equal(answers.labels, answers.final),
        accuracy=_mean_equal(answers.labels, answers.truth),
        full_accuracy=None if answers.final is None else _mean_equal(answers.final, answers.truth),
        arena_bytes=plan.arena_bytes,
        weight_bytes=plan.weight_bytes,
        baseline=baseline,
        notes=tuple(notes),
    )


def _row(
    answers: Answers, exit_: int, name: str, after: str | None, threshold: int | None, macs: int, count: int | None
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
