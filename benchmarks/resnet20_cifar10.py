"""ResNet-20 on CIFAR-10 with third-party weights: what early exits save on a Cortex-M4, and what they cost.

    python benchmarks/resnet20_cifar10.py --data DIR [--work FOLDER] [--json]

DIR holds cifar-10-batches-bin/ (or -py/) and resnet20-12fca82f.th. Builds examples/resnet20_cifar10.toml, the same
without its exits, and examples/resnet20_late_exits.toml (some minutes each; a build that FOLDER holds already is
reused) and writes docs/benchmarks/resnet20.md. Thresholds are chosen on 6,000 of the official test images, everything
is reported on the other 4,000; instructions are counted in QEMU (mps2-an386, -O3), all segments and heads on the way
included.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NO_EXITS = "resnet20_no_exits"
CONFIGS = (NO_EXITS, "resnet20_cifar10", "resnet20_late_exits")
PAGE = ROOT / "docs" / "benchmarks" / "resnet20.md"


def report(config: str, data: Path, work: Path) -> dict[str, Any]:
    """The report of a build, made now unless it is in `work`."""
    out = work / config
    if not (out / "report.json").is_file():
        path = without_exits(work) if config == NO_EXITS else ROOT / "examples" / f"{config}.toml"
        command = [sys.executable, "-c", "from ptee_mcu.cli import main; main()"]
        subprocess.run([*command, "build", str(path), "--data", str(data), "--out", str(out)], cwd=ROOT, check=True)
    loaded: dict[str, Any] = json.loads((out / "report.json").read_text())
    return loaded


def without_exits(work: Path) -> Path:
    """The first example without its section [exits]."""
    text = (ROOT / "examples" / "resnet20_cifar10.toml").read_text()
    path = work / f"{NO_EXITS}.toml"
    work.mkdir(parents=True, exist_ok=True)
    path.write_text(re.sub(r"\[exits\][^\[]*", "", text))
    return path


def table(config: str, facts: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = [
        "## Without exits" if config == NO_EXITS else f"## `examples/{config}.toml`",
        "",
        "| exit | after | share % | agreement % | accuracy % | MACs | of backbone | instructions |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines.extend(
        f"| {row['name']} | {row['after'] or ''} | {percent(row['share'])} | {percent(row['agreement'])} "
        f"| {percent(row['accuracy'])} | {row['macs']:,} | {row['macs'] / facts['backbone_macs']:.3f} "
        f"| {row['instructions']:,} |"
        for row in facts["rows"]
    )
    lines.append(
        f"| **mean** | | | {percent(facts['agreement'])} | {percent(facts['accuracy'])} | {facts['mean_macs']:,.0f} "
        f"| **{facts['cost']:.3f}** | {facts['mean_instructions']:,.0f} |"
    )
    base = facts["baseline"]
    remark = (
        f"Without exits, the same {facts['images']:,} images: {percent(facts['full_accuracy'])} % in int8. All "
        f"{base['images']:,} test images: {percent(base['int8_accuracy'])} % in int8, "
        f"{percent(base['float_accuracy'])} % in float32. Worst case {facts['worst_cost']:.3f} of the backbone. "
        f"Arena {facts['arena_bytes']:,} B, constants {facts['weight_bytes']:,} B."
    )
    return "\n".join([*lines, "", remark, ""])


def percent(share: float | None) -> str:
    """Two digits, or a dash."""
    return "-" if share is None else f"{100 * share:.2f}"


def main() -> None:
    """Builds, prints and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "benchmarks")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    reports = {config: report(config, options.data, options.work) for config in CONFIGS}
    head = (
        "# ResNet-20, CIFAR-10, int8, Cortex-M4\n\n"
        "Made by `python benchmarks/resnet20_cifar10.py --data DIR`. At most 1 % disagreement was asked for; "
        "thresholds\nwere chosen on 6,000 of the official test images, figures are of the other 4,000. Every head "
        "evaluated on\nthe way is charged.\n\n"
    )
    text = head + "\n".join(table(config, facts) for config, facts in reports.items())
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text)
    print(json.dumps(reports) if options.json else text)


if __name__ == "__main__":
    main()
