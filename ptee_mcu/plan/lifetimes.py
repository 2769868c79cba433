"""When each tensor and each scratch buffer is needed, and which may share bytes."""

from collections.abc import Mapping, Sequence

from ptee_mcu.errors import VerifyError
from ptee_mcu.isa import Isa
from ptee_mcu.plan.buffers import Lifetime
from ptee_mcu.plan.overlap import Overlaps, distances
from ptee_mcu.plan.plan import Step
from ptee_mcu.quant_graph import QuantGraph


def tensor_lifetimes(graph: QuantGraph, steps: Sequence[Step]) -> dict[str, Lifetime]:
    """From the step that makes a tensor (the input: step 0) to its last use; what an exit reads, to its segment's end.

    A result is read after its segment has run and before the next one starts, so the end of the segment is enough.

    Raises:
        VerifyError: where an exit adds no node.
    """
    first = {graph.input: 0} | {step.node.output: step.index for step in steps}
    last = dict(first)
    ends = {step.segment: step.index for step in steps}
    for step in steps:
        for tensor in step.node.inputs:
            last[tensor] = max(last[tensor], step.index)
    for i, leave in enumerate(graph.exits):
        if i not in ends:
            raise VerifyError(f"{graph.name}: exit {leave.name} adds no node to the exits before it")
        for tensor in leave.tensors:
            last[tensor] = max(last[tensor], ends[i])
    tensors = {name: Lifetime(graph.tensors[name].nbytes, first[name], last[name]) for name in first}
    scratch = {
        step.scratch: Lifetime(step.counts.scratch_bytes, step.index, step.index)
        for step in steps
        if step.counts.scratch_bytes
    }
    return tensors | scratch


def tensor_overlaps(graph: QuantGraph, steps: Sequence[Step], lifetimes: Mapping[str, Lifetime], isa: Isa) -> Overlaps:
    """Every output with the inputs it may be written over: those whose last reader makes it."""
    return {
        (step.node.output, tensor): distance
        for step in steps
        for tensor, distance in distances(graph, step.node, isa).items()
        if lifetimes[tensor].last == step.index
    }
