"""The comparison with BakeNN: its ratios, its verdict and what it refuses; the measuring itself is `make bench`."""

import importlib.metadata
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks import bakenn, bakenn_footprint, bakenn_resnet8
from benchmarks.bakenn_footprint import Footprint
from ptee_mcu.errors import FirmwareError, ToolMissingError

OURS = Footprint(instructions=50, flash_bytes=90, ram_bytes=10, stack_bytes=600)
THEIRS = Footprint(instructions=100, flash_bytes=100, ram_bytes=20, stack_bytes=700)
LARGE = Footprint(instructions=60, flash_bytes=101, ram_bytes=10, stack_bytes=600)


def test_the_json_gives_the_worse_of_both_levels() -> None:
    levels = {"-O2": (OURS, THEIRS), "-Os": (LARGE, THEIRS)}
    line = json.loads(json.dumps(bakenn.as_json(levels)))
    assert line["ratio"] == {"instructions": 0.6, "flash": 1.01, "ram": 0.5}
    assert line["levels"]["-O2"]["ratio"]["flash"] == 0.9
    assert line["levels"]["-Os"]["bakenn"]["ram_bytes"] == 20


def test_the_table_says_what_is_above_one(capsys: pytest.CaptureFixture[str]) -> None:
    empty = {"-O2": 5, "-Os": 5}
    bakenn.print_table({"-O2": (OURS, THEIRS), "-Os": (OURS, THEIRS)}, empty)
    assert "above 1" not in capsys.readouterr().out
    bakenn.print_table({"-O2": (OURS, THEIRS), "-Os": (LARGE, THEIRS)}, empty)
    assert "above 1: flash" in capsys.readouterr().out


def test_another_bakenn_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "2.0.0")
    with pytest.raises(ToolMissingError, match=r"compares with BakeNN 1\.0\.0; installed: 2\.0\.0"):
        bakenn_resnet8.bakenn_library(bakenn_resnet8.make_case(), tmp_path)


def test_int8_logits_of_another_network_are_refused() -> None:
    logits = np.array([1.0, -1.0, 0.5, 0.0], np.float32)
    bakenn_resnet8._require_same_network("ours", np.array([100, -100, 50, 1], np.int8), logits)
    with pytest.raises(FirmwareError, match=r"ours: int8 logits correlate with the float ones by -"):
        bakenn_resnet8._require_same_network("ours", np.array([-100, 100, -50, 0], np.int8), logits)


def test_a_firmware_that_disagrees_with_its_simulator_is_refused() -> None:
    with pytest.raises(FirmwareError, match=r"ours: the firmware answers \[1\], its simulator \[2\]"):
        bakenn_footprint._require_equal("ours", np.array([1], np.int8), np.array([2], np.int8))


def test_the_weights_leave_no_two_biases_equal() -> None:
    network = bakenn_resnet8.make_case().network
    biases = [bias.detach().numpy().tobytes() for name, bias in network.named_parameters() if name.endswith("bias")]
    assert len(set(biases)) == len(biases)
