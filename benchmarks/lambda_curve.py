"""PTEEnet's lambda curve on ResNet-20 with three exits: nominal and honest cost, agreement, at T = 0.5.

    python benchmarks/lambda_curve.py --data DIR [--work FOLDER] [--deep] [--json]

One build per lambda, trained for 10 epochs (the features of the backbone are shared, an interrupted run goes on);
writes docs/benchmarks/lambda.md. `--deep` is ResEEnet-110/10 at the paper's 30 epochs on a GPU: it wants weights in
resnet110.safetensors, which `ptee-mcu train` makes, and is not part of the page.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    # A script's own folder comes first on its path; the checkout is meant.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.ptee_points import curve, said, thresholds_of
from benchmarks.ptee_steps import CONFIG, EXITS, PTEENET, ROOT, WEIGHTS
from ptee_mcu.data import divide, load
from ptee_mcu.exits.costs import nominal_exit_costs
from ptee_mcu.exits.outcomes import exit_taken
from ptee_mcu.project import load_project

PAGE = ROOT / "docs" / "benchmarks" / "lambda.md"
LAMBDAS = (0.9, 1.7, 2.0, 2.3, 3.0)


def built(weight: float, data: Path, work: Path, *, deep: bool) -> Path:
    """The folder of the build with lambda `weight`, made now unless it is there."""
    network = "resnet110" if deep else "resnet20"
    name = f"{network}_lambda_{round(10 * weight)}"
    out = work / name
    if not (out / "report.json").is_file():
        exits = EXITS + PTEENET.format(count=10 if deep else 3).replace("cost_weight = 0.9", f"cost_weight = {weight}")
        exits = exits.replace("epochs = 10", f"epochs = {30 if deep else 10}")
        weights = "resnet110.safetensors" if deep else WEIGHTS[network]
        path = work / f"{name}.toml"
        path.write_text(CONFIG.format(network=network, weights=weights, exits=exits, name=name, seed=0))
        command = [sys.executable, "-c", "from ptee_mcu.cli import main; main()", "build", str(path)]
        options = ["--data", data, "--out", out, "--work", work / "features", "--disk-budget", 16]
        if deep:
            options += ["--device", "cuda"]
        subprocess.run([*command, *map(str, options)], cwd=ROOT, check=True)
    return out


def main() -> None:
    """Builds, prints and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "benchmarks" / "ptee")
    parser.add_argument("--deep", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    rows = [row(weight, built(weight, options.data, work, deep=options.deep), options.data) for weight in LAMBDAS]
    text = page(rows)
    if not options.deep:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text)
    print(json.dumps(rows) if options.json else text)


def row(weight: float, out: Path, data: Path) -> dict[str, float]:
    """What the int8 network does at T = 0.5 on the report images."""
    graph = load_project(out).plan.graph
    outcomes = said(graph, divide(load("cifar10", data), pretrained=True).report)
    vector = thresholds_of(graph, 0.0)  # the log-odds of one half
    at = curve(graph, outcomes, [vector])
    taken = exit_taken(outcomes.confidences, vector)
    return {
        "lambda": weight,
        "nominal": float(np.asarray(nominal_exit_costs(graph))[taken].mean()),
        "honest": float(at.cost[0]),
        "agreement": float(at.agreement[0]),
        "accuracy": float(at.accuracy[0]),
        "left early": float((taken < len(vector)).mean()),
    }


def page(rows: list[dict[str, float]]) -> str:
    """docs/benchmarks/lambda.md."""
    lines = [
        "# PTEEnet's lambda on ResNet-20 with three exits, CIFAR-10, int8",
        "",
        "Made by `python benchmarks/lambda_curve.py --data DIR`: Fine placement, two convolutions per head, the",
        "paper's loss and T = 0.5, ten epochs; on 4,000 test images. The nominal cost charges the last head alone,",
        "as the paper does, the honest one every head that was evaluated.",
        "",
        "| lambda | nominal cost | honest cost | agreement % | accuracy % | left early % |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r['lambda']} | {r['nominal']:.3f} | {r['honest']:.3f} | {100 * r['agreement']:.2f} "
        f"| {100 * r['accuracy']:.2f} | {100 * r['left early']:.1f} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
