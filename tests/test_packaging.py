import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())


def python(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment
    return subprocess.run([sys.executable, *words], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_the_package_list_equals_the_folders() -> None:
    inside = {p.parent.relative_to(ROOT) for p in (ROOT / "ptee_mcu").rglob("__init__.py")}
    beside = {
        p.parent.relative_to(ROOT) for top in ("sim", "templates", "targets") for p in (ROOT / top).rglob("__init__.py")
    }
    found = {".".join(p.parts) for p in inside} | {".".join(("ptee_mcu", *p.parts)) for p in beside}
    listed = set(CONFIG["tool"]["setuptools"]["packages"])
    assert found == listed


def test_every_file_kind_in_a_package_is_shipped() -> None:
    data = CONFIG["tool"]["setuptools"]["package-data"]
    folders = {
        "ptee_mcu.firmware": "ptee_mcu/firmware",
        "ptee_mcu.templates": "templates",
        "ptee_mcu.templates.integrations": "templates/integrations",
        "ptee_mcu.templates.ops": "templates/ops",
        "ptee_mcu.templates.project": "templates/project",
        "ptee_mcu.templates.runtime": "templates/runtime",
        "ptee_mcu.targets": "targets",
    }
    for package, folder in folders.items():
        shipped = {p for pattern in data[package] for p in (ROOT / folder).glob(pattern)}
        present = {
            p
            for p in (ROOT / folder).glob("*")
            if p.is_file() and p.suffix not in {".py", ".pyc"} and p.parent.name != "__pycache__"
        }
        assert present == shipped


@pytest.mark.slow
def test_a_wheel_holds_everything_and_lands_only_ptee_mcu(tmp_path: Path) -> None:
    target, source = tmp_path / "site", tmp_path / "source"
    source.mkdir()  # a copy: setuptools would take over what an earlier build left in build/
    for name in ("ptee_mcu", "sim", "templates", "targets"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    done = python("-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(source), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {p.name for p in target.iterdir() if not p.name.endswith(".dist-info") and p.name != "bin"} == {"ptee_mcu"}
    code = (
        "import ptee_mcu.sim, ptee_mcu.boards as t; from ptee_mcu.emit_text import environment as e;"
        "e().get_template('ops/conv2d.c.j2'); print(t.names(), ptee_mcu.__file__)"
    )
    ran = python("-c", code, cwd=tmp_path, PYTHONPATH=str(target))
    assert ran.returncode == 0, ran.stderr
    assert str(target) in ran.stdout
    assert "mps2_an386" in ran.stdout
    assert python("-c", "import sim", cwd=tmp_path, PYTHONPATH=str(target)).returncode != 0


def test_a_checkout_runs_without_installing() -> None:
    code = "import ptee_mcu.sim, ptee_mcu.boards as t; print(t.names())"
    ran = python(
        "-S", "-c", "import sys; sys.path[:0] = eval(sys.argv[1]);" + code, repr([str(ROOT), *sys.path]), cwd=ROOT
    )
    assert ran.returncode == 0, ran.stderr


def test_the_command_line_imports_neither_torch_nor_tensorflow_nor_scipy() -> None:
    code = "import sys, ptee_mcu.cli; print([m for m in ('torch', 'tensorflow', 'scipy', 'numpy') if m in sys.modules])"
    assert python("-c", code, cwd=ROOT).stdout.strip() == "[]"


def test_simulating_planning_and_emitting_import_neither_torch_nor_tensorflow() -> None:
    code = (
        "import sys, ptee_mcu.sim, ptee_mcu.plan.make, ptee_mcu.emit, ptee_mcu.compare, ptee_mcu.project;"
        "print([m for m in ('torch', 'tensorflow', 'onnx') if m in sys.modules])"
    )
    assert python("-c", code, cwd=ROOT).stdout.strip() == "[]"


def test_no_gpu_packages_came_along() -> None:
    names = [dist.metadata["Name"] or "" for dist in importlib.metadata.distributions()]
    assert [name for name in names if name.lower().startswith("nvidia-")] == []


def test_constraints_pin_what_the_extras_name() -> None:
    pinned = {
        line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    assert {"torch", "tensorflow-cpu", "bakenn", "numpy", "onnx", "pyocd"} <= pinned
