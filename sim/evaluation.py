"""An int8 network over whole data sets: in batches, the survivors of each exit going on to the next segment."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import ConfigError, DataError
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.sim.exits import checked_thresholds, fires, labels
from ptee_mcu.sim.schedule import carried, outputs, stages
from ptee_mcu.sim.threads import cores, single_threaded_blas
from ptee_mcu.tensor import Int8, Int32, readonly

Progress: TypeAlias = Callable[[int], None]  # hears how many inputs are finished
Rows: TypeAlias = npt.NDArray[np.int64]

_BATCH_BYTES = 2 * 1024 * 1024  # of the largest tensor: the few that are alive stay in a common last-level cache


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """One batch's answers; zeros where an exit was not evaluated."""

    exit: Int32  # (n,)
    logits: Int8  # (E, n, classes)
    confidences: Int8  # (E, n), zeros at the final exit
    reached: tuple[Rows, ...]
    tensors: Mapping[str, Int8]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What the exit that fired said about each of N inputs; after a full pass also what every one of E exits said.

    `label` is the index of the largest logit, the lowest of equals; `confidence` is 0 at the final exit. `reached[s]`
    lists, ascending, the inputs that went through segment s. `tensors` holds what was recorded, in order of execution:
    row i of a tensor of segment s belongs to input reached[s][i].
    """

    exit: Int32  # (N,)
    label: Int32  # (N,)
    logits: Int8  # (N, classes)
    confidence: Int8  # (N,)
    reached: tuple[Rows, ...]
    tensors: Mapping[str, Int8]
    labels: Int32 | None = None  # (E, N)
    confidences: Int8 | None = None  # (E - 1, N)
    exit_logits: Int8 | None = None  # (E, N, classes)


def evaluate(
    graph: QuantGraph,
    x: Int8,
    *,
    thresholds: Sequence[int] | None = None,
    full: bool = False,
    record: bool | frozenset[str] = False,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Answers to the inputs `x`, int8 (N, ...).

    Args:
        graph: the network.
        x: input codes.
        thresholds: one per exit with a rule, in [-128, 128]; those of the default point where None.
        full: every input goes through every segment, whichever exit answers it; otherwise only until one fires.
        record: the nodes' outputs to keep, by tensor; or all (True), or none.
        batch: inputs computed at once; chosen to suit caches where None.
        progress: hears how many inputs are finished so far.

    Raises:
        DataError: where the inputs are none, not int8, or of another shape than the network's.
        ConfigError: where thresholds do not fit the exits, `record` names what no node makes, or `batch` is below 1.
    """
    chosen = checked_thresholds(graph, thresholds)
    recorded = _recorded(graph, record)
    _check_inputs(graph, x)
    size = _batch_size(graph, len(x)) if batch is None else batch
    if size < 1:
        raise ConfigError(f"{graph.name}: a batch of {size} inputs", hint="give at least 1, or leave it out")
    compute = partial(_answers, graph, thresholds=chosen, recorded=recorded, full=full)
    parts = _in_batches(compute, x, size, progress)
    taken = _joined([part.exit for part in parts])
    logits = _joined([part.logits for part in parts], axis=1)
    confidences = _joined([part.confidences for part in parts], axis=1)
    each = np.arange(len(x))
    reached = [[rows + i * size for rows in part.reached] for i, part in enumerate(parts)]
    return Evaluation(
        exit=taken,
        label=readonly(labels(logits[taken, each]), np.int32),
        logits=readonly(logits[taken, each], np.int8),
        confidence=readonly(confidences[taken, each], np.int8),
        reached=tuple(map(_joined, zip(*reached, strict=True))),
        tensors=MappingProxyType({name: _joined([part.tensors[name] for part in parts]) for name in parts[0].tensors}),
        labels=readonly(labels(logits), np.int32) if full else None,
        confidences=confidences[:-1] if full else None,
        exit_logits=logits if full else None,
    )


def _answers(graph: QuantGraph, x: Int8, *, thresholds: Sequence[int], recorded: frozenset[str], full: bool) -> _Batch:
    """What the network says to one batch."""
    taken = np.full(len(x), -1, np.int32)  # no exit so far
    logits = np.zeros((len(graph.exits), len(x), graph.classes), np.int8)
    confidences = np.zeros((len(graph.exits), len(x)), np.int8)
    reached: list[Rows] = []
    tensors: dict[str, Int8] = {}
    rows, values = np.arange(len(x)), {graph.input: x}
    for i, (leave, stage) in enumerate(zip(graph.exits, stages(graph), strict=True)):
        reached.append(rows)
        tensors |= {name: value for name, value in outputs(graph, stage, values) if name in recorded}
        logits[i, rows] = values[leave.logits].reshape(len(rows), graph.classes)
        leaving = taken[rows] < 0
        if leave.rule is not None:
            codes = values[leave.rule.tensor].reshape(len(rows))
            confidences[i, rows] = codes
            leaving &= fires(codes, thresholds[i])
        taken[rows[leaving]] = i
        values = carried(stage, values)
        if not full:
            rows = rows[~leaving]
            values = {name: value[~leaving] for name, value in values.items()}
    return _Batch(taken, logits, confidences, tuple(reached), tensors)


def _in_batches(compute: Callable[[Int8], _Batch], x: Int8, size: int, progress: Progress | None) -> list[_Batch]:
    """What `compute` makes of every `size` inputs, on all cores."""
    batches = [x[first : first + size] for first in range(0, len(x), size)]
    parts = []
    with single_threaded_blas(), ThreadPoolExecutor(cores()) as pool:
        for part in pool.map(compute, batches):
            parts.append(part)
            if progress is not None:
                progress(sum(len(each.exit) for each in parts))
    return parts


def _batch_size(graph: QuantGraph, count: int) -> int:
    widest = max(tensor.nbytes for tensor in graph.tensors.values())
    return max(1, min(_BATCH_BYTES // widest, -(-count // cores())))


def _check_inputs(graph: QuantGraph, x: Int8) -> None:
    shape = graph.input_tensor.shape[1:]
    if x.dtype != np.int8 or x.shape[1:] != shape or not len(x):
        raise DataError(
            f"{graph.name}: inputs are {x.dtype} {x.shape}, int8 (N, {', '.join(map(str, shape))}) is expected",
            hint="raw pixels become codes through the network's preprocessing table (input_codes)",
        )


def _recorded(graph: QuantGraph, record: bool | frozenset[str]) -> frozenset[str]:  # noqa: FBT001 - as evaluate
    made = frozenset(node.output for node in graph.nodes)
    if isinstance(record, bool):
        return made if record else frozenset()
    if unknown := sorted(record - made):
        raise ConfigError(f"{graph.name}: no node makes {unknown[0]}, so it cannot be recorded")
    return record


def _joined(parts: Sequence[npt.NDArray[Any]], axis: int = 0) -> npt.NDArray[Any]:
    whole = np.concatenate(parts, axis=axis)
    whole.flags.writeable = False
    return whole
