"""The int8 network under contract `ptee.int8.v1`: nodes, exits, operating points; knows no board."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from ptee_mcu.errors import VerifyError
from ptee_mcu.graph import needed, segments
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import QOp
from ptee_mcu.tensor import Int8, QTensor, Shape, UInt8

CONTRACT = "ptee.int8.v1"
NEVER = 128  # a threshold no int8 code reaches
ALWAYS = -128
QUANTITIES = ("disagreement", "drop", "mean_cost", "mean_cycles")  # what an operating point can be asked to limit


@dataclass(frozen=True, slots=True, eq=False)
class QNode:
    """One int8 operation."""

    name: str
    op: QOp
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, slots=True)
class QConfidence:
    """Leave iff the one code in `tensor` is at least the exit's threshold."""

    tensor: str


@dataclass(frozen=True, slots=True)
class QExit:
    """An answer of the network; the final exit has no rule."""

    name: str
    logits: str
    rule: QConfidence | None = None
    tap: str | None = None

    @property
    def tensors(self) -> tuple[str, ...]:
        """What must be computed before the exit can answer."""
        return (self.logits,) if self.rule is None else (self.logits, self.rule.tensor)


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Thresholds of the exits that have a rule (in [-128, 128]; 128: never), and the reach of every segment.

    `reach[i]` is the measured fraction of inputs that enter segment i; None where nothing was measured.
    `asked` is the requested limit on `quantity`, in its own unit: a share of inputs for the disagreement with the
    backbone and the drop of accuracy, backbones for the mean cost, cycles. `measured` is what the choosing images gave.
    `bound`, where `delta` is given, is certified: with probability at least 1 - delta over the choosing images, every
    certified point of the table keeps its `quantity` on new inputs at or below its bound. `delta` None: not certified.
    `cost` is the estimated mean cost, relative to the bare backbone, with every head on the way charged.
    `note` is what a reader of reports should know.
    """

    name: str
    thresholds: tuple[int, ...]
    reach: tuple[float, ...] | None = None
    asked: float | None = None
    measured: float | None = None
    quantity: str = "disagreement"
    delta: float | None = None
    bound: float | None = None
    cost: float | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class QuantGraph:
    """An int8 network; `tensors` names every tensor, the input included.

    `preprocess`, where given, maps pixels to input codes: int8 (256, C), row = pixel value, column = channel.
    `softmax`: the host may apply one to the logits; the device never does.
    """

    name: str
    input: str
    tensors: Mapping[str, QTensor]
    nodes: tuple[QNode, ...]
    exits: tuple[QExit, ...]
    points: tuple[OperatingPoint, ...]
    default: int = 0
    preprocess: Int8 | None = None
    softmax: bool = False

    @property
    def input_tensor(self) -> QTensor:
        """Shape and code of the input."""
        return self.tensors[self.input]

    @property
    def point(self) -> OperatingPoint:
        """The default operating point."""
        return self.points[self.default]

    @property
    def classes(self) -> int:
        """Logits per answer."""
        return self.tensors[self.exits[-1].logits].nbytes

    def segments(self) -> tuple[tuple[QNode, ...], ...]:
        """Nodes per exit segment: the trunk up to the exit, then its head."""
        return segments(self.nodes, [e.tensors for e in self.exits])

    def macs(self, nodes: Sequence[QNode]) -> int:
        """Multiply-accumulates of one execution of `nodes`."""
        tensors = self.tensors
        return sum(
            node.op.counts([tensors[t] for t in node.inputs], tensors[node.output], Isa.SCALAR).macs for node in nodes
        )

    def skipped(self, thresholds: Sequence[int]) -> frozenset[str]:
        """Names of the nodes that NAME_run leaves out: those that only exits with the threshold NEVER need.

        A node that a later exit reads too runs, whatever the threshold: the logits that the next head cascades from.
        """
        found: set[str] = set()
        for i, (part, threshold) in enumerate(zip(self.segments(), thresholds, strict=False)):
            if threshold == NEVER:
                later = [tensor for leave in self.exits[i + 1 :] for tensor in leave.tensors]
                found |= {node.name for node in part} - {node.name for node in needed(self.nodes, later)}
        return frozenset(found)

    def head_nodes(self) -> frozenset[str]:
        """Names of the nodes that only early exits need: those left out where none of them can fire."""
        return self.skipped((NEVER,) * (len(self.exits) - 1))

    def segment_macs(self, point: OperatingPoint | None = None) -> tuple[int, ...]:
        """MACs per segment, its head included; under `point` without what is left out there."""
        out = self.skipped(point.thresholds) if point else frozenset()
        return tuple(self.macs([node for node in part if node.name not in out]) for part in self.segments())

    def exit_macs(self, point: OperatingPoint | None = None) -> tuple[int, ...]:
        """MACs of leaving at each exit: every segment so far, every head evaluated on the way included.

        Under `point`, heads of exits that cannot fire are not evaluated, as in NAME_run; None: all are, the worst case.
        """
        return tuple(accumulate(self.segment_macs(point)))

    def backbone_macs(self) -> int:
        """MACs of the network without its early exits."""
        return self.macs(needed(self.nodes, self.exits[-1].tensors))

    def exit_costs(self, point: OperatingPoint | None = None) -> tuple[float, ...]:
        """`exit_macs` relative to the bare backbone; with early exits evaluated the last one is above 1."""
        backbone = self.backbone_macs()
        return tuple(macs / backbone for macs in self.exit_macs(point))

    def input_codes(self, pixels: UInt8) -> Int8:
        """Input codes of raw pixels (N, H, W, C) through the preprocessing table, as NAME_input_u8 does."""
        if self.preprocess is None:
            raise VerifyError(f"{self.name}: has no preprocessing table")
        channels = np.arange(pixels.shape[-1])
        codes: Int8 = self.preprocess[pixels, channels]
        return codes


def verify_quant_graph(graph: QuantGraph) -> None:
    """Holds every QuantGraph to its contract.

    Raises:
        VerifyError: naming what breaks it.
    """
    known: dict[str, Shape] = {graph.input: graph.input_tensor.shape}
    for node in graph.nodes:
        _verify_node(graph, node, known)
        known[node.output] = graph.tensors[node.output].shape
    if set(known) != set(graph.tensors):
        raise VerifyError(f"{graph.name}: tensors without a producer: {sorted(set(graph.tensors) - set(known))}")
    if sum(map(len, graph.segments())) != len(graph.nodes):
        raise VerifyError(f"{graph.name}: a node feeds no exit")
    if graph.exits[-1].rule is not None or any(e.rule is None for e in graph.exits[:-1]):
        raise VerifyError(f"{graph.name}: every exit but the last needs a rule")
    for leave in graph.exits:
        _verify_exit(graph, leave)
    if not 0 <= graph.default < len(graph.points):
        raise VerifyError(f"{graph.name}: default point {graph.default} of {len(graph.points)}")
    for point in graph.points:
        _verify_point(graph, point)


def _verify_point(graph: QuantGraph, point: OperatingPoint) -> None:
    place = f"{graph.name}: {point.name}"
    if len(point.thresholds) != len(graph.exits) - 1:
        raise VerifyError(f"{place} has {len(point.thresholds)} thresholds for its exits")
    if any(not ALWAYS <= t <= NEVER for t in point.thresholds):
        raise VerifyError(f"{place} has a threshold outside [-128, 128]")
    if point.reach is not None:
        if len(point.reach) != len(graph.exits):
            raise VerifyError(f"{place} has a reach of {len(point.reach)} segments for its {len(graph.exits)} exits")
        if point.reach[0] != 1.0 or any(not 0.0 <= b <= a for a, b in pairwise(point.reach)):
            raise VerifyError(f"{place} has a reach that does not fall from 1 to at least 0")
    if point.quantity not in QUANTITIES:
        raise VerifyError(f"{place} limits {point.quantity}, which is none of {', '.join(QUANTITIES)}")
    if point.delta is not None and not 0.0 < point.delta < 1.0:
        raise VerifyError(f"{place} is certified at delta {point.delta}, outside (0, 1)")
    if (point.delta is None) != (point.bound is None):
        raise VerifyError(f"{place} has a bound without its delta, or a delta without its bound")


def _verify_exit(graph: QuantGraph, leave: QExit) -> None:
    logits = graph.tensors[leave.logits].nbytes
    if logits != graph.classes:
        raise VerifyError(
            f"{graph.name}: {leave.name} answers with {logits} logits, the final exit with {graph.classes}"
        )
    if leave.rule is not None and graph.tensors[leave.rule.tensor].nbytes != 1:
        raise VerifyError(f"{graph.name}: the confidence of {leave.name} is not one code")


def _verify_node(graph: QuantGraph, node: QNode, known: Mapping[str, Shape]) -> None:
    if missing := [t for t in node.inputs if t not in known]:
        raise VerifyError(f"{node.name}: reads {missing[0]}, which no earlier node makes")
    if node.output in known or node.output not in graph.tensors:
        raise VerifyError(f"{node.name}: writes {node.output}, which exists already or is not declared")
    shape = node.op.output_shape([known[t] for t in node.inputs])
    if shape != graph.tensors[node.output].shape:
        raise VerifyError(f"{node.name}: makes {shape}, declared {graph.tensors[node.output].shape}")
    for role, array in node.op.constants.items():
        if array.flags.writeable:
            raise VerifyError(f"{node.name}: {role} can be written")
