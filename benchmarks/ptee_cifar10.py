"""Early exits on CIFAR-10 ResNets, int8: ours, a faithful PTEEnet, and the smaller network one would take instead.

    python benchmarks/ptee_cifar10.py --data DIR [--work FOLDER] [--only STEP ...] [--table] [--outcomes FILE] [--json]

DIR holds cifar-10-batches-bin/ (or -py/) and the weights resnet20-12fca82f.th, resnet32-d509ac18.th and
resnet56-4bfd9763.th of akamaster/pytorch_resnet_cifar10. Every step is one `ptee-mcu build` or `ptee-mcu train`; one
that FOLDER holds already is not run again, and one that was interrupted goes on. `--only` runs some steps, `--table`
none; either way docs/benchmarks/ptee.md is written from the steps that are there. `--outcomes` stores what every exit
of ResNet-20, seed 0, says on all 10,000 test images, for benchmarks/guarantee.py. On two cores the whole takes about
four hours, most of it the rivals' training, and up to 20 GB of disk at a time.

Thresholds come from 1,000 + 5,000 of the official test images, every figure from the other 4,000, which nothing was
chosen on. ResNet-14 is trained on 40,000 of the training images.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    # A script's own folder comes first on its path; the checkout is meant.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.ptee_page import page
from benchmarks.ptee_points import said
from benchmarks.ptee_steps import ROOT, STATIC, STEPS, Step, loaded, made, made_static
from ptee_mcu.data import divide, load
from ptee_mcu.project import load_project

PAGE = ROOT / "docs" / "benchmarks" / "ptee.md"


def store_outcomes(data: Path, work: Path, path: Path) -> None:
    """Labels and confidence codes of every exit of our ResNet-20 on all test images, and their true labels."""
    graph = load_project(work / Step("resnet20", "ours", 0).name).plan.graph
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
