"""Rates of the closed-form cycle model: cycles per loop of every kernel, fitted to priced traces of random shapes.

    python benchmarks/fit_kernels.py CPU [LAYER ...] [--write]

Rates are the non-negative ones with the least squared relative error over the fitting shapes; the held-out shapes are
drawn by another seed and only measured. Lines of code that small instruction caches miss are fitted the same way, per
cache. With --write the rates go to ptee_mcu/cycles/rates/CPU.toml, kernels that are not named stay as they are.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

# A script's own folder comes first on its path; the checkout is meant.
ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
sys.path.insert(1, str(ROOT / "tests"))

from benchmarks.kernel_shapes import LAYERS, network
from benchmarks.traced_layers import side_by_side, trace_layers
from ptee_mcu import boards
from ptee_mcu.cycles.caches import miss_cycles
from ptee_mcu.cycles.kernels import Fetches, Kernel, Rates, encode, known_rates, open_gates
from ptee_mcu.firmware import tools
from ptee_mcu.ops.base import Work
from ptee_mcu.target import Target

Float = npt.NDArray[np.float64]

SHAPES = 100  # per layer kind, to fit; as many are held out
SMALL_CACHE = 2048  # bytes of a code cache that loops may not fit
ALIKE = 6  # shapes that run the same parts of loop bodies: enough for rates of their own
FITTED, HELD_OUT = 1, 11  # seeds
PARTS = {"cortex-m55": 20}  # layers in one network where the machine has little memory
BOARDS = {  # the first prices; the code caches of all are small, so that loops may not fit
    "cortex-m4": ("nucleo_l4r5zi", "nucleo_f446re", "nrf52840_dk"),
    "cortex-m33": ("nrf5340_dk",),
    "cortex-m7": ("nucleo_f746zg",),
    "cortex-m55": ("mps3_an547",),
    "cortex-m3": ("mps2_an385",),
    "cortex-m0plus": ("pico",),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A traced layer: cycles without waits, lines of code missed, bytes of code executed."""

    work: Work
    cycles: float
    lines: float
    code_bytes: int


def main() -> None:
    """Fits, prints the residuals, and writes the rates where told to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cpu", choices=BOARDS)
    parser.add_argument("layers", nargs="*", default=tuple(LAYERS), metavar="LAYER")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    targets = [boards.load(name) for name in BOARDS[options.cpu]]
    fitted = [by_kernel(options.layers, FITTED, target) for target in targets]
    held_out = by_kernel(options.layers, HELD_OUT, targets[0])
    kernels = {name: fit_kernel([rows[name] for rows in fitted], targets) for name in fitted[0]}
    for name, kernel in kernels.items():
        errors = [relative_errors(rows.get(name, []), kernel.cycles) for rows in (fitted[0], held_out)]
        print(f"{name:28} {_shown(errors[0])}   held out {_shown(errors[1])}")
    if options.write:
        before = known_rates(options.cpu) if _file(options.cpu).is_file() else None
        kept = dict(before.kernels) if before else {}
        kernels = kept | kernels
        made = f"python benchmarks/fit_kernels.py {options.cpu} --write"
        rates = Rates(options.cpu, targets[0].isa, tools.find("arm-none-eabi-gcc").version, made, kernels)
        _file(options.cpu).write_text(encode(rates), encoding="utf-8")


def fit_kernel(measured: Sequence[Sequence[Sample]], targets: Sequence[Target]) -> Kernel:
    """Rates of a kernel: cycles by its traces on the first target, missed lines of code by those on each."""
    rows = measured[0]
    cycles = fit(rows, [row.cycles for row in rows], [row.cycles for row in rows])
    fetches = []
    for target, traced in zip(targets, measured, strict=True):
        cache = target.cache(target.code_region.instruction_cache)
        if cache is not None and cache.nbytes <= SMALL_CACHE:
            fetches.append(Fetches(cache.nbytes, cache.line_bytes, cache.ways, fit_lines(traced)))
    return Kernel(max(row.code_bytes for row in rows), cycles, tuple(fetches))


def samples(layer: str, count: int, seed: int, target: Target) -> list[Sample]:
    """Traces of `count` random layers of a kind, in networks that the emulated machine has room for."""
    part = min(count, PARTS.get(target.cpu, count))
    return [sample for i in range(count // part) for sample in _samples(layer, part, seed + len(BOARDS) * i, target)]


def _samples(layer: str, count: int, seed: int, target: Target) -> list[Sample]:
    graph, names = network(LAYERS[layer], count, seed)
    wanted, found = frozenset(names), []
    with TemporaryDirectory() as folder:
        layers = trace_layers(side_by_side(graph, target), Path(folder))
    code = target.code_region
    cache = target.cache(code.instruction_cache)
    wait = miss_cycles(code, cache.line_bytes if cache else code.line_bytes)
    for step in layers.plan.steps:
        if step.node.name in wanted:
            inputs = [graph.tensors[name] for name in step.node.inputs]
            work = step.node.op.work(inputs, graph.tensors[step.node.output], target.isa)
            lines = layers.fetch_stalls(step) / wait if wait else 0.0
            found.append(Sample(work, layers.compute(step), lines, layers.code_bytes(step)))
    return found


def by_kernel(layers: Sequence[str], seed: int, target: Target) -> dict[str, list[Sample]]:
    """Traces of random layers of these kinds, by the function that serves them."""
    found: dict[str, list[Sample]] = {}
    for layer in layers:
        for row in samples(layer, SHAPES, seed, target):
            found.setdefault(row.work.kernel, []).append(row)
    return found


def fit(rows: Sequence[Sample], measured: Sequence[float], scale: Sequence[float]) -> dict[str, float]:
    """Non-negative rates per loop, errors counted relative to `scale`."""
    loops = list(rows[0].work.loops)
    counts: Float = np.array([[row.work.loops[name] for name in loops] for row in rows], dtype=np.float64)
    weighted = counts / np.array(scale)[:, None]
    size = np.maximum(weighted.max(axis=0), 1e-30)  # solved with columns of one size
    rates, _ = nnls(weighted / size, np.array(measured) / np.array(scale), maxiter=100 * len(loops))
    found = {name: round(float(rate), 3) for name, rate in zip(loops, rates / size, strict=True)}
    return {name: rate for name, rate in found.items() if rate > 0}


def fit_lines(rows: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Lines missed per loop: for all shapes, and for those with the same gates open where there are enough of them."""
    alike: dict[str, list[Sample]] = {}
    for row in rows:
        alike.setdefault(open_gates(row.work), []).append(row)
    groups = {"": rows} | {gates: group for gates, group in alike.items() if gates and len(group) >= ALIKE}
    return {
        gates: fit(group, [row.lines for row in group], [row.cycles for row in group])
        for gates, group in groups.items()
    }


def relative_errors(rows: Sequence[Sample], rates: Mapping[str, float]) -> Float:
    """Predicted over measured, less one."""
    predicted = [sum(rates.get(name, 0.0) * times for name, times in row.work.loops.items()) for row in rows]
    return np.array([value / row.cycles - 1 for value, row in zip(predicted, rows, strict=True)])


def _shown(errors: Float) -> str:
    if not len(errors):
        return "-"
    return f"{len(errors):4} rms {np.sqrt(np.mean(errors**2)):6.2%}  worst {np.abs(errors).max():6.2%}"


def _file(cpu: str) -> Path:
    return ROOT / "ptee_mcu" / "cycles" / "rates" / f"{cpu}.toml"


if __name__ == "__main__":
    main()
