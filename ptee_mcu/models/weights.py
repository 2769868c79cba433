"""Weights from third-party files into a network, checked key by key; nothing but tensors is ever unpickled."""

import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import ZipFile, is_zipfile

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ptee_mcu.errors import ModelError

_WRAPPERS = ("state_dict", "model_state_dict", "model")  # keys under which training scripts keep the tensors
_OPTIONAL = ".num_batches_tracked"  # absent from files older than PyTorch 0.4.1, unused in eval mode


def load_into(network: nn.Module, path: Path) -> None:
    """Fills `network` from `path`; a network may rename keys (`renames`) and take a file's variant (`adapt_to`).

    Raises:
        ModelError: naming file, key and shapes, where the file cannot be read or does not fit the network.
    """
    tensors = _renamed(_read(path), getattr(network, "renames", ()))
    _require_finite(tensors, path)
    if adapt := getattr(network, "adapt_to", None):
        adapt(frozenset(tensors))
    own = network.state_dict()
    _require_match(tensors, own, path, type(network).__name__)
    network.load_state_dict({key: tensors.get(key, own[key]) for key in own})


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(
            f"weights file {path} does not exist", hint="give its path relative to the config or data folder"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch warns of either loads or is refused below
            loaded = _loaded(path)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"weights file {path} holds objects other than tensors, or is no PyTorch file",
            hint="load it where it was made and save its state_dict() alone, best as .safetensors",
        ) from error
    except ModelError:
        raise
    except Exception as error:  # a torn file leads its reader anywhere
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"weights file {path} cannot be read: {type(error).__name__}{': ' + reason[0] if reason else ''}",
            hint="it is damaged or cut short: fetch it again",
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    tensors = {k: v for k, v in loaded.items() if isinstance(v, Tensor)} if isinstance(loaded, Mapping) else {}
    if not tensors:
        raise ModelError(f"weights file {path} holds no tensors by name", hint="save the network's state_dict()")
    return tensors


def _loaded(path: Path) -> object:
    if path.suffix == ".safetensors":
        return load_file(path)
    _require_checksums(path)
    return torch.load(path, "cpu", weights_only=True)


def _require_checksums(path: Path) -> None:
    """PyTorch writes a checksum per tensor into its zip files and never looks at it again."""
    if not is_zipfile(path):
        return
    with ZipFile(path) as archive:
        wrong = archive.testzip()
    if wrong is not None:
        raise ModelError(
            f"weights file {path} is damaged: the checksum of {wrong} is wrong",
            hint="fetch it again, or save it anew with torch.save",
        )


def _renamed(tensors: Mapping[str, Tensor], renames: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
    result = {}
    for key, tensor in tensors.items():
        name = key.removeprefix("module.")  # nn.DataParallel's
        for pattern, replacement in renames:
            name = re.sub(pattern, replacement, name)
        result[name] = tensor
    return result


def _require_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    for key, tensor in tensors.items():
        bad = int(tensor.numel() - torch.isfinite(tensor).sum())
        if bad:
            raise ModelError(
                f"{path.name}: {bad} of {tensor.numel()} values of {key} are NaN or infinite",
                hint="the training run that wrote it diverged: take an earlier checkpoint",
            )


def _require_match(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], path: Path, network: str) -> None:
    missing = sorted(key for key in own if key not in tensors and not key.endswith(_OPTIONAL))
    extra = sorted(key for key in tensors if key not in own and not key.endswith(_OPTIONAL))
    if missing or extra:
        first = f"lacks {missing[0]}" if missing else f"holds {extra[0]}, which {network} has not"
        raise ModelError(
            f"{path.name}: {first} ({len(missing)} keys are missing, {len(extra)} are not known to {network})",
            hint="check that the file belongs to this network and depth",
        )
    for key, tensor in own.items():
        if key in tensors and tensors[key].shape != tensor.shape:
            raise ModelError(
                f"{path.name}: {key} has shape {tuple(tensors[key].shape)}, {network} needs {tuple(tensor.shape)}",
                hint="set the number of classes, the input's channels and the width to those the file was trained with",
            )
