"""docs/benchmarks/imported_exits.md from the builds of benchmarks/imported_exits.py that are there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.imported_exits_networks import DROP, NETWORKS, Network
from ptee_mcu.config import share
from ptee_mcu.data import Split, divide, load
from ptee_mcu.exits.chain import chain
from ptee_mcu.exits.expected import expected_drop
from ptee_mcu.exits.outcomes import Outcomes, exit_taken, make_outcomes
from ptee_mcu.project import load_project
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.sim import evaluate
from ptee_mcu.stages.inputs import codes_of

_HEAD = """# Early exits on imported networks

Made by `python benchmarks/imported_exits.py --data DIR`. A model file goes in, exits are attached at its cuts, trained
and chosen by `ptee-mcu build`, for at most one point less accuracy than the network has without them, on a
Nucleo-L4R5ZI at 120 MHz. Thresholds come from images (or recordings) that backbone and heads have not seen, every
figure from others, on which nothing was chosen. Cost is the mean of multiply-accumulates relative to the network
without exits, every evaluated head charged; times are priced, not measured ([cycles](../cycles.md)), constants placed.
"""
_CERTIFIED = """
## Certified

The loss of accuracy on new images is at most one point with 95 % probability over the choosing images. `drop` is what
it is on the report images.

| network | report images | accuracy % | with exits % | drop, points | exits behind | leave at each exit % | mean cost \
| worst cost | ms without exits | mean ms | worst ms |
|---|---:|---:|---:|---:|---|---|---:|---:|---:|---:|---:|"""
_MEASURED = """
## Measured only

The same networks and heads, thresholds where the choosing images lose one point and no margin is kept: cheaper, and
nothing is promised of new images. The path of thresholds is laid on split A; of it the cheapest that loses at most one
point on A and B together. ± is one standard deviation of the drop, from the number of report images alone. The last
columns say how much of the network the task needs at all: what the first exit's head alone is worth.

| network | choosing images | drop there, points | drop on the report images | leave at each exit % | mean cost \
| mean ms | all at the first exit: accuracy % | cost |
|---|---:|---:|---:|---|---:|---:|---:|---:|"""
_NETWORKS = """
## The networks

- **ResNet-8** is MLPerf Tiny's published int8 file, whose integers stay as they are; the test images of CIFAR-10 are
  divided 1 : 5 : 4 into thresholds A, thresholds B and report.
- **DS-CNN** is MLPerf Tiny's keyword spotting network, trained here for 25 epochs on the Free Spoken Digit Dataset
  (3,000 recordings of ten digits by six speakers, 8 kHz, CC BY-SA 4.0). Recordings 25 to 49 of each digit and speaker
  are trained on, eight times each (as they are, and seven times moved, stretched, louder or softer, half of those with
  noise); 0 to 24 are held out and divided 1 : 5 : 4. The data set's README holds out 0 to 4: 300 recordings, of which
  150 for choosing could certify nothing; speakers are in both parts there as here. Inputs: 1 s, padded or cut around
  the middle, 49 Hann windows of 30 ms every 20 ms, 40 mel bands from 20 Hz to 4 kHz, logarithm, DCT, 10 coefficients,
  each normalised by mean and deviation over the training recordings.
- **MobileNetV1 0.25** is MLPerf Tiny's visual wake words network, trained here for 20 epochs to tell CIFAR-10's animals
  from its vehicles, the images enlarged bilinearly from 32x32 to 96x96: real photographs and the cost of visual wake
  words, but not that task, and less in the picture than its size says. 10,000 training images; all 10,000 test images
  are held out and divided 1 : 5 : 4.

DS-CNN and MobileNetV1 are exported by `torch.onnx.export` and read from that file alone. Both tasks are easier than
what the networks were made for, and MobileNetV1 is trained briefly, so that its exits are now and then right where it
is not (a drop below 0): the costs are those of these tasks, not of keywords in noise or of persons.
"""
_COMMANDS = """
## Commands

`benchmarks/imported_exits.py` writes the files, the data sets and the configs into its folder WORK and runs, for each:

```sh
"""


@dataclass(frozen=True)
class Measured:
    """Thresholds chosen by measured drop: what they do to choosing and report images; what the first exit is worth."""

    choosing: int
    drop_there: float
    drop: float
    deviation: float
    shares: tuple[float, ...]
    cost: float
    ms: float
    first_accuracy: float
    first_cost: float


def page(data: Path, work: Path) -> str:
    """The page, from the builds that are in `work`."""
    certified, measured, notes, commands, missing = [], [], [], [], []
    for network in NETWORKS:
        report, bare = (_loaded(work / name) for name in (network.name, f"{network.name}_bare"))
        if report is None or bare is None:
            missing.append(network.title)
            continue
        certified.append(_certified_row(network, report, bare))
        if note := _point(report)["note"]:
            notes.append(f"- {network.title}: {note}.")
        if len(report["rows"]) > 1:
            found = by_measured_drop(network, data, work, report)
            measured.append(
                f"| {network.title} | {found.choosing:,} | {100 * found.drop_there:.2f} "
                f"| {100 * found.drop:.2f} ± {100 * found.deviation:.2f} | {_percents(found.shares)} "
                f"| **{found.cost:.3f}** | {found.ms:.1f} | {100 * found.first_accuracy:.2f} | {found.first_cost:.3f} |"
            )
        folder = "DIR" if network.images is None else "WORK"
        commands += [
            f"ptee-mcu build WORK/{name}.toml --data {folder} --out WORK/{name}"
            for name in (network.name, f"{network.name}_bare")
        ]
    lines = [_HEAD, _CERTIFIED, *certified, *(["", *notes] if notes else []), _MEASURED, *measured, _NETWORKS]
    text = "\n".join(lines).replace("\n\n\n", "\n\n") + _COMMANDS + "\n".join(commands) + "\n```\n"
    config = next(n for n in NETWORKS if n.name == "dscnn").config(exits=True)
    text += f"\nThe config of DS-CNN with exits:\n\n```toml\n{config}```\n"
    return text + (f"\nNot there yet: {'; '.join(missing)}.\n" if missing else "")


def by_measured_drop(network: Network, data: Path, work: Path, report: dict[str, Any]) -> Measured:
    """The cheapest thresholds on the path of split A that lose no more than was asked on A and B together."""
    graph = load_project(work / network.name).plan.graph
    splits = divide(load(network.source, network.folder_of_data(data, work)), pretrained=True)
    a, b, others = (_said(graph, split) for split in (splits.threshold_a, splits.threshold_b, splits.report))
    costs, limit = np.array(graph.exit_costs()), float(str(share(DROP)))
    cycles = np.array(report["timing"]["full"])
    fits = []
    for vector in chain(a, tuple(costs), expected_drop(a)):
        lost = np.concatenate([_lost(part, vector) for part in (a, b)])
        if lost.mean() <= limit:
            taken = np.concatenate([exit_taken(part.confidences, vector) for part in (a, b)])
            fits.append((float(costs[taken].mean()), vector, float(lost.mean())))
    _, vector, there = min(fits)
    taken, lost = exit_taken(others.confidences, vector), _lost(others, vector)
    return Measured(
        a.count + b.count,
        there,
        float(lost.mean()),
        float(lost.std() / np.sqrt(len(lost))),
        tuple(np.bincount(taken, minlength=len(costs)) / len(taken)),
        float(costs[taken].mean()),
        float(1000 * cycles[taken].mean() / report["timing"]["clock_hz"]),
        float((others.labels[0] == others.split.y).mean()),
        float(costs[0]),
    )


def _said(graph: QuantGraph, split: Split) -> Outcomes:
    run = evaluate(graph, codes_of(graph, split.x), full=True)
    assert run.labels is not None
    assert run.confidences is not None
    return make_outcomes(split, run.labels, run.confidences)


def _lost(outcomes: Outcomes, vector: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Per image: 1 where exits lose a right answer, -1 where they win one."""
    taken = exit_taken(outcomes.confidences, vector)
    right = outcomes.labels[taken, np.arange(outcomes.count)] == outcomes.split.y
    lost: npt.NDArray[np.int64] = (outcomes.labels[-1] == outcomes.split.y).astype(np.int64) - right
    return lost


def _certified_row(network: Network, report: dict[str, Any], bare: dict[str, Any]) -> str:
    point = _point(report)
    places = ", ".join(row["after"] for row in report["rows"][:-1]) or "none"
    ms = 1000 * bare["timing"]["mean"] / bare["timing"]["clock_hz"]
    return (
        f"| {network.title} | {report['images']:,} | {100 * report['full_accuracy']:.2f} "
        f"| {100 * point['accuracy']:.2f} | {100 * point['drop']:.2f} | {places} | {_percents(point['shares'])} "
        f"| **{point['cost']:.3f}** | {point['worst_cost']:.3f} "
        f"| {ms:.1f} | {point['mean_ms']:.1f} | {point['worst_ms']:.1f} |"
    )


def _point(report: dict[str, Any]) -> dict[str, Any]:
    """The operating point that was asked for; the network itself where no exit was worth its cost."""
    limit = float(str(share(DROP)))
    for point in report["points"]:
        if point["quantity"] == "drop" and point["asked"] == limit:
            return dict(point)
    ms = 1000 * report["timing"]["mean"] / report["timing"]["clock_hz"]
    whole = {"accuracy": report["full_accuracy"], "drop": 0.0, "shares": [1.0], "cost": 1.0, "worst_cost": 1.0}
    return whole | {"mean_ms": ms, "worst_ms": ms, "note": "no exit is worth its cost"}


def _percents(shares: tuple[float, ...] | list[float]) -> str:
    return " ".join(f"{100 * s:.0f}" for s in shares)


def _loaded(folder: Path) -> dict[str, Any] | None:
    path = folder / "report.json"
    return json.loads(path.read_text()) if path.is_file() else None
