"""Whether certified operating points keep what they promise, over random divisions of cached int8 outcomes.

    python benchmarks/guarantee.py OUTCOMES.npz [--costs C0,C1,...] [--divisions 200] [--write]

OUTCOMES.npz holds what every exit of an int8 network says on test images that nobody was trained on: `labels` (E, N),
`confidences` int8 (E - 1, N), `truth` (N,), and, unless --costs is given, `costs` (E,) of leaving at each exit
relative to the bare backbone. --write puts the page into docs/benchmarks/guarantee.md.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

# A script's own folder comes first on its path; the checkout is meant.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from ptee_mcu.data.splits import Part, Split, Use
from ptee_mcu.errors import DataError
from ptee_mcu.exits.asks import DEFAULT_ASKS
from ptee_mcu.exits.certify import operating_points
from ptee_mcu.exits.outcomes import Outcomes, disagreement, exit_taken, make_outcomes, mean_cost
from ptee_mcu.quant_graph import NEVER

A, B = 1000, 5000
DELTA = 0.05
PAGE = Path("docs/benchmarks/guarantee.md")


@dataclass(frozen=True, slots=True)
class Row:
    """One limit over all divisions; `ratio` is the realised disagreement over the asked one."""

    asked: float
    broken: int
    ratio: float
    spread: tuple[float, float]
    cost: float
    silent: int


def main() -> None:
    """Prints the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outcomes", type=Path)
    parser.add_argument("--costs", type=lambda text: tuple(map(float, text.split(","))))
    parser.add_argument("--divisions", type=int, default=200)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    everything, costs = load(options.outcomes, options.costs)
    page = report(everything, costs, options.divisions, str(options.outcomes))
    print(page)
    if options.write:
        (Path(__file__).resolve().parents[1] / PAGE).write_text(page + "\n")


def load(path: Path, costs: tuple[float, ...] | None) -> tuple[Outcomes, tuple[float, ...]]:
    """Outcomes of all images, and the costs of leaving at each exit."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    if missing := {"labels", "confidences", "truth"} - set(arrays):
        raise DataError(f"{path.name} has no {', '.join(sorted(missing))}")
    if costs is None and "costs" not in arrays:
        raise DataError(f"{path.name} has no costs", hint="give them with --costs")
    given = costs or tuple(map(float, arrays["costs"]))
    count = arrays["labels"].shape[1]
    if count < A + B + 1:
        raise DataError(f"{path.name} holds {count} images, {A + B + 1} are needed")
    return make_outcomes(split(np.asarray(arrays["truth"])), arrays["labels"], arrays["confidences"]), given


def split(truth: npt.NDArray[np.int64], first: int = 0) -> Split:
    """Images numbered from `first` on that nobody has seen."""
    return Split(
        "thresholds",
        Part.TEST,
        np.arange(len(truth)) + first,
        np.zeros((len(truth), 1, 1, 1), np.uint8),
        truth,
        seen_by_backbone=False,
        seen_by_heads=False,
        used_for=frozenset({Use.THRESHOLDS}),
    )


def part(everything: Outcomes, rows: npt.NDArray[np.int64], first: int = 0) -> Outcomes:
    """The images `rows`, numbered from `first` on."""
    some = replace(split(everything.split.y[rows], first), name=f"images {first:,} to {first + len(rows):,}")
    return make_outcomes(some, everything.labels[:, rows], everything.confidences[:, rows])


def repeated(
    everything: Outcomes, costs: tuple[float, ...], divisions: int, *, replacement: bool
) -> tuple[list[Row], int]:
    """One row per limit, and in how many divisions any of them broke.

    With replacement, A and B are samples from the stored images as a population, whose disagreement is then the true
    one. Without, A, B and the rest are disjoint and the disagreement is that of the rest.
    """
    rng = np.random.default_rng(0)
    risks, spent, silent = (np.zeros((divisions, len(DEFAULT_ASKS))) for _ in range(3))
    for i in range(divisions):
        if replacement:
            drawn, judge = rng.integers(everything.count, size=A + B), everything
        else:
            drawn = rng.permutation(everything.count)
            judge = part(everything, drawn[A + B :], A + B)
        a, b = part(everything, drawn[:A]), part(everything, drawn[A : A + B], A)
        for k, point in enumerate(operating_points(a, b, costs, DEFAULT_ASKS, delta=DELTA)):
            taken = exit_taken(judge.confidences, point.thresholds)
            risks[i, k], spent[i, k] = disagreement(judge, taken), mean_cost(taken, costs)
            silent[i, k] = all(t == NEVER for t in point.thresholds)
    limits = np.asarray([ask.limit for ask in DEFAULT_ASKS])
    rows = [
        Row(
            ask.limit,
            int((risks[:, k] > ask.limit).sum()),
            float(risks[:, k].mean() / ask.limit),
            (float(np.quantile(risks[:, k], 0.05)), float(np.quantile(risks[:, k], 0.95))),
            float(spent[:, k].mean()),
            int(silent[:, k].sum()),
        )
        for k, ask in enumerate(DEFAULT_ASKS)
    ]
    return rows, int((risks > limits).any(axis=1).sum())


def table(rows: list[Row], any_broken: int, divisions: int) -> str:
    """Markdown."""
    head = "| asked | broken | realised / asked | realised, 5 % to 95 % of divisions | mean cost | never fires |"
    lines = [
        f"| {100 * row.asked:g} % | {row.broken} of {divisions} | {row.ratio:.2f} | "
        f"{100 * row.spread[0]:.2f} % to {100 * row.spread[1]:.2f} % | {row.cost:.3f} | {row.silent} |"
        for row in rows
    ]
    return "\n".join([head, "|---|---|---|---|---|---|", *lines, f"\nAny limit broke in {any_broken} of {divisions}."])


def report(everything: Outcomes, costs: tuple[float, ...], divisions: int, name: str) -> str:
    """The whole page."""
    rate = ", ".join(f"{100 * share:.1f} %" for share in everything.disagrees[:-1].mean(axis=1))
    rest = everything.count - A - B
    return f"""# Does the guarantee hold?

`python benchmarks/guarantee.py {name} --divisions {divisions} --write`: int8 outcomes of {everything.count:,} images,
{len(costs) - 1} early exits that disagree with the final one on {rate} of the images if all left there. Each of
{divisions} random divisions lays the path on {A:,} images and tests on {B:,}; the table of three points is certified
jointly at delta = {DELTA}. What is promised and what not: [the guarantee](../guarantee.md).

## Against the true disagreement

A and B are drawn from the stored images with replacement: these images are then the whole population, and the true
disagreement of any thresholds is known. Any of the three limits may break in at most {100 * DELTA:g} % of divisions.

{table(*repeated(everything, costs, divisions, replacement=True), divisions)}

## On images kept apart

A, B and the other {rest:,} images are disjoint; the disagreement is counted on those {rest:,}, so it scatters by itself
(at 1 % by {100 * (0.01 * 0.99 / rest) ** 0.5:.2f} points, one standard deviation) and may pass a limit that is kept.

{table(*repeated(everything, costs, divisions, replacement=False), divisions)}"""


if __name__ == "__main__":
    main()
