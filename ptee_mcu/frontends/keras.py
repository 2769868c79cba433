"""Keras files and SavedModel folders: TensorFlow's own converter makes a float TFLite file of them, in a subprocess.

Safety: reading such a file means running TensorFlow on it. Lambda layers, which hold Python code, and classes that are
not Keras' own are refused, and Keras' safe mode stays on; a SavedModel that reads or writes files or calls Python is
refused by the names of its operations. That is no sandbox: convert files of unknown origin where they can do no harm.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ptee_mcu.errors import ModelError, ToolMissingError
from ptee_mcu.frontends.imported import Imported

_CHILD = Path(__file__).with_name("keras_convert.py")
_INSTALL = 'pip install "ptee-mcu[tensorflow]"'
_LOG_BYTES = 65_536  # of the end of TensorFlow's log, where the reason stands
_LONGEST = 400  # characters of a reason


def load_keras(path: Path, name: str) -> Imported:
    """The float network of a .keras or .h5 file or a SavedModel folder.

    Raises:
        ModelError: see `convert_keras`; or where the network has no counterpart here.
        UnsupportedOpError: naming an op that has no counterpart here.
        ToolMissingError: where tensorflow or tflite is not installed.
    """
    try:
        from ptee_mcu.frontends.tflite.load import load_tflite  # noqa: PLC0415 - needs the package tflite
    except ModuleNotFoundError as error:
        raise ToolMissingError(f"{path}: reading what TensorFlow makes of it needs tflite", hint=_INSTALL) from error
    with tempfile.TemporaryDirectory(prefix="ptee-keras-") as folder:
        return load_tflite(convert_keras(path, Path(folder)), name)


def convert_keras(path: Path, folder: Path, *, python: str = sys.executable, timeout_s: float = 600.0) -> Path:
    """The float TFLite file that TensorFlow makes of `path`: `folder`/<its name>.tflite.

    Args:
        path: a .keras, .h5 or .hdf5 file or a SavedModel folder; it is not changed.
        folder: where the result goes; made where it does not exist.
        python: the interpreter that has TensorFlow.
        timeout_s: how long it may take.

    Raises:
        ModelError: where the file is none of these, damaged or unsafe, or TensorFlow cannot load or convert it.
        ToolMissingError: where `python` has no TensorFlow.
    """
    kind = _kind(path)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ptee-keras-") as scratch:
        made = _run(path, kind, Path(scratch), python, timeout_s)
        target = folder / f"{path.resolve().name if kind == 'saved_model' else path.stem}.tflite"
        shutil.copyfile(made, target)
    return target


def _kind(path: Path) -> str:
    """What the file at `path` is, by its suffix and its first bytes."""
    if not path.exists():
        raise ModelError(f"{path}: no such file or folder")
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise ModelError(f"{path}: is no SavedModel: it holds no saved_model.pb")
        return "saved_model"
    suffix = path.suffix.lower()
    if suffix == ".keras":
        if not zipfile.is_zipfile(path):
            raise ModelError(f"{path}: is not a Keras file: it is no zip archive")
        return "keras"
    if suffix in (".h5", ".hdf5"):
        with path.open("rb") as file:
            if file.read(8) != b"\x89HDF\r\n\x1a\n":
                raise ModelError(f"{path}: is not a Keras file: it does not begin as HDF5")
        return "h5"
    raise ModelError(f"{path}: a file of kind {suffix or 'none'!r} is no Keras file", hint="known: .keras, .h5, .hdf5")


def _run(path: Path, kind: str, scratch: Path, python: str, timeout_s: float) -> Path:
    """Where the child has left the TFLite file."""
    made, report, log = scratch / "model.tflite", scratch / "report.json", scratch / "log.txt"
    # -P keeps the folder of the script, which holds a keras.py of its own, off the child's path.
    command = [python, "-P", str(_CHILD), kind, str(path.resolve()), str(scratch)]
    try:
        with log.open("wb") as output:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                cwd=scratch, env=_environment(scratch), timeout=timeout_s, check=False,
            )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{path}: TensorFlow had not converted it after {timeout_s:g} s", hint="convert it to .tflite yourself"
        ) from error
    except OSError as error:
        raise ToolMissingError(
            f"{python} cannot be run: {error.strerror}", hint="name a Python with TensorFlow"
        ) from error
    if report.is_file():
        _raise_reported(path, json.loads(report.read_text(encoding="utf-8")), python)
    if done.returncode != 0 or not made.is_file():
        raise ModelError(f"{path}: TensorFlow ended with status {done.returncode}: {_last_line(log)}")
    return made


def _environment(scratch: Path) -> dict[str, str]:
    """The caller's, without a GPU, with Keras on TensorFlow and its settings in the scratch folder."""
    fixed = {
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
        "KERAS_HOME": str(scratch),
        "PYTHONUTF8": "1",
        "TF_CPP_MIN_LOG_LEVEL": "1",
    }
    return {**os.environ, **fixed}


def _raise_reported(path: Path, report: dict[str, str], python: str) -> None:
    reason, hint = report["reason"][:_LONGEST], report["hint"] or None
    if report["kind"] == "missing":
        raise ToolMissingError(f"{path}: Keras models need TensorFlow, which {python} lacks ({reason})", hint=_INSTALL)
    raise ModelError(f"{path}: {reason}", hint=hint)


def _last_line(log: Path) -> str:
    """The last line of the log that says something."""
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - _LOG_BYTES, 0))
        text = file.read().decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:_LONGEST] if lines else "it printed nothing"
