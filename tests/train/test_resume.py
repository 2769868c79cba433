import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killed.py")
NEVER = 10**6


def train(kind: str, folder: Path, steps: int, every: float = 0.0) -> int:
    environment = {**os.environ, "EVERY": str(every)}
    command = [sys.executable, str(SCRIPT), kind, str(folder), str(steps)]
    return subprocess.run(command, env=environment, check=False, timeout=120).returncode


@pytest.mark.parametrize(("kind", "kills"), [("backbone", (3, 8)), ("heads", (4, 7, 9)), ("incremental", (16, 13))])
def test_a_training_killed_again_and_again_ends_with_the_same_weights(
    kind: str, kills: tuple[int, ...], tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    assert train(kind, whole, NEVER) == 0
    for steps in kills:
        assert train(kind, cut, steps) == -signal.SIGKILL
    assert train(kind, cut, NEVER) == 0
    assert (cut / "result.safetensors").read_bytes() == (whole / "result.safetensors").read_bytes()


def test_a_training_killed_ahead_of_its_first_checkpoint_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    assert train("heads", whole, NEVER, every=1e9) == 0
    assert train("heads", cut, 14, every=1e9) == -signal.SIGKILL
    assert train("heads", cut, NEVER) == 0
    assert (cut / "result.safetensors").read_bytes() == (whole / "result.safetensors").read_bytes()


def test_a_finished_training_is_not_run_again(tmp_path: Path) -> None:
    assert train("heads", tmp_path, NEVER) == 0
    first = (tmp_path / "result.safetensors").read_bytes()
    assert train("heads", tmp_path, 1) == 0  # it would die at its first step
    assert (tmp_path / "result.safetensors").read_bytes() == first
