"""Seconds the simulator takes for 1,000 inputs of the networks that ship, every input through every layer.

    python benchmarks/simulator.py [--inputs N] [--json] [NETWORK ...]

Weights are random, which costs the same. The goals, on two quiet cores: ResNet-20 in 10 s, ResNet-8 in 4 s.
"""

import argparse
import json
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

# A script's own folder comes first on its path; the checkout is meant.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.networks import random_network
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.sim import evaluate

NETWORKS = ("resnet8", "resnet20", "ds_cnn", "mobilenet_v1_025", "autoencoder", "digits_cnn")
REPEATS = 3  # the quickest counts: the others shared the machine


def main() -> None:
    """Prints one line a network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    seconds = {}
    for name in options.networks:
        seconds[name] = measure(random_network(name), options.inputs)
        print(f"{name:20} {seconds[name]:6.2f} s for {options.inputs:,} inputs", flush=True)
    if options.json:
        print(json.dumps({"inputs": options.inputs, "seconds": seconds}))


def measure(graph: QuantGraph, inputs: int) -> float:
    """Seconds for `inputs` random inputs."""
    shape = (inputs, *graph.input_tensor.shape[1:])
    x = np.random.default_rng(1).integers(-128, 128, shape, dtype=np.int8)
    quickest = np.inf
    for _ in range(REPEATS):
        started = perf_counter()
        evaluate(graph, x, full=True)
        quickest = min(quickest, perf_counter() - started)
    return float(quickest)


if __name__ == "__main__":
    main()
