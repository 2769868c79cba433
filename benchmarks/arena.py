"""The arena of the networks that ship, with and without early exits, beside its lower bound and published figures.

    python benchmarks/arena.py [--json]

Input, output and scratch of the kernels included; planned for a Cortex-M4. Heads are `pooled2` at all blocks but the
last. Writes docs/benchmarks/arena.md; exits with 1 where a goal is missed.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

if __name__ == "__main__":
    # A script's own folder comes first on its path; the checkout is meant.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.networks import Exits, random_network
from ptee_mcu import boards
from ptee_mcu.models import find
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.plan import verify_plan

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "arena.md"
NETWORKS = {
    "resnet8": "ResNet-8",
    "resnet20": "ResNet-20",
    "ds_cnn": "DS-CNN",
    "mobilenet_v1_025": "MobileNetV1-0.25, 96x96",
    "autoencoder": "autoencoder",
    "densenet40": "DenseNet-40",
}
WITH_EXITS = ("resnet8", "resnet20", "ds_cnn", "mobilenet_v1_025")
GOALS = {"resnet8": 50_000, "mobilenet_v1_025": 57_000}  # bytes
MOST_MORE = 0.02  # of RAM for exits
SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Row:
    """A network's arena in bytes and what bounds it from below; `exits`: early ones."""

    network: str
    exits: int
    arena_bytes: int
    lower_bound_bytes: int
    shared_outputs: int
    seconds: float


def main() -> None:
    """Plans, prints and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [row(name, exits=exits) for name in NETWORKS for exits in (False, True) if not exits or name in WITH_EXITS]
    text = page(rows)
    PAGE.write_text(text)
    print(json.dumps([asdict(each) for each in rows]) if options.json else text)
    sys.exit(1 if missed(rows) else 0)


def row(name: str, *, exits: bool) -> Row:
    """The plan of one network."""
    blocks = find(name).blocks[:-1]
    leaving = (*(0.0 for _ in blocks), 1.0)
    graph = random_network(name, Exits(blocks, "pooled2", leaving) if exits else None)
    start = perf_counter()
    plan = make_plan(graph, boards.load("mps2_an386"))
    seconds = perf_counter() - start
    verify_plan(plan)
    shared = sum(
        plan.arena[step.node.output].overlaps(plan.arena[tensor])
        for step in plan.steps
        for tensor in set(step.node.inputs)
    )
    return Row(name, len(graph.exits) - 1, plan.arena_bytes, plan.lower_bound_bytes, shared, seconds)


def missed(rows: list[Row]) -> list[str]:
    """Goals that were not reached."""
    bare = {each.network: each.arena_bytes for each in rows if not each.exits}
    found = [f"{name}: {bare[name]:,} B, goal {goal:,} B" for name, goal in GOALS.items() if bare[name] > goal]
    found += [
        f"{each.network}: {each.exits} exits add {each.arena_bytes / bare[each.network] - 1:.1%}"
        for each in rows
        if each.arena_bytes > (1 + MOST_MORE) * bare[each.network]
    ]
    return found + [f"{each.network}: {each.seconds:.1f} s" for each in rows if each.seconds > SECONDS]


def page(rows: list[Row]) -> str:
    """docs/benchmarks/arena.md."""
    lines = [
        "# Arenas",
        "",
        "Made by `python benchmarks/arena.py`: all RAM that an inference writes (input, activations, output, scratch",
        "of the kernels), Cortex-M4, CMSIS-NN 4.0.0. Where the arena equals its lower bound no plan can be smaller.",
        "Outputs over inputs: steps that write over bytes of what they read, as far as the kernel's order of access",
        "allows ([memory.md](../memory.md)). Heads: `pooled2` behind all blocks but the last.",
        "",
        "| network | early exits | arena B | lower bound B | outputs over inputs |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {NETWORKS[r.network]} | {r.exits or '-'} | {r.arena_bytes:,} "
        f"| {'equal' if r.arena_bytes == r.lower_bound_bytes else f'{r.lower_bound_bytes:,}'} | {r.shared_outputs} |"
        for r in rows
    ]
    slowest = max(each.seconds for each in rows)
    lines += [
        "",
        "Published for MobileNetV1-0.25 at 96x96: BakeNN 105,984 B; TensorFlow Lite Micro 102,220 B with its stack;",
        "X-CUBE-AI 10 about 85,000 B. Goals: MobileNetV1 57,000 B, ResNet-8 50,000 B, exits at most 2 % more, 5 s.",
        f"Slowest plan here: {'under 1' if slowest < 1 else format(slowest, '.1f')} s.",
        "",
        *(f"Missed: {each}." for each in missed(rows)),
    ]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    main()
