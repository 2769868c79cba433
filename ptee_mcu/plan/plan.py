"""The plan: exit segments in order, arena addresses, costs; and its verifier."""

from collections.abc import Mapping
from dataclasses import dataclass

from ptee_mcu.errors import VerifyError
from ptee_mcu.ops.base import Counts
from ptee_mcu.plan.overlap import distances
from ptee_mcu.plan.placement import Placement, Stage, constants, verify_placements
from ptee_mcu.plan.settings import STACK_BYTES
from ptee_mcu.quant_graph import QNode, QuantGraph
from ptee_mcu.target import Target

ARENA_ALIGN = 16  # what the caller must align the arena to; slots inside are aligned to SLOT_ALIGN
SLOT_ALIGN = 4  # CMSIS-NN 4.0.0 reads int16 and int32 scratch


@dataclass(frozen=True, slots=True)
class Slot:
    """Arena bytes [offset, offset + nbytes) held during steps first..last, both included."""

    offset: int
    nbytes: int
    first: int
    last: int

    @property
    def end(self) -> int:
        """One past the last byte."""
        return self.offset + self.nbytes

    def overlaps(self, other: "Slot") -> bool:
        """True where both hold a byte at the same step."""
        in_time = self.first <= other.last and other.first <= self.last
        return in_time and self.offset < other.end and other.offset < self.end


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node at its place in the order of execution; the scratch slot is named `scratch:<node>` in the arena."""

    index: int
    segment: int
    node: QNode
    counts: Counts

    @property
    def scratch(self) -> str:
        """Name of the step's scratch slot."""
        return f"scratch:{self.node.name}"

    @property
    def tensors(self) -> tuple[str, ...]:
        """Slots it touches: inputs, output, scratch."""
        scratch = (self.scratch,) if self.counts.scratch_bytes else ()
        return (*self.node.inputs, self.node.output, *scratch)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Where everything lies and what it costs.

    `arena` maps every tensor, and `scratch:<node>` for every step that needs scratch, to its slot.
    `arena_bytes` is what the caller must provide, in `arena_region`; `lower_bound_bytes` what no arena for this order
    of execution can beat. `placements` maps every constant (node:role) to its place; `stage` is what the caller must
    provide for those that are staged, None where none is.
    """

    graph: QuantGraph
    target: Target
    steps: tuple[Step, ...]
    arena: Mapping[str, Slot]
    arena_bytes: int
    lower_bound_bytes: int
    arena_region: str
    placements: Mapping[str, Placement]
    stage: Stage | None = None
    stack_bytes: int = STACK_BYTES  # what the linker script keeps for the stack, in the main RAM

    def segment_steps(self, segment: int) -> tuple[Step, ...]:
        """Steps of one exit segment."""
        return tuple(step for step in self.steps if step.segment == segment)

    @property
    def arena_optimal(self) -> bool:
        """True where it is proven that no arena for this order of execution is smaller."""
        return self.arena_bytes == self.lower_bound_bytes

    @property
    def stage_bytes(self) -> int:
        """Bytes of the stage; 0 where nothing is staged."""
        return self.stage.nbytes if self.stage else 0

    @property
    def weight_bytes(self) -> int:
        """Bytes of constants in read-only memory."""
        return sum(array.nbytes for node in self.graph.nodes for array in node.op.constants.values())


def verify_plan(plan: Plan) -> None:
    """Holds every Plan to its contract: no two live slots share a byte, all lie in the arena, lifetimes cover uses.

    The exception: an output may lie over an input that nothing reads after its node, at the distance the node's kernel
    permits.

    Raises:
        VerifyError: naming the slots that break it.
    """
    _verify_slots(plan)
    verify_placements(constants(plan.graph), plan.placements, plan.stage, plan.target)
    for tensor, qtensor in plan.graph.tensors.items():
        if plan.arena[tensor].nbytes < qtensor.nbytes:
            raise VerifyError(f"{tensor}: slot of {plan.arena[tensor].nbytes} B for {qtensor.nbytes} B")
    for step in plan.steps:
        for name in step.tensors:
            if not plan.arena[name].first <= step.index <= plan.arena[name].last:
                raise VerifyError(f"{name}: not alive at step {step.index} ({step.node.name}), which uses it")
        if step.counts.scratch_bytes and plan.arena[step.scratch].nbytes < step.counts.scratch_bytes:
            raise VerifyError(f"{step.node.name}: scratch slot is smaller than {step.counts.scratch_bytes} B")
    ends = {step.segment: step.index for step in plan.steps}
    for i, leave in enumerate(plan.graph.exits):
        for name in leave.tensors:
            if plan.arena[name].last < ends[i]:
                raise VerifyError(f"{name}: overwritten before exit {leave.name} is read")


def _verify_slots(plan: Plan) -> None:
    permitted = _permitted(plan)
    slots = list(plan.arena.items())
    for i, (name, slot) in enumerate(slots):
        if slot.offset < 0 or slot.end > plan.arena_bytes or slot.offset % SLOT_ALIGN:
            raise VerifyError(f"{name}: bytes {slot.offset}..{slot.end} in an arena of {plan.arena_bytes}")
        for other_name, other in slots[:i]:
            if not slot.overlaps(other):
                continue
            pair = (name, other_name) if (name, other_name) in permitted else (other_name, name)
            if pair not in permitted:
                raise VerifyError(f"{name} and {other_name} are alive together and share arena bytes")
            (output, source), least = pair, permitted[pair]
            before = plan.arena[source].offset - plan.arena[output].offset
            if before < least:
                raise VerifyError(
                    f"{output}: lies over {source} and starts {before} B before it; its kernel needs {least} B"
                )


def _permitted(plan: Plan) -> dict[tuple[str, str], int]:
    """(output, input) that may share bytes at the step of both, and by how many the output must start before."""
    return {
        (step.node.output, tensor): distance
        for step in plan.steps
        for tensor, distance in distances(plan.graph, step.node, plan.target.isa).items()
        if plan.arena[step.node.output].first == step.index == plan.arena[tensor].last
    }
