"""PyTorch networks of the user's own: a function in a module of theirs, or a program that torch.export saved."""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import nn
from torch.export import ExportedProgram

from ptee_mcu.errors import ConfigError, ModelError
from ptee_mcu.frontends.imported import Imported, softmax_note
from ptee_mcu.frontends.pytorch import capture_program
from ptee_mcu.graph import Graph


def make_module(factory: str, arguments: Mapping[str, Any], beside: Path) -> nn.Module:
    """What `factory`, "package.module:function", returns for `arguments`; modules in `beside` are found first.

    Raises:
        ConfigError: where there is no such module or function, it fails, or it returns no torch.nn.Module.
    """
    module_name, _, attribute = factory.partition(":")
    place = f"model.factory {factory!r}"
    sys.path.insert(0, str(beside.resolve()))
    try:
        found: Any = import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{place}: {error}", hint=f"it is looked for in {beside.resolve()} and among the installed packages"
        ) from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{place}: importing it failed: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    try:
        network = found(**arguments) if callable(found) and not isinstance(found, nn.Module) else found
    except (Exception, SystemExit) as error:  # whatever the user's code raises arrives here
        raise ConfigError(f"{place}: calling it failed: {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{place}: gives {type(network).__name__}, a torch.nn.Module is expected")
    return network


def load_pt2(path: Path, name: str) -> Imported:
    """The program that torch.export.save wrote to `path`.

    Raises:
        ModelError: where the file is damaged or not of this PyTorch.
        UnsupportedOpError: naming an op that has no counterpart.
    """
    graph = capture_program(read_pt2(path), name=name)
    return Imported(graph=graph, notes=remarks(graph))


def remarks(graph: Graph) -> tuple[str, ...]:
    """What of a PyTorch network is not in its `graph`."""
    return (softmax_note("the softmax"),) if graph.softmax else ()


def read_pt2(path: Path) -> ExportedProgram:
    """The program that torch.export.save wrote to `path`.

    Raises:
        ModelError: where the file is damaged or not of this PyTorch.
    """
    hint = f"save it with torch.export.save of PyTorch {torch.__version__} or near"
    if not is_zipfile(path):
        raise ModelError(f"{path}: torch.export.load cannot read it: it is no zip archive", hint=hint)
    try:
        with _quiet():
            return torch.export.load(path)
    except Exception as error:  # a torn file leads its reader anywhere
        said = str(error).strip().splitlines()
        raise ModelError(
            f"{path}: torch.export.load cannot read it: {type(error).__name__}: {said[0] if said else ''}", hint=hint
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the traceback that torch logs before it raises the error."""
    log = logging.getLogger("torch.export")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
