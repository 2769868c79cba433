"""Host time per ResNet-8 image, ptee-mcu against BakeNN 1.0.0 in one run: calibration and bit-exact simulation.

    python benchmarks/host_time.py [--json]

Calibration of BakeNN is the time that a second calibration image adds to its compile_torch_ptq. Goals: 100 calibration
images in 5 s, 1,000 simulated images in 4 s, on two quiet cores. Takes a minute or two, nearly all of it BakeNN's.
"""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

# A script's own folder comes first on its path and hides the package bakenn behind bakenn.py; the checkout is meant.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import bakenn
import numpy as np
import torch

from benchmarks.bakenn_resnet8 import NAME, Case, make_case
from ptee_mcu.calibrate import calibrate
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.passes.fold import fold
from ptee_mcu.quantize import quantize
from ptee_mcu.sim import evaluate

CALIBRATED, SIMULATED = 100, 1000


def ours(case: Case) -> tuple[float, float]:
    """Seconds for CALIBRATED calibration images (observer mse: two passes) and for SIMULATED simulated ones."""
    graph = fold(capture(case.network, case.example, name=NAME))
    images = np.random.default_rng(0).normal(size=(CALIBRATED, *case.image.shape[1:])).astype(np.float32)
    started = perf_counter()
    ranges = calibrate(graph, images, observer="mse")
    calibrated = perf_counter() - started
    quant_graph = quantize(graph, ranges)
    codes = np.random.default_rng(1).integers(-128, 128, (SIMULATED, *case.image.shape[1:]), dtype=np.int8)
    started = perf_counter()
    evaluate(quant_graph, codes)
    return calibrated, perf_counter() - started


def theirs(case: Case) -> tuple[float, float]:
    """Seconds that BakeNN takes for one calibration image and for one image in its reference."""
    seconds = []
    with TemporaryDirectory() as work:
        for count in (1, 2):
            images = [torch.randn_like(case.example) for _ in range(count)]
            started = perf_counter()
            compiled = bakenn.compile_torch_ptq(case.network, case.example, images, Path(work) / str(count), name=NAME)
            seconds.append(perf_counter() - started)
    codes = bakenn.quantize_input(compiled.plan, case.image)
    started = perf_counter()
    bakenn.run_reference(compiled.plan, codes)
    return seconds[1] - seconds[0], perf_counter() - started


def main() -> None:
    """Prints both sides and their ratio per image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    case = make_case()
    calibrated, simulated = ours(case)
    bakenn_calibrated, bakenn_simulated = theirs(case)
    facts = {
        "calibration": {"ptee_mcu_s": calibrated / CALIBRATED, "bakenn_s": bakenn_calibrated},
        "simulation": {"ptee_mcu_s": simulated / SIMULATED, "bakenn_s": bakenn_simulated},
    }
    print(
        f"ptee-mcu: {CALIBRATED} calibration images in {calibrated:.2f} s, {SIMULATED:,} simulated in {simulated:.2f} s"
    )
    for what, pair in facts.items():
        ratio = pair["bakenn_s"] / pair["ptee_mcu_s"]
        print(
            f"{what:12} per image: BakeNN {pair['bakenn_s']:.2f} s, ptee-mcu {pair['ptee_mcu_s']:.4f} s: {ratio:,.0f}x"
        )
    if options.json:
        print(json.dumps(facts))


if __name__ == "__main__":
    main()
