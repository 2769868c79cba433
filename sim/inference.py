"""One inference in one byte arena, every tensor at its planned offset: a planner's fault becomes a wrong answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from ptee_mcu.errors import DataError
from ptee_mcu.plan.overlap import distances
from ptee_mcu.plan.plan import Plan, Step
from ptee_mcu.quant_graph import NEVER
from ptee_mcu.sim.exits import checked_thresholds, labels
from ptee_mcu.sim.kernels import KERNELS
from ptee_mcu.tensor import Int8, readonly

_GARBAGE = 0x5A  # stands for whatever an arena held before


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What one inference did: the exit that fired, its answer, the nodes that ran and what each of them wrote."""

    exit: int
    label: int
    logits: Int8  # (classes,)
    confidence: int  # 0 at the final exit
    executed: tuple[str, ...]  # node names in order
    tensors: Mapping[str, Int8]  # the executed nodes' outputs, batch 1


def run(plan: Plan, x: Int8, *, thresholds: Sequence[int] | None = None) -> Trace:
    """The answer to one input `x`, int8 of the network's input shape with batch 1, as NAME_run finds it.

    What is computed only for an exit whose threshold is 128 is left out, there as here.
    A step's output is overwritten with garbage before it runs, its scratch before and after: what shares their bytes
    is lost, as it could be in C. Only an input that the step's kernel lets its output overlap, at the distance at which
    the two lie, is read before.

    Args:
        plan: the network and its arena.
        x: input codes.
        thresholds: one per exit with a rule, in [-128, 128]; those of the default point where None.

    Raises:
        DataError: where the input is not int8 of that shape.
        ConfigError: where the thresholds do not fit the exits.
    """
    graph = plan.graph
    chosen = checked_thresholds(graph, thresholds)
    if x.dtype != np.int8 or x.shape != graph.input_tensor.shape:
        raise DataError(f"{graph.name}: input is {x.dtype} {x.shape}, int8 {graph.input_tensor.shape} is expected")
    arena = np.full(plan.arena_bytes, _GARBAGE, dtype=np.int8)
    _tensor(plan, arena, graph.input)[...] = x
    skipped = graph.skipped(chosen)
    executed: list[str] = []
    written: dict[str, Int8] = {}
    for i, leave in enumerate(graph.exits):
        for step in plan.segment_steps(i):
            if step.node.name in skipped:
                continue
            _execute(plan, arena, step)
            executed.append(step.node.name)
            written[step.node.output] = readonly(_tensor(plan, arena, step.node.output), np.int8)
        confidence = 0
        if leave.rule is not None:
            if chosen[i] == NEVER:
                continue
            confidence = _tensor(plan, arena, leave.rule.tensor).item()
        if leave.rule is None or confidence >= chosen[i]:
            break
    logits = readonly(_tensor(plan, arena, leave.logits).reshape(1, graph.classes), np.int8)
    return Trace(i, int(labels(logits)[0]), logits[0], confidence, tuple(executed), MappingProxyType(written))


def _execute(plan: Plan, arena: Int8, step: Step) -> None:
    node = step.node
    scratch = [step.scratch] if step.counts.scratch_bytes else []
    early = {name: _tensor(plan, arena, name).copy() for name in _read_in_time(plan, step)}
    _spoil(plan, arena, [node.output, *scratch])
    inputs = [early[name] if name in early else _tensor(plan, arena, name) for name in node.inputs]
    codes = KERNELS[type(node.op)](node.op, inputs, plan.graph.tensors[node.output])
    _tensor(plan, arena, node.output)[...] = codes
    _spoil(plan, arena, scratch)


def _read_in_time(plan: Plan, step: Step) -> list[str]:
    """Inputs before which the output of `step` starts early enough for its kernel never to overwrite what it reads."""
    start = plan.arena[step.node.output].offset
    permitted = distances(plan.graph, step.node, plan.target.isa)
    return [name for name, distance in permitted.items() if start <= plan.arena[name].offset - distance]


def _spoil(plan: Plan, arena: Int8, names: Sequence[str]) -> None:
    for name in names:
        slot = plan.arena[name]
        arena[slot.offset : slot.end] = _GARBAGE


def _tensor(plan: Plan, arena: Int8, name: str) -> Int8:
    """The bytes of a tensor where they lie, in its shape."""
    tensor, offset = plan.graph.tensors[name], plan.arena[name].offset
    return arena[offset : offset + tensor.nbytes].reshape(tensor.shape)
