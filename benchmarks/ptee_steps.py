"""The builds that benchmarks/ptee_cifar10.py is made of, each run once."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
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
EXITS = """[exits]
max_disagreement = ["1%", "3%", "10%"]
"""
# Weighed by multiply-accumulates, the unit of the page's costs.
OURS = """placement = "search"
price = "macs"
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
        exits = {
            "ours": EXITS + OURS.format(at=CANDIDATES[self.network]),
            "pteenet": EXITS + PTEENET.format(count=PTEENET_EXITS[self.network]),
            "none": "",
        }
        return CONFIG.format(
            network=self.network,
            weights=WEIGHTS[self.network],
            exits=exits[self.method],
            name=self.name,
            seed=self.seed,
        )


STEPS = tuple(
    Step(network, method, seed)
    for network, seeds in (("resnet20", (0, 1, 2)), ("resnet32", (0,)), ("resnet56", (0,)))
    for seed in seeds
    for method in (("none", "ours", "pteenet") if seed == 0 else ("ours", "pteenet"))
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
    shutil.rmtree(kept, ignore_errors=True)


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
