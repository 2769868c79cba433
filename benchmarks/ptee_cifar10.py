"""Early exits on CIFAR-10 ResNets, int8: ours, a faithful PTEEnet, and the smaller network one would take instead.

    python benchmarks/ptee_cifar10.py --data DIR [--work FOLDER] [--only STEP ...] [--table] [--outcomes FILE.npz] [--json]

DIR holds cifar-10-batches-bin/ (or -py/) and the weights resnet20-12fca82f.th, resnet32-d509ac18.th and
resnet56-4bfd9763.th of akamaster/pytorch_resnet_cifar10. Every step is one `ptee-mcu build` or `ptee-mcu train`; one
that FOLDER holds already is not run again, and one that was interrupted goes on. `--only` runs some steps, `--table`
none; either way docs/benchmarks/ptee.md is written from the steps that are there. `--outcomes` also stores what every
exit of ResNet-20, seed 0, says on all 10,000 test images, for benchmarks/guarantee.py. On two cores the whole takes about
five hours, most of it the rivals' training.

Thresholds come from 1,000 + 5,000 of the official test images, every figure from the other 4,000, which nothing was
chosen on. ResNet-14 is trained on 40,000 of the training images.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ptee_points import Curve, our_curve, pteenet_curve, said

from ptee_mcu.data import Splits, divide, load
from ptee_mcu.project import load_project

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks" / "ptee.md"
WEIGHTS = {
    "resnet20": "resnet20-12fca82f.th",
    "resnet32": "resnet32-d509ac18.th",
    "resnet56": "resnet56-4bfd9763.th",
}


def _at(places: Iterable[tuple[int, int]]) -> str:
    """The line of a config that names candidate blocks."""
    names = ", ".join(f'"layer{stage}.{block}"' for stage, block in places)
    return f"at = [{names}]"


# Candidates for the search: all blocks of ResNet-20 and every second or third of the deeper ones.
CANDIDATES = {
    "resnet20": "",
    "resnet32": _at((s, b) for s in (1, 2, 3) for b in (0, 2, 4) if (s, b) != (1, 0)),
    "resnet56": _at((s, b) for s in (1, 2, 3) for b in (2, 5, 8)),
}
OURS = """placement = "search"
{at}
"""
# Fine placement, two convolutions, lambda 0.9, Adam 5e-4, batch 128, weight decay 1e-4: the paper's ResEEnet recipe;
# a third of its 30 epochs. Costs as the paper has them.
PTEENET = """placement = "fine"
count = {count}
head = "conv2"
[exits.training]
epochs = 10
lr = 5e-4
loss = "suffix"
cost_weight = 0.9
auxiliary = 0.0
nominal_costs = true
precision = "bfloat16"
"""
PTEENET_EXITS = {"resnet20": 3, "resnet32": 5, "resnet56": 5}
CONFIG = """[model]
name = "{network}"
weights = "{weights}"
[data]
source = "cifar10"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[exits]
max_disagreement = ["1%", "3%", "10%"]
{exits}
[build]
name = "{name}"
seed = {seed}
"""
STATIC = "resnet14"


@dataclass(frozen=True)
class Step:
    """One build: a network, a method, a seed."""

    network: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        """Of its folder and of its C library."""
        return f"{self.network}_{self.method}_s{self.seed}"

    def config(self) -> str:
        """The TOML of the build."""
        exits = (
            OURS.format(at=CANDIDATES[self.network])
            if self.method == "ours"
            else PTEENET.format(count=PTEENET_EXITS[self.network])
        )
        return CONFIG.format(
            network=self.network, weights=WEIGHTS[self.network], exits=exits, name=self.name, seed=self.seed
        )


STEPS = tuple(
    Step(network, method, seed)
    for network, seeds in (("resnet20", (0, 1, 2)), ("resnet32", (0,)), ("resnet56", (0,)))
    for seed in seeds
    for method in ("ours", "pteenet")
)


def ptee(*words: object) -> None:
    """Runs a command of ptee-mcu."""
    command = [sys.executable, "-c", "from ptee_mcu.cli import main; main()", *map(str, words)]
    subprocess.run(command, cwd=ROOT, check=True)


def made(step: Step, data: Path, work: Path) -> None:
    """Runs the step unless it is done."""
    out = work / step.name
    if (out / "report.json").is_file():
        return
    path, kept = work / f"{step.name}.toml", work / f"{step.name}.work"
    path.write_text(step.config())
    ptee("build", path, "--data", data, "--out", out, "--work", kept, "--disk-budget", 16)
    shutil.rmtree(kept)


def made_static(data: Path, work: Path) -> None:
    """Trains ResNet-14 by examples/resnet14_train.toml and builds it without exits, unless that is done."""
    weights, out = work / "resnet14.safetensors", work / STATIC
    recipe = ROOT / "examples" / "resnet14_train.toml"
    if not weights.is_file():
        ptee("train", recipe, "--data", data, "--out", weights)
    if not (out / "report.json").is_file():
        path = work / "resnet14.toml"
        path.write_text(
            recipe.read_text().replace('name = "resnet14"\n', f'name = "resnet14"\nweights = "{weights}"\n', 1)
        )
        ptee("build", path, "--data", data, "--out", out)


def loaded(folder: Path) -> dict[str, Any] | None:
    """The report of a build; None where there is none."""
    path = folder / "report.json"
    return json.loads(path.read_text()) if path.is_file() else None


def percent(share: float | None) -> str:
    """Two digits, or a dash."""
    return "-" if share is None else f"{100 * share:.2f}"


def our_rows(step: Step, report: dict[str, Any], rival: Curve | None) -> list[str]:
    """A line per operating point of one of our builds."""
    lines = []
    for point in report["points"]:
        other = None if rival is None else rival.cost_at_agreement(point["agreement"])
        saved = "-" if other is None else f"{100 * (1 - point['cost'] / other):.0f} %"
        shares = " ".join(f"{100 * share:.0f}" for share in point["shares"])
        lines.append(
            f"| {step.network}, seed {step.seed} | {100 * point['asked']:.0f} % | {percent(point['accuracy'])} "
            f"| {100 * point['drop']:.2f} | {percent(point['agreement'])} | {shares} | **{point['cost']:.3f}** "
            f"| {point['worst_cost']:.3f} | {'-' if other is None else f'{other:.3f}'} | {saved} |"
        )
    return lines


def page(data: Path, work: Path) -> str:
    """docs/benchmarks/ptee.md from the steps that are there."""
    splits = divide(load("cifar10", data), pretrained=True)
    lines = [
        "# Early exits on CIFAR-10 ResNets, int8",
        "",
        "Made by `python benchmarks/ptee_cifar10.py --data DIR`. Backbones are third-party weights, frozen. Thresholds",
        "come from 1,000 + 5,000 of the official test images and are certified jointly (5 % that any point breaks its",
        "limit); every figure is of the other 4,000 test images, on which nothing was chosen. Cost is the mean of",
        "multiply-accumulates relative to the network without exits, every evaluated head charged. PTEEnet:",
        "two-convolution heads, Fine placement, lambda 0.9, its own loss, 10 epochs and one threshold T for all exits,",
        "moved to the same agreement on the report images (which favours it).",
        "",
        (
            "| network | asked | accuracy % | drop, points | agreement % | leave at each exit % | mean cost "
            "| worst case | PTEEnet at equal agreement | saved against it |"
        ),
        "|---|---:|---:|---:|---:|---|---:|---:|---:|---:|",
    ]
    places, missing = [], []
    for step in STEPS:
        if step.method != "ours":
            continue
        report, rival = loaded(work / step.name), work / Step(step.network, "pteenet", step.seed).name
        if report is None:
            missing.append(step.name)
            continue
        rivals = pteenet_curve(rival, splits.report) if (rival / "report.json").is_file() else None
        if rivals is None:
            missing.append(rival.name)
        lines += our_rows(step, report, rivals)
        taps = ", ".join(row["after"] for row in report["rows"][:-1])
        places.append(
            f"- {step.network}, seed {step.seed}: exits behind {taps}; without exits "
            f"{percent(report['full_accuracy'])} % on the same images; arena {report['arena_bytes']:,} B, "
            f"constants {report['weight_bytes']:,} B."
        )
    lines += ["", *places, ""]
    lines += static_rows(work, splits)
    if missing:
        lines += ["", f"Not there yet: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def static_rows(work: Path, splits: Splits) -> list[str]:
    """The smaller static network beside our ResNet-20 at the same accuracy."""
    static = loaded(work / STATIC)
    ours = work / "resnet20_ours_s0"
    report = loaded(ours)
    if static is None or report is None:
        return ["ResNet-14 or ResNet-20 is not there yet."]
    small = said(load_project(work / STATIC).plan.graph, splits.report)
    accuracy = float((small.labels[-1] == splits.report.y).mean())
    cost = static["backbone_macs"] / report["backbone_macs"]
    at = our_curve(ours, splits.threshold_a, splits.report).cost_at_accuracy(accuracy)
    verdict = "no setting of ours is as accurate" if at is None else f"at that accuracy ours costs {at:.3f}"
    return [
        "## The smaller network one would take instead",
        "",
        (
            "ResNet-14, trained here (`ptee-mcu train examples/resnet14_train.toml`: 40,000 images, 40 epochs), int8: "
            f"{percent(accuracy)} % on the same 4,000 images, {cost:.3f} of ResNet-20's multiply-accumulates; "
            f"{verdict} (thresholds along the path that split A lays, the cheapest as accurate on the report images)."
        ),
    ]


def store_outcomes(data: Path, work: Path, path: Path) -> None:
    """Labels and confidence codes of every exit of our ResNet-20 on all test images, and their true labels."""
    graph = load_project(work / STEPS[0].name).plan.graph
    splits = divide(load("cifar10", data), pretrained=True)
    parts = [said(graph, split) for split in (splits.threshold_a, splits.threshold_b, splits.report)]
    np.savez_compressed(
        path,
        labels=np.concatenate([part.labels for part in parts], axis=1).astype(np.int8),
        confidences=np.concatenate([part.confidences for part in parts], axis=1),
        truth=np.concatenate([part.split.y for part in parts]).astype(np.int8),
        costs=np.array(graph.exit_costs()),
    )


def main() -> None:
    """Runs the steps, prints and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "benchmarks" / "ptee")
    parser.add_argument("--only", nargs="*", choices=[STATIC, *(step.name for step in STEPS)], help="steps to run")
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--outcomes", type=Path, help="file to write")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    wanted = [] if options.table else options.only or [STATIC, *(step.name for step in STEPS)]
    for step in STEPS:
        if step.name in wanted:
            made(step, options.data, work)
    if STATIC in wanted:
        made_static(options.data, work)
    if options.outcomes is not None:
        store_outcomes(options.data, work, options.outcomes)
    text = page(options.data, work)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text)
    reports = {step.name: loaded(work / step.name) for step in STEPS}
    print(json.dumps({name: report for name, report in reports.items() if report}) if options.json else text)


if __name__ == "__main__":
    main()
