"""The int8 network without early exits that no operating point uses, and what the others said."""

from ptee_mcu.config import Config
from ptee_mcu.exits.outcomes import make_outcomes
from ptee_mcu.exits.subset import idle_exits, without_idle_exits
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.report.console import Console
from ptee_mcu.stages.choosing import Said


def pruned(
    config: Config, graph: QuantGraph, said: dict[str, Said], console: Console
) -> tuple[QuantGraph, dict[str, Said]]:
    """`graph` and `said` without the exits that fire at no operating point, where a search placed them.

    Exits that the config names stay: an application may give them thresholds of its own.
    """
    idle = idle_exits(graph)
    if config.exits is None or config.exits.placement != "search" or not idle:
        return graph, said
    places = ", ".join(str(leave.tap) for leave in graph.exits if leave.name in idle)
    console.say(f"left out, as no operating point can use it: the exit behind {places}")
    kept = [i for i, leave in enumerate(graph.exits) if leave.name not in idle]
    return without_idle_exits(graph), {name: _of_exits(each, kept) for name, each in said.items()}


def _of_exits(said: Said, kept: list[int]) -> Said:
    early = kept[:-1]
    whole = said.outcomes
    outcomes = make_outcomes(whole.split, whole.labels[kept], whole.confidences[early])
    return Said(outcomes, tuple(said.scores[i] for i in early))
