"""The hand-written network as an emitted project, and a compiler cache of the test session's own."""

import shutil
from importlib.resources import files
from pathlib import Path

import pytest
from support.cache import cache_folder, own_cache
from support.tools import require

from ptee_mcu.firmware import cmsis_nn

__all__ = ["cache_folder", "own_cache"]
HERE = Path(__file__).parent
RUNTIME = ("ptee_runtime.h", "ptee_cmsis_nn.h", "ptee_fully_connected.c", "ptee_argmax.c", "ptee_status.c")


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network, the run-time library and CMSIS-NN, laid out as the emitter does."""
    require("cmsis-nn")
    folder = tmp_path_factory.mktemp("tiny")
    for source in sorted((HERE / "tiny").iterdir()):
        shutil.copy(source, folder)
    runtime = files("ptee_mcu.templates") / "runtime"
    for name in RUNTIME:
        (folder / name).write_bytes((runtime / name).read_bytes())
    library = cmsis_nn.sources_for({"arm_fully_connected_s8", "arm_fully_connected_s8_get_buffer_size"})
    for name, content in library.files.items():
        path = folder / "cmsis_nn" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
