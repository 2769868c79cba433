"""MLPerf Tiny's four int8 files as published: compiled, compared in the emulator, priced, beside published results.

    python benchmarks/mlperf_tiny.py --models DIR --cifar10 DIR [--published CSV] [--inputs N] [--json]

--models   mlcommons/tiny's files: ic/pretrainedResnet_quant.tflite, kws/kws_ref_model.tflite, vww/vww_96_int8.tflite,
           ad/ad01_int8.tflite; beside the first perf_samples_idxs.npy, calibration_samples_idxs.npy and
           cifar10_test_index_to_name.csv (original_test_index, filename, label).
--cifar10  folder with the official files in their order, or with strips of images and their names.
--published  table of MLPerf Tiny results (version, submitter, system, bench, latency_ms, energy_uJ), which must say
           what stands here.
Writes docs/benchmarks/mlperf_tiny.md. A minute or two. Exit code 1 where a byte differs, 2 where something is missing.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # A script's own folder comes first on its path; the checkout is meant.
    sys.path[0] = str(ROOT)

from benchmarks.mlperf_accuracy import Accuracy, accuracy
from benchmarks.mlperf_files import BAKENN, FILES, Cost, Measured, imported, measure
from benchmarks.mlperf_published import BENCHES, PUBLISHED, Published, require_published
from ptee_mcu.errors import PteeError

PAGE = ROOT / "docs" / "benchmarks" / "mlperf_tiny.md"
RANDOM_INPUTS = 20
# Source: tiny_results_v1.0, closed/OctoML/results/microtvm_cmsis_nn/NUCLEO_L4R5ZI/ic/accuracy: Top-1 on 200 images.
PUBLISHED_ACCURACY = 0.875

_INTRODUCTION = """\
# MLPerf Tiny's int8 files

Made by `python benchmarks/mlperf_tiny.py --models DIR --cifar10 DIR`. The four files of mlcommons/tiny, unmodified, as
`ptee-mcu build --model FILE --target nucleo_l4r5zi` compiles them: CMSIS-NN 4.0.0, GCC 12.2, -O3. Flash and RAM are of
the smallest application around the network, linked, without its stack. Instructions are exact, of one inference on the
emulated Cortex-M4; times are traces of the same firmware priced for the board ([how](../cycles.md)), energy is time by
the power in the board's file (1.8 V). Placed is what `build` does unless told otherwise: constants that pay are loaded
into RAM at boot. Nothing here was measured on a board.

## Compiled
"""
_COMPILED = """
| network | MACs | of them computed | constants lie | flash B | RAM B | arena B | instructions | ms | uJ |
|---|---:|---:|---|---:|---:|---:|---:|---:|---:|
"""
_COMPARED = """
Byte for byte: every op's output and the logits, emulated Cortex-M4 against the simulator, on {inputs} inputs
({random} random ones; all -128, all 127, the zero point, both ends in turn), over all firmwares of the table above.

| network | bytes compared | differing | what BakeNN {bakenn}'s importer says to the file |
|---|---:|---:|---|
"""
_PUBLISHED_HEAD = """
## Beside published results

Nucleo-L4R5ZI at 120 MHz. Published: MLPerf Tiny, closed division, measured on the board; single-stream latency in
ms / energy in uJ. Ours: priced, not measured.

| | | autoencoder | ResNet-8 | DS-CNN | MobileNetV1-0.25 | its dead channels | per MAC, to ResNet-8 |
|---|---|---:|---:|---:|---:|---|---:|
"""
_PUBLISHED_TAIL = """
**Dead channels.** {dead:,} of {channels:,} channels of the visual wake words file need not be computed; who leaves
them out computes {thin:,} of {dense:,} MACs. No submission says which it does. The code of microTVM computes them
all; for the others the last column tells: time per MAC of the file, to that of ResNet-8. It is {computing_range} in one
group and {leaving_range} in the other, and leaving the channels out takes ours from {dense_ratio:.2f} to
{thin_ratio:.2f}. So the {computing} rows that compute them are to be held against {dense_ms:.1f} ms of ours, the
{leaving} that leave them out against {thin_ms:.1f} ms, {placed_ms:.1f} ms placed.

- **Engines.** {others_ahead} of the {all_rows} rows are quicker than ours on ResNet-8: X-CUBE-AI, Plumerai and HALE
  are closed engines with kernels of their own; ours are CMSIS-NN's. Against the rows that name CMSIS-NN too, from
  flash ({order}): microTVM {against_microtvm};
  ONNC {against_onnc}.
- **How far to trust ours.** The same pricing puts microTVM's own code 1 to 6 % below its published times
  ([causes](mlperf_cycles.md)).
- **Energy** at 3.0 V is 1.67 times that at 1.8 V for the same binary (Krai, STMicroelectronics): compare ours with
  rows at 1.8 V. STMicroelectronics' v1.1 energy of ResNet-8 is of a run with another latency, 200.7 ms.
- **Single bank** reads flash 128 bits at a time instead of 64; ours is priced for two banks, the board's delivery.

Memory is not part of MLPerf Tiny's results. Published elsewhere, or measured here on networks of the same shapes:

| network | engine | RAM B | flash B | instructions | source |
|---|---|---:|---:|---:|---|
| MobileNetV1-0.25, 96x96 | **ptee-mcu**, the file, in flash | {vww} | this page |
| | BakeNN | 105,984 | | | published, as in [arenas](arena.md) |
| | TensorFlow Lite Micro | 102,220 with its stack | | | the same |
| | X-CUBE-AI 10 | about 85,000 | | | the same |
| ResNet-8 | **ptee-mcu**, the file, in flash | {ic} | this page |
| | BakeNN 1.0.0, from PyTorch, even padding | 54,544 | 90,404 | 33,795,628 | `benchmarks/bakenn.py`, -O2 |
| | TensorFlow Lite Micro, CMSIS-NN 4.0.0 | | | 31.8 million | measured once, no script here |
"""
_DEAD = """
## Dead channels

| network | channels of all layers | MACs | constants B | inputs with equal logits |
|---|---:|---:|---:|---:|
"""
_ACCURACY = """
## Accuracy of ResNet-8

CIFAR-10 test images, by the simulator, which the firmware equals. Published for the file on the performance set, run
by microTVM on the board: {published} (MLPerf Tiny v1.0, OctoML). LiteRT's reference kernels give the same label on
{same} of those {of} images.

| set | images | right | accuracy |
|---|---:|---:|---:|
"""


def main() -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, metavar="DIR", required=True)
    parser.add_argument("--cifar10", type=Path, metavar="DIR", required=True)
    parser.add_argument("--published", type=Path, metavar="CSV")
    parser.add_argument("--inputs", type=int, metavar="N", default=RANDOM_INPUTS, help="random ones")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    try:
        if options.published is not None:
            require_published(options.published)
        results = {}
        for bench, file in FILES.items():
            print(file.path, file=sys.stderr, flush=True)
            results[bench] = measure(bench, options.models, options.inputs)
        print("CIFAR-10", file=sys.stderr, flush=True)
        path = options.models / FILES["ic"].path
        answers = accuracy(imported(path), path, options.cifar10)
    except PteeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    text = page(results, answers, options.inputs)
    PAGE.write_text(text, encoding="utf-8")
    print(text)
    if options.json:
        print(json.dumps([*map(asdict, results.values()), asdict(answers)], allow_nan=False))
    wrong = sum(each.mismatched + each.inputs - each.unchanged for each in results.values())
    return 1 if wrong else 0


def page(results: Mapping[str, Measured], answers: Accuracy, random_inputs: int) -> str:
    """docs/benchmarks/mlperf_tiny.md."""
    rows = list(results.values())
    compared = _COMPARED.format(inputs=rows[0].inputs, random=random_inputs, bakenn=BAKENN)
    performance = answers.sets[0]
    accurate = _ACCURACY.format(
        published=f"{100 * PUBLISHED_ACCURACY:.1f} %", same=answers.same_labels, of=performance.images
    )
    return "".join(
        (
            *(_INTRODUCTION, _COMPILED, *(_cost(row, *each) for row in rows for each in _placements(row))),
            *(compared, *(f"| {r.title} | {r.bytes_compared:,} | {r.mismatched:,} | {r.bakenn} |\n" for r in rows)),
            *(_PUBLISHED_HEAD, *_ours(results), *map(_published, PUBLISHED), _tail(results)),
            *(_DEAD, *map(_dead, rows)),
            accurate,
            *(f"| {s.title} | {s.images:,} | {s.right:,} | {100 * s.right / s.images:.2f} % |\n" for s in answers.sets),
        )
    )


def _placements(row: Measured) -> list[tuple[str, Cost]]:
    dense = [("in flash, dead channels kept", row.dense)] if row.dense else []
    return [("in flash", row.in_flash), ("placed", row.placed), *dense]


def _cost(row: Measured, where: str, cost: Cost) -> str:
    computed = row.macs[0] if cost is row.dense else row.macs[1]
    return (
        f"| {row.title} | {row.macs[0]:,} | {computed:,} | {where} | {cost.flash_bytes:,} | {cost.ram_bytes:,} "
        f"| {cost.arena_bytes:,} | {cost.instructions:,} | {cost.ms:.2f} | {cost.microjoules:,.0f} |\n"
    )


def _ours(results: Mapping[str, Measured]) -> list[str]:
    flash = {bench: each.in_flash for bench, each in results.items()}
    placed = {bench: each.placed for bench, each in results.items()}
    dense = {bench: each.dense or each.in_flash for bench, each in results.items()}
    return [
        _our_row("constants in flash", flash, "left out", results),
        _our_row("constants placed", placed, "left out", results),
        _our_row("in flash, dead channels kept", dense, "computed", results),
    ]


def _our_row(what: str, costs: Mapping[str, Cost], dead: str, results: Mapping[str, Measured]) -> str:
    cells = " | ".join(f"{costs[bench].ms:.2f} / {costs[bench].microjoules:,.0f}" for bench in BENCHES)
    return f"| **ptee-mcu** | {what} | {cells} | {dead} | {_ratio(costs, results):.2f} |\n"


def _ratio(costs: Mapping[str, Cost], results: Mapping[str, Measured]) -> float:
    """Time per multiply-accumulate of the file, of vww to that of ic."""
    vww, ic = (costs[bench].ms / results[bench].macs[0] for bench in ("vww", "ic"))
    return vww / ic


def _published(row: Published) -> str:
    energies = [f" / {uj:,.0f}" for uj in row.uj] or [""] * len(BENCHES)
    cells = " | ".join(f"{ms:.2f}{uj}" for ms, uj in zip(row.ms, energies, strict=True))
    dead = "left out" if row.leaves_out else "computed"
    return f"| v{row.version} {row.submitter} | {row.engine} | {cells} | {dead} | {row.vww_against_ic:.2f} |\n"


def _tail(results: Mapping[str, Measured]) -> str:
    vww, ic = results["vww"], results["ic"]
    assert vww.dense is not None
    flash = {bench: each.in_flash for bench, each in results.items()}
    computing = sorted(row.vww_against_ic for row in PUBLISHED if not row.leaves_out)
    leaving = sorted(row.vww_against_ic for row in PUBLISHED if row.leaves_out)
    return _PUBLISHED_TAIL.format(
        dead=vww.channels[0] - vww.channels[1],
        channels=vww.channels[0],
        dense=vww.macs[0],
        thin=vww.macs[1],
        dense_ratio=_ratio(flash | {"vww": vww.dense}, results),
        thin_ratio=_ratio(flash, results),
        computing=len(computing),
        leaving=len(leaving),
        computing_range=f"{computing[0]:.2f} to {computing[-1]:.2f}",
        leaving_range=f"{leaving[0]:.2f} to {leaving[-1]:.2f}",
        dense_ms=vww.dense.ms,
        thin_ms=vww.in_flash.ms,
        placed_ms=vww.placed.ms,
        others_ahead=sum(row.ms_of("ic") < ic.in_flash.ms for row in PUBLISHED),
        all_rows=len(PUBLISHED),
        order=", ".join(FILES[bench].title for bench in BENCHES),
        against_microtvm=_against("microTVM with CMSIS-NN", results),
        against_onnc=_against("ONNC with CMSIS-NN", results),
        vww=_memory(vww.in_flash),
        ic=_memory(ic.in_flash),
    )


def _memory(cost: Cost) -> str:
    return f"{cost.ram_bytes:,} | {cost.flash_bytes:,} | {cost.instructions:,}"


def _against(engine: str, results: Mapping[str, Measured]) -> str:
    """Ours from flash against the published times of `engine`, dead channels computed where it computes them."""
    (row,) = (row for row in PUBLISHED if row.engine == engine)
    ours = {bench: each.in_flash if row.leaves_out else each.dense or each.in_flash for bench, each in results.items()}
    return ", ".join(f"{100 * (ours[bench].ms / row.ms_of(bench) - 1):+.0f} %" for bench in BENCHES)


def _dead(row: Measured) -> str:
    channels, macs, nbytes = (
        f"{before:,} -> {after:,}" if before != after else f"{before:,}"
        for before, after in (row.channels, row.macs, row.constant_bytes)
    )
    return f"| {row.title} | {channels} | {macs} | {nbytes} | {row.unchanged} of {row.inputs} |\n"


if __name__ == "__main__":
    sys.exit(main())
