"""What the templates print: a plan as C names, C expressions and read-only arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ptee_mcu import emit_c, emit_stage
from ptee_mcu.emit_linker import constant_section
from ptee_mcu.emit_stage import Image, Loading
from ptee_mcu.ops import QConv2d, QFullyConnected
from ptee_mcu.ops.base import QOp
from ptee_mcu.plan.placement import How
from ptee_mcu.plan.plan import Plan, Step
from ptee_mcu.quant_graph import ALWAYS, NEVER, QExit, QuantGraph
from ptee_mcu.tensor import QTensor, Quant, Shape, readonly


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """A constant of the weights file; `section` is None where it is that of any other constant."""

    name: str
    note: str
    values: npt.NDArray[Any]
    section: str | None

    @property
    def c_type(self) -> str:
        """Element type."""
        return emit_c.c_type(self.values)


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One step: `inputs`, `result` and `scratch` are C expressions, as are the `constants` by role.

    A staged constant has no address before it is copied: NULL stands among the `constants`, its place in `staged`.
    """

    id: str
    index: int
    kind: str
    note: str
    op: QOp
    input_tensors: tuple[QTensor, ...]
    output: QTensor
    inputs: tuple[str, ...]
    result: str
    scratch: str
    scratch_bytes: int
    constants: Mapping[str, str]
    staged: Mapping[str, str]

    @property
    def descriptor(self) -> str:
        """Address of what the kernel is told."""
        return "&op" if self.staged else f"&op_{self.id}"

    @property
    def input(self) -> QTensor:
        """The first input."""
        return self.input_tensors[0]


@dataclass(frozen=True, slots=True)
class ExitView:
    """An exit; `confidence_offset` and `confidence_quant` are None where it has no rule."""

    id: str
    name: str
    logits_offset: int
    logits_quant: Quant
    confidence_offset: int | None
    confidence_quant: Quant | None


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Consecutive calls of a segment; `optional`: left out where the segment's exit cannot fire.

    Before them `needs` is waited for, then the copy of `begins` is begun: names of images, None where there is none.
    """

    optional: bool
    calls: tuple[Call, ...]
    needs: str | None = None
    begins: str | None = None


@dataclass(frozen=True, slots=True)
class PointView:
    """An operating point."""

    id: str
    name: str
    thresholds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ThresholdTable:
    """Thresholds as they are stored, a row per operating point: each element is `less` below its threshold."""

    c_type: str
    less: int
    rows: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Lookup:
    """The preprocessing table: one table for all values where the channels agree."""

    table: str
    pixels: int
    channels: int


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A plan as its templates see it."""

    segments: tuple[tuple[Part, ...], ...]
    images: tuple[Image, ...]
    loadings: tuple[Loading, ...]
    exits: tuple[ExitView, ...]
    points: tuple[PointView, ...]
    default_point: PointView
    table: ThresholdTable
    lookup: Lookup | None
    arrays: tuple[Array, ...]

    @property
    def calls(self) -> tuple[Call, ...]:
        """All steps in order."""
        return tuple(call for segment in self.segments for part in segment for call in part.calls)

    @property
    def kinds(self) -> dict[str, tuple[Call, ...]]:
        """Steps by kind of op, both in order of appearance."""
        calls = self.calls
        return {kind: tuple(c for c in calls if c.kind == kind) for kind in dict.fromkeys(c.kind for c in calls)}


class _Pool:
    """Constant arrays as they are named; equal ones are kept once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, bytes, str | None], Array] = {}

    def name(self, proposed: str, note: str, values: npt.NDArray[Any], section: str | None = None) -> str:
        """C name of an array of `values` in `section`."""
        key = (values.dtype.str, values.tobytes(), section)
        return self._found.setdefault(key, Array(proposed, note, values, section)).name

    def arrays(self) -> tuple[Array, ...]:
        """All arrays, in the order in which they were named."""
        return tuple(self._found.values())


def make_view(plan: Plan, name: str) -> View:
    """`plan` for the templates of the library `name`."""
    graph = plan.graph
    pool = _Pool()
    ids = emit_c.identifiers(step.node.name for step in plan.steps)
    optional = graph.head_nodes()
    images = emit_stage.images(plan, name)
    loadings = emit_stage.loadings(images, len(graph.exits))
    segments = tuple(
        _loaded(
            [
                Part(left_out, tuple(_call(plan, step, ids[step.node.name], name, pool) for step in steps))
                for left_out, steps in groupby(plan.segment_steps(i), lambda step: step.node.name in optional)
            ],
            loadings[i],
            loadings[i + 1].trunk if i + 1 < len(loadings) else None,
        )
        for i in range(len(graph.exits))
    )
    copies = tuple(Array(c.name, c.note, c.values, c.section) for image in images for c in image.copies)
    exit_ids = emit_c.identifiers(leave.name for leave in graph.exits)
    points, default = _points(graph)
    return View(
        segments=segments,
        images=images,
        loadings=loadings,
        exits=tuple(_exit(plan, leave, exit_ids[leave.name]) for leave in graph.exits),
        points=points,
        default_point=points[default],
        table=threshold_table([point.thresholds for point in points]),
        lookup=_lookup(plan, name, pool),
        arrays=(*pool.arrays(), *copies),
    )


def _loaded(parts: list[Part], own: Loading, following: str | None) -> tuple[Part, ...]:
    """`parts` of a segment that wait for the image of its head; where they end with the head, that begins the next.

    Until the last of the trunk has run, the image that follows may lie over what the trunk reads.
    """
    heads = [i for i, part in enumerate(parts) if part.optional]
    if heads and own.head:
        parts[heads[0]] = replace(parts[heads[0]], needs=own.head)
    if heads and heads[-1] == len(parts) - 1:
        parts[-1] = replace(parts[-1], begins=following)
    return tuple(parts)


def _call(plan: Plan, step: Step, identifier: str, name: str, pool: _Pool) -> Call:
    tensors, node = plan.graph.tensors, step.node
    inputs = tuple(tensors[tensor] for tensor in node.inputs)
    output = tensors[node.output]
    shapes = ", ".join(_shape(tensor.shape) for tensor in inputs)
    constants = {
        role: _constant(plan, f"{node.name}:{role}", f"{name}_{identifier}_{role}", values, pool)
        for role, values in node.op.constants.items()
    }
    return Call(
        id=identifier,
        index=step.index,
        kind=_kind(node.op),
        note=f"{step.index}: {node.name}, {shapes} to {_shape(output.shape)}",
        op=node.op,
        input_tensors=inputs,
        output=output,
        inputs=tuple(_at(plan, tensor) for tensor in node.inputs),
        result=_at(plan, node.output),
        scratch=_at(plan, step.scratch) if step.counts.scratch_bytes else "NULL",
        scratch_bytes=step.counts.scratch_bytes,
        constants=MappingProxyType(constants),
        staged=emit_stage.addresses(plan, node),
    )


def _constant(plan: Plan, constant: str, proposed: str, values: npt.NDArray[Any], pool: _Pool) -> str:
    """C name of a constant (node:role); NULL where it is staged."""
    place = plan.placements[constant]
    if place.how is How.STAGED:
        return "NULL"
    node, _, role = constant.rpartition(":")
    note = f"{node}: {role} {_shape(values.shape)}"
    return pool.name(proposed, note, values, constant_section(place, plan.target))


def _kind(op: QOp) -> str:
    if isinstance(op, QFullyConnected) and op.is_per_channel:
        return "per_channel_fully_connected"
    return "pointwise_conv2d" if isinstance(op, QConv2d) and op.is_pointwise else op.template


def _at(plan: Plan, slot: str) -> str:
    return f"arena + {plan.arena[slot].offset}"


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _exit(plan: Plan, leave: QExit, identifier: str) -> ExitView:
    confidence = leave.rule.tensor if leave.rule else None
    return ExitView(
        id=identifier,
        name=leave.name,
        logits_offset=plan.arena[leave.logits].offset,
        logits_quant=plan.graph.tensors[leave.logits].quant,
        confidence_offset=plan.arena[confidence].offset if confidence else None,
        confidence_quant=plan.graph.tensors[confidence].quant if confidence else None,
    )


def _points(graph: QuantGraph) -> tuple[tuple[PointView, ...], int]:
    """The operating points and the default's place among them; without early exits they do not differ: one stays."""
    early = len(graph.exits) > 1
    kept = graph.points if early else (graph.point,)
    ids = emit_c.distinct_identifiers([point.name for point in kept], "operating points")
    views = tuple(PointView(i, point.name, point.thresholds) for i, point in zip(ids, kept, strict=True))
    return views, graph.default if early else 0


def threshold_table(rows: Sequence[tuple[int, ...]]) -> ThresholdTable:
    """`rows` in the smallest element that holds them: thresholds lie in [-128, 128], one more than a byte holds."""
    found = {threshold for row in rows for threshold in row}
    less = int(NEVER in found and ALWAYS not in found)
    c_type = "int16_t" if {ALWAYS, NEVER} <= found else "int8_t"
    return ThresholdTable(c_type, less, tuple(tuple(threshold - less for threshold in row) for row in rows))


def _lookup(plan: Plan, name: str, pool: _Pool) -> Lookup | None:
    table = plan.graph.preprocess
    if table is None:
        return None
    channels = plan.graph.input_tensor.shape[-1]
    if bool(np.all(table == table[:, :1])):
        channels = 1
    tables = readonly(table[:, :channels].T, np.int8)
    note = f"codes of pixel values 0 to 255, {channels} table{'s' if channels > 1 else ''}"
    return Lookup(pool.name(f"{name}_pixel_codes", note, tables), plan.graph.input_tensor.nbytes // channels, channels)
