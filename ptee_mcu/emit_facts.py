"""What the manifest says of a library besides hashes."""

import re
from collections.abc import Mapping
from math import ceil

from ptee_mcu import __version__
from ptee_mcu.emit_linker import needed_bytes
from ptee_mcu.emit_view import View
from ptee_mcu.firmware.cmsis_nn import SourceSet
from ptee_mcu.plan.placement import constants
from ptee_mcu.plan.plan import Plan
from ptee_mcu.plan.plan_cost import full_cycles
from ptee_mcu.quant_graph import CONTRACT, OperatingPoint, QuantGraph
from ptee_mcu.tensor import Quant

CMSIS_NN_FOLDER = "cmsis_nn"
_REVISION = re.compile(rb"[Rr]evision:?\s*`?([0-9a-f]{40})")


def facts(plan: Plan, view: View, name: str, cmsis_nn: SourceSet) -> dict[str, object]:
    """Exits, operating points, memory, constants and ops of `plan`, for json.dumps."""
    graph = plan.graph
    return {
        "name": name,
        "contract": CONTRACT,
        "ptee_mcu": __version__,
        "target": plan.target.name,
        "cmsis_nn": _library_facts(cmsis_nn),
        "input": {"shape": list(graph.input_tensor.shape), "pixels": graph.preprocess is not None}
        | _quant_facts(graph.input_tensor.quant),
        "classes": graph.classes,
        "default_point": graph.point.name,
        "points": [_point_facts(graph, point) for point in graph.points],
        "exits": _exit_facts(plan, view),
        "memory": {
            "arena_bytes": plan.arena_bytes,
            "arena_lower_bound_bytes": plan.lower_bound_bytes,
            "arena_region": plan.arena_region,
            "stage_bytes": plan.stage_bytes,
            "stage_region": plan.stage.region if plan.stage else None,
            "constant_bytes": sum(array.values.nbytes for array in view.arrays),
            "weight_bytes": plan.weight_bytes,
        },
        "regions": _region_facts(plan),
        "constants": _constant_facts(plan),
        "ops": [
            {
                "index": step.index,
                "name": step.node.name,
                "kind": step.node.op.template,
                "segment": step.segment,
                "macs": step.counts.macs,
                "output": step.node.output,
                "output_bytes": graph.tensors[step.node.output].nbytes,
                "output_offset": plan.arena[step.node.output].offset,
            }
            for step in plan.steps
        ],
    }


def _region_facts(plan: Plan) -> dict[str, object]:
    """The board's memories, and how much of each arena, stage and constants take."""
    used = needed_bytes(plan)
    return {
        region.name: {"kind": region.kind, "base": region.base, "bytes": region.nbytes, "used_bytes": used[region.name]}
        for region in plan.target.regions
    }


def _constant_facts(plan: Plan) -> dict[str, object]:
    """Where every constant lies; `offset` is that in the stage."""
    return {
        constant.name: {
            "bytes": constant.nbytes,
            "how": plan.placements[constant.name].how.name.lower(),
            "region": plan.placements[constant.name].region,
            "load_region": plan.placements[constant.name].load_region,
            "offset": plan.placements[constant.name].offset,
        }
        for constant in constants(plan.graph)
    }


def _library_facts(cmsis_nn: SourceSet) -> Mapping[str, object]:
    records = {path: content for path, content in cmsis_nn.files.items() if "PROVENANCE" in path}
    revisions = [match.group(1).decode() for content in records.values() if (match := _REVISION.search(content))]
    return {
        "release": cmsis_nn.release,
        "revision": revisions[0] if revisions else None,
        "provenance": [f"{CMSIS_NN_FOLDER}/{path}" for path in sorted(records)],
    }


def _worst_cycles(plan: Plan) -> tuple[int | None, ...]:
    """Cycles of leaving at each exit, every head on the way evaluated; None where no rates of the core are known."""
    cycles = full_cycles(plan)
    return (None,) * len(plan.graph.exits) if cycles is None else tuple(map(ceil, cycles))


def _exit_facts(plan: Plan, view: View) -> list[dict[str, object]]:
    graph = plan.graph
    segment_macs, exit_macs, worst_cycles = graph.segment_macs(), graph.exit_macs(), _worst_cycles(plan)
    return [
        {
            "name": leave.name,
            "tap": leave.tap,
            "segment_macs": segment_macs[i],
            "worst_cycles": worst_cycles[i],
            "cumulative_macs": exit_macs[i],
            "logits": {"tensor": leave.logits, **_quant_facts(seen.logits_quant)},
            "confidence": {"tensor": leave.rule.tensor, **_quant_facts(seen.confidence_quant)}
            if leave.rule and seen.confidence_quant
            else None,
            "thresholds": {point.name: point.thresholds[i] for point in graph.points} if leave.rule else None,
        }
        for i, (leave, seen) in enumerate(zip(graph.exits, view.exits, strict=True))
    ]


def _point_facts(graph: QuantGraph, point: OperatingPoint) -> dict[str, object]:
    return {
        "name": point.name,
        "thresholds": list(point.thresholds),
        "reach": None if point.reach is None else list(point.reach),
        "asked": point.asked,
        "measured": point.measured,
        "cumulative_macs": list(graph.exit_macs(point)),
    }


def _quant_facts(quant: Quant) -> dict[str, object]:
    return {"scale": float(quant.scale), "zero_point": quant.zero_point}
