"""A build on a board: its bare project, the inputs for it, and what came back beside the simulator."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptee_mcu.artifacts import MANIFEST
from ptee_mcu.boards import load
from ptee_mcu.emit_project import FOLDER, abi_of, bare_project, board_defines
from ptee_mcu.errors import ConfigError, DataError, ModelError
from ptee_mcu.firmware.apps import Bare
from ptee_mcu.firmware.measure import Measured
from ptee_mcu.golden import golden
from ptee_mcu.plan.plan import Plan
from ptee_mcu.project import Inputs, Project
from ptee_mcu.quant_graph import ALWAYS, NEVER, QuantGraph
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import Int8

_MARK = "startup.c"  # a folder that holds it is a bare project
_CONTENT = "np.savez(path, x=inputs)"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Answers of a board beside the simulator's: exit, label, confidence and logits of every input."""

    inputs: int
    differing: int  # inputs of which anything differs
    differing_bytes: int  # of logits
    first: str | None


def bare_of(project: Project, work: Path) -> Bare:
    """The bare project of a build: that in its folder, where it was built with one, else one made in `work`.

    Raises:
        ModelError: where the build's manifest is missing or damaged.
    """
    folder = project.folder / FOLDER
    if not (folder / _MARK).is_file():
        folder = work / FOLDER
        manifest = project.folder / MANIFEST
        if not manifest.is_file():
            raise ModelError(f"{manifest} is missing", hint="build it again")
        abi = abi_of(manifest.read_bytes())
        for path, content in bare_project(project.plan, golden(project.plan, project.inputs), abi=abi).items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    target = project.plan.target
    return Bare(project.folder, folder, project.name, target, board_defines(target))


def require_board(project: Project, board: str | None) -> None:
    """Refuses another board than that which `project` was built for.

    Raises:
        ConfigError: naming both, or where there is no such board.
    """
    built = project.plan.target.name
    if board is not None and load(board).name != built:
        raise ConfigError(
            f"{project.folder} was built for {built}, not for {board}: its memories are another's",
            hint=f'build it again with [target] board = "{board}"',
        )


def load_inputs(path: Path, graph: QuantGraph) -> Inputs:
    """Array x of the archive at `path`: uint8 pixels where `graph` has a pixel table, else int8 codes.

    Raises:
        DataError: where there is no such array, or it is not what the network takes.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            if "x" not in stored:
                raise DataError(f"{path}: lacks 'x', holds {sorted(stored)}", hint=_CONTENT)
            x = stored["x"]
    except FileNotFoundError as error:
        raise DataError(f"{path}: does not exist", hint=_CONTENT) from error
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: is no archive of plain arrays: {error}", hint=_CONTENT) from error
    shape = graph.input_tensor.shape[1:]
    kinds = (np.dtype(np.int8),) if graph.preprocess is None else (np.dtype(np.uint8), np.dtype(np.int8))
    if x.dtype not in kinds or x.shape[1:] != shape or not len(x):
        expected = " or ".join(str(kind) for kind in kinds)
        raise DataError(f"{path}: x is {x.dtype} {x.shape}; {expected} (N, {', '.join(map(str, shape))}) is expected")
    return Inputs(x, None, path.name)


def agreement(plan: Plan, codes: Int8, measured: Measured, *, leave: int | None) -> Agreement:
    """`measured` beside what the simulator says of `codes`; `leave`: the exit that was forced, None where none was."""
    early = len(plan.graph.exits) - 1
    thresholds = None if leave is None else [ALWAYS if i == leave else NEVER for i in range(early)]
    wanted = evaluate(plan.graph, codes, thresholds=thresholds)
    wrong = measured.logits != wanted.logits.reshape(measured.logits.shape)
    pairs: dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {
        "exit": (measured.exits, wanted.exit),
        "label": (measured.labels, wanted.label),
        "confidence": (measured.confidence, wanted.confidence),
    }
    rows = wrong.any(axis=1)
    for found, expected in pairs.values():
        rows = rows | (found != expected)
    first = None
    if rows.any():
        i = int(np.argmax(rows))
        what = [
            f"{name} {found[i]} instead of {wanted_[i]}"
            for name, (found, wanted_) in pairs.items()
            if found[i] != wanted_[i]
        ]
        what += [f"{int(wrong[i].sum())} logits"] * bool(wrong[i].any())
        first = f"input {i}: {', '.join(what)}"
    return Agreement(len(codes), int(rows.sum()), int(wrong.sum()), first)


def save_measured(found: Measured, path: Path) -> None:
    """Writes exits, labels, confidence, logits and cycles of every input to the archive `path`."""
    arrays = {name: getattr(found, name) for name in ("exits", "labels", "confidence", "logits", "cycles")}
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
