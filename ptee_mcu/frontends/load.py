"""A model file of any known format as a network."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from ptee_mcu.errors import ModelError, ToolMissingError
from ptee_mcu.frontends.imported import Imported

Loader = Callable[[Path, str], Imported]


def load_model(path: Path) -> Imported:
    """The network in the file (or SavedModel folder) at `path`; its name follows from the file's.

    Raises:
        ModelError: where there is no such file, its format is unknown, or it is damaged.
        UnsupportedOpError: naming an op that has no counterpart here.
        ToolMissingError: where the package that reads the format is not installed.
    """
    if not path.exists():
        raise ModelError(f"{path}: no such model file")
    loader = LOADERS.get("folder" if path.is_dir() else path.suffix.lower())
    if loader is None:
        what = "a folder" if path.is_dir() else f"a file of kind {path.suffix or 'none'!r}"
        raise ModelError(f"{path} is {what}, which holds no network", hint=f"known kinds: {KINDS}")
    return loader(path, c_name(path.stem))


def c_name(text: str) -> str:
    """`text` as the name of a C library: small letters, digits and underscores, a letter first, 40 at most."""
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return (plain if plain[:1].isalpha() else f"net_{plain}".rstrip("_"))[:40]


def _tflite(path: Path, name: str) -> Imported:
    try:
        from ptee_mcu.frontends.tflite.load import load_tflite
    except ModuleNotFoundError as error:
        raise ToolMissingError(
            f"{path}: reading TFLite files needs tflite", hint='pip install "ptee-mcu[tflite]"'
        ) from error
    return load_tflite(path, name)


def _onnx(path: Path, name: str) -> Imported:
    try:
        from ptee_mcu.frontends.onnx.load import load_onnx
    except ModuleNotFoundError as error:
        raise ToolMissingError(f"{path}: reading ONNX files needs onnx", hint='pip install "ptee-mcu[onnx]"') from error
    return load_onnx(path, name)


def _keras(path: Path, name: str) -> Imported:
    from ptee_mcu.frontends.keras import load_keras

    return load_keras(path, name)


def _exported_program(path: Path, name: str) -> Imported:
    try:
        from ptee_mcu.frontends.pytorch_user import load_pt2
    except ModuleNotFoundError as error:
        raise ToolMissingError(f"{path}: reading it needs torch", hint='pip install "ptee-mcu[train]"') from error
    return load_pt2(path, name)


LOADERS: Mapping[str, Loader] = MappingProxyType(
    {
        ".tflite": _tflite,
        ".onnx": _onnx,
        ".keras": _keras,
        ".h5": _keras,
        ".hdf5": _keras,
        ".pt2": _exported_program,
        "folder": _keras,
    }
)
KINDS = ".tflite, .onnx, .keras, .h5, .pt2 (torch.export), folders of SavedModel"
