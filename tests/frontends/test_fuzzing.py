"""Damaged model files, read in another process: refused, never worse. 10,000 of them: benchmarks/fuzz_models.py."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir

import onnx
import pytest
from support import fuzzing
from support.data import require_shared
from support.fuzzing import Sample, read_all, samples
from support.onnx_files import small

COUNT = 300
# Small ones of each kind: quantized per tensor and per channel, and of floats.
SEEDS = (
    "models/tflm/hello_world_int8.tflite",
    "models/tflm/hello_world_float.tflite",
    "models/tflm/micro_speech_quantized.tflite",
    "mlperf_tiny/kws/kws_ref_model.tflite",
    "models/onnx/kws_kai_jiang.onnx",
    "models/onnx/resnet8_float_kai_jiang.onnx",
)


@pytest.mark.slow
def test_damaged_files_are_refused_within_time_and_memory_and_open_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("tflite")
    seeds = [require_shared(*name.split("/")) for name in SEEDS]
    warm = (seeds[0], seeds[-1])
    tally = read_all(samples(seeds, COUNT), tmp_path, warm)
    assert tally.findings == ()
    assert tally.read + tally.refused == COUNT
    assert tally.refused > COUNT // 3


def sample(data: bytes) -> Iterator[Sample]:
    yield Sample("a.onnx", "by hand", data)


def one(tmp_path: Path, data: bytes) -> str:
    """What the harness says of one file."""
    tally = read_all(sample(data), tmp_path, ())
    return tally.findings[0].fault if tally.findings else "refused" if tally.refused else "read"


def test_external_data_outside_the_models_folder_is_not_opened(tmp_path: Path) -> None:
    outside = tmp_path / "outside.bin"
    outside.write_bytes(bytes(4096))
    (tmp_path / "models").mkdir()
    proto = small()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../outside.bin"
    assert one(tmp_path / "models", proto.SerializeToString()) == "refused"


ELSEWHERE = Path(gettempdir()).resolve() / "ptee-fuzz-no-such-file"
FAULTS = {
    "a crash": (lambda _: os.abort(), "the process ended: status 6"),
    "a hang": (lambda _: time.sleep(60), "took more than 1 s"),
    "too much memory": (lambda _: bytearray(2**31), "MemoryError"),
    "another error": (lambda _: {}["no such key"], "KeyError: 'no such key'"),
    "a file elsewhere": (lambda _: ELSEWHERE.read_bytes(), f"opened {ELSEWHERE}"),
}


@pytest.mark.parametrize(("fault", "said"), FAULTS.values(), ids=FAULTS)
def test_the_harness_finds(fault: object, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptee_mcu.frontends.load.load_model", fault)
    monkeypatch.setattr(fuzzing, "SECONDS", 1)
    assert one(tmp_path, b"").startswith(said)
