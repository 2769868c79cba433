import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tflite", reason="reading TFLite files needs the package tflite")

from support.float_litert import relative_error

from ptee_mcu.frontends.tflite.file import read_tflite
from ptee_mcu.frontends.tflite.float import float_graph

TOLERANCE = 1e-4  # of the largest logit


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with what TensorFlow's converter makes of small networks."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("making TFLite files of all kinds needs tensorflow")
    folder = tmp_path_factory.mktemp("networks")
    script = Path(__file__).parents[1] / "support" / "tflite_networks.py"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "KERAS_HOME": str(folder), "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, "-P", script, folder],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.slow
def test_every_use_of_an_operator_computes_what_litert_computes(networks: Path) -> None:
    errors = {
        path.stem: relative_error(path) for path in sorted(networks.glob("*.tflite")) if "dynamic" not in path.stem
    }
    assert len(errors) > 30
    assert {name: error for name, error in errors.items() if error > TOLERANCE} == {}


@pytest.mark.slow
def test_weights_of_eight_bits_are_within_half_a_step_of_those_in_float32(networks: Path) -> None:
    exact = float_graph(read_tflite(networks / "kinds.float32.tflite"), "net")
    model = read_tflite(networks / "kinds.dynamic.tflite")
    coded = float_graph(model, "net")
    steps = [model.tensors[op.inputs[1]].code for op in model.operators if op.kind in ("CONV_2D", "FULLY_CONNECTED")]
    assert any(step is not None for step in steps)
    for a, b in zip(exact.nodes, coded.nodes, strict=True):
        off = np.abs(a.params["weight"] - b.params["weight"]).max()
        assert off <= np.abs(a.params["weight"]).max() / 127 * 0.501
    assert [node.op for node in exact.nodes] == [node.op for node in coded.nodes]
