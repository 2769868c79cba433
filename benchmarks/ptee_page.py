"""docs/benchmarks/ptee.md from the builds of benchmarks/ptee_cifar10.py that are there."""

from pathlib import Path
from typing import Any

from benchmarks.ptee_points import Curve, our_curve, pteenet_curve, said
from benchmarks.ptee_steps import STATIC, STEPS, WEIGHTS, Step, loaded
from ptee_mcu.data import Splits, divide, load
from ptee_mcu.project import load_project


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
    lines += ["", *places, "", *device_rows(work), "", *static_rows(work, splits)]
    if missing:
        lines += ["", f"Not there yet: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def device_rows(work: Path) -> list[str]:
    """Instructions and memory on the emulated Cortex-M4, beside the network without exits."""
    lines = [
        "## On the emulated Cortex-M4",
        "",
        "The point of 1 % disagreement; instructions counted in QEMU (mps2-an386, -O3), all heads charged.",
        "",
        (
            "| network | instructions without exits | mean with exits | of those without | arena B, without | with "
            "| constants B, without | with |"
        ),
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for network in WEIGHTS:
        bare, ours = (loaded(work / Step(network, method, 0).name) for method in ("none", "ours"))
        if bare is None or ours is None or not (bare["mean_instructions"] and ours["mean_instructions"]):
            continue
        ratio = ours["mean_instructions"] / bare["mean_instructions"]
        lines.append(
            f"| {network} | {bare['mean_instructions']:,.0f} | {ours['mean_instructions']:,.0f} | {ratio:.3f} "
            f"| {bare['arena_bytes']:,} | {ours['arena_bytes']:,} | {bare['weight_bytes']:,} "
            f"| {ours['weight_bytes']:,} |"
        )
    return lines


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


def percent(share: float | None) -> str:
    """Two digits, or a dash."""
    return "-" if share is None else f"{100 * share:.2f}"
