"""What a step of a plan costs in closed form, wherever its constants lie; what a copy of constants costs."""

from collections import Counter
from collections.abc import Mapping

from ptee_mcu.cycles.kernels import Rates, cycles_of, kernel_of, known_rates, missed_lines
from ptee_mcu.cycles.stalls import activation_stalls, code_stalls, constant_stalls
from ptee_mcu.ops.base import Reads, Work
from ptee_mcu.ops.copies import Runs, copies
from ptee_mcu.plan.cost import Cycles, StepCost
from ptee_mcu.plan.placement import Placement
from ptee_mcu.plan.plan import Step
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.target import Region, Target

_COPY = "ptee_concat"  # the kernel that is nothing but memcpy


def step_cost(
    step: Step, graph: QuantGraph, target: Target, placements: Mapping[str, Placement], arena_region: str
) -> StepCost:
    """One execution of `step`, its constants placed by `placements`, its activations in `arena_region`.

    Raises:
        ConfigError: where there are no rates for the target's core.
    """
    rates, work = known_rates(target.cpu), step_work(step, graph, target)
    arena = target.region(arena_region)
    places = {role: target.region(placements[f"{step.node.name}:{role}"].region) for role in work.traffic.constants}
    bytes_read: Counter[str] = Counter()
    waited = 0.0
    for role, reads in work.traffic.constants.items():
        bytes_read[places[role].name] += reads.nbytes
        waited += constant_cycles(step, work, role, places[role], target, arena)
    traffic = work.traffic
    bytes_read[arena.name] += sum(reads.nbytes for reads in traffic.inputs) + traffic.scratch + traffic.output
    cycles = Cycles(
        compute=cycles_of(work, rates),
        code=_code_cycles(work, rates, target),
        constants=waited,
        activations=activation_cycles(step, work, graph, target, arena),
    )
    return StepCost(cycles, {name: nbytes for name, nbytes in bytes_read.items() if nbytes})


def step_work(step: Step, graph: QuantGraph, target: Target) -> Work:
    """Loops and traffic of one execution of `step`."""
    inputs = [graph.tensors[name] for name in step.node.inputs]
    return step.node.op.work(inputs, graph.tensors[step.node.output], target.isa)


def constant_cycles(step: Step, work: Work, role: str, region: Region, target: Target, arena: Region) -> float:
    """Cycles that one execution of `step` waits for its constant `role` where that lies in `region`.

    The other constants of the step are taken to pass through the same cache, wherever they lie: what a constant costs
    in a region depends on no other choice.
    """
    reads, nbytes = work.traffic.constants[role], step.node.op.constants[role].nbytes
    if region.data_cache is None:
        return constant_stalls(nbytes, reads.nbytes, region, target, working_set=0, width=reads.width)
    working_set = _working_set(reads, region, arena, work, target)
    return constant_stalls(nbytes, reads.passes * nbytes, region, target, working_set=working_set)


def activation_cycles(step: Step, work: Work, graph: QuantGraph, target: Target, arena: Region) -> float:
    """Cycles that one execution of `step` waits for its inputs, output and scratch where those lie in `arena`."""
    if arena.wait_cycles == 0:
        return 0.0
    waited = 0.0
    for name, reads in zip(step.node.inputs, work.traffic.inputs, strict=True):
        nbytes = graph.tensors[name].nbytes
        working_set = _working_set(reads, arena, arena, work, target)
        waited += activation_stalls(nbytes, reads.passes * nbytes, arena, target, working_set=working_set)
    held = (
        (step.counts.scratch_bytes, work.traffic.scratch),
        (graph.tensors[step.node.output].nbytes, work.traffic.output),
    )
    for nbytes, read in held:
        waited += activation_stalls(nbytes, read, arena, target, working_set=nbytes)
    return waited


def copy_cycles(nbytes: int, source: Region, target: Target) -> float:
    """Cycles of memcpy of `nbytes` from `source`, at word boundaries, to memory that does not wait.

    Raises:
        ConfigError: where there are no rates for the target's core.
    """
    cycles = known_rates(target.cpu).kernels[_COPY].cycles
    moved = sum(cycles.get(loop, 0.0) * times for loop, times in copies(Runs(1, nbytes, nbytes, nbytes)).items())
    return moved + constant_stalls(nbytes, nbytes, source, target, working_set=nbytes)


def _code_cycles(work: Work, rates: Rates, target: Target) -> float:
    region = target.code_region
    if region.wait_cycles == 0:
        return 0.0
    kernel, code = kernel_of(work, rates), target.cache(region.instruction_cache)
    lines = missed_lines(work, kernel, code) if code else kernel.code_bytes / region.line_bytes
    return code_stalls(lines, target)


def _working_set(reads: Reads, region: Region, arena: Region, work: Work, target: Target) -> int:
    """Bytes through the data cache of `region` between two passes: constants, activations and code that share it."""
    found = reads.constants
    if arena.data_cache == region.data_cache:
        found += reads.activations
    if target.code_region.instruction_cache == region.data_cache:
        found += kernel_of(work, known_rates(target.cpu)).code_bytes
    return found
