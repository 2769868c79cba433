"""What a self-test checks: inputs of a build with the simulator's answers to them."""

import numpy as np

from ptee_mcu.emit_project import Golden, GoldenCase
from ptee_mcu.errors import DataError
from ptee_mcu.plan.plan import Plan
from ptee_mcu.project import Inputs
from ptee_mcu.quant_graph import ALWAYS, NEVER
from ptee_mcu.sim import evaluate, run

_LOOK_AT = 64  # inputs among which one is looked for that leaves at each exit by itself
_SHARE = 8  # of the memory with the code, one part in so many is for inputs


def golden(plan: Plan, inputs: Inputs) -> Golden:
    """The first input made to leave at every exit, and for every exit the first that leaves there by itself.

    Of those that leave by themselves, as many as fit an eighth of the memory that holds the code.

    Raises:
        DataError: where there are no inputs.
    """
    graph = plan.graph
    x = inputs.head(_LOOK_AT).x
    if not len(x):
        raise DataError(f"{graph.name}: no inputs to test it with", hint="build it on data that has a report part")
    codes = x.view(np.int8) if x.dtype == np.int8 else graph.input_codes(x.view(np.uint8))
    exits = evaluate(graph, codes).exit
    most = max(1, plan.target.code_region.nbytes // _SHARE // graph.input_tensor.nbytes)
    free = list(dict.fromkeys(int(np.argmax(exits == i)) for i in range(len(graph.exits)) if np.any(exits == i)))
    free = free[: max(1, most - 1)]
    cases = [_case(plan, codes, 0, leave) for leave in range(len(graph.exits))]
    cases += [_case(plan, codes, number, None) for number in free]
    return Golden({number: x[number : number + 1] for number in sorted({0, *free})}, tuple(cases))


def _case(plan: Plan, codes: np.ndarray, number: int, leave: int | None) -> GoldenCase:
    early = len(plan.graph.exits) - 1
    thresholds = None if leave is None else [ALWAYS if i == leave else NEVER for i in range(early)]
    found = run(plan, codes[number : number + 1], thresholds=thresholds)
    return GoldenCase(number, leave, found.exit, found.label, found.confidence, found.logits)
