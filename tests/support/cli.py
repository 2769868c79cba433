"""The command line in a process of its own, and a config that builds in seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CONFIG = """
[model]
name = "digits_cnn"
training = { epochs = 8 }
[data]
source = "digits"
mean = [0.305]
std = [0.376]
[exits]
placement = "names"
at = ["block1", "block2"]
training = { epochs = 10 }
max_disagreement = 0.05
[quantize]
images = 60
[build]
name = "digits_ee"
"""


def ptee(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k != "PTEE_DATA"} | {"OMP_NUM_THREADS": "1"} | environment
    command = [sys.executable, "-c", "from ptee_mcu.cli import main; main()", *words]
    return subprocess.run(
        command, cwd=cwd, env=env | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )


def facts(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def config(folder: Path, find: str = "", put: str = "") -> Path:
    assert find in CONFIG
    path = folder / "build.toml"
    path.write_text(CONFIG.replace(find, put, 1) if find else CONFIG)
    return path
