"""The int8 network: quantized, its exits selected, its operating points chosen through the simulator."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from ptee_mcu.calibrate import calibrate
from ptee_mcu.config import Config
from ptee_mcu.cycles.kernels import has_rates
from ptee_mcu.data import Split, Splits
from ptee_mcu.exits.asks import Ask, Quantity
from ptee_mcu.exits.certify import operating_points
from ptee_mcu.exits.costs import place_costs
from ptee_mcu.exits.outcomes import Outcomes, make_outcomes
from ptee_mcu.exits.reliability import ExitScores, dequantized
from ptee_mcu.exits.select import JointSelection, select_for
from ptee_mcu.exits.subset import without_exits
from ptee_mcu.exits.thresholds import choose
from ptee_mcu.graph import Graph
from ptee_mcu.integer_graph import integer_part
from ptee_mcu.passes.dead_channels import remove_dead_channels
from ptee_mcu.passes.equalize import equalize
from ptee_mcu.passes.fold import fold
from ptee_mcu.plan.plan_cost import flash_cycles
from ptee_mcu.quant_graph import OperatingPoint, QNode, QuantGraph
from ptee_mcu.quantize import quantize
from ptee_mcu.report.console import Console
from ptee_mcu.sim import evaluate
from ptee_mcu.stages.inputs import codes_of, normalisation, real_inputs
from ptee_mcu.target import Target

_SEARCHED = (0.01, 0.03, 0.1)  # limits on disagreement that exits are selected for where none is asked


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What every exit of the int8 network said on one split: labels and codes, and as probabilities."""

    outcomes: Outcomes
    scores: tuple[ExitScores, ...]


def folded(config: Config, graph: Graph) -> Graph:
    """`graph` as it is quantized."""
    graph = fold(graph)
    return equalize(graph) if config.quantize.equalize else graph


def calibrated_and_quantized(config: Config, graph: Graph, splits: Splits, console: Console) -> QuantGraph:
    """The int8 network, without channels that are constant or that nothing reads; `graph` is folded."""
    settings, split = config.quantize, splits.calibration
    with console.progress(f"calibrating on {len(split)} images") as advance:
        ranges = calibrate(graph, real_inputs(config, split.x), observer=settings.observer, progress=advance)
    norm = normalisation(config, split.x)
    quant_graph = quantize(
        graph, ranges,
        preprocess=norm, bias_correction=settings.bias_correction, backbone=integer_part(graph),
    )  # fmt: skip
    smaller, removed = remove_dead_channels(quant_graph)
    if removed.layers:
        console.say("\n".join(removed.describe()))
    return smaller


def selected(config: Config, graph: Graph, splits: Splits, target: Target, console: Console) -> Graph:
    """`graph` with those of its exits that are worth their cost in int8, where the config wants a search.

    They are weighed by cycles on the board with all weights in flash, or by multiply-accumulates where the config says
    so or no rates of the board's core are known.
    """
    if config.exits is None or config.exits.placement != "search":
        return graph
    quant_graph = calibrated_and_quantized(config, folded(config, graph), splits, console)
    said = evaluated(quant_graph, [splits.threshold_a], console)[splits.threshold_a.name]
    limits = tuple(dict.fromkeys(_limits(config.exits.asks)))
    costs = place_costs(quant_graph, _price(config, quant_graph, target))
    asked = config.exits
    with console.progress("selecting exits") as advance:
        found = select_for(said.outcomes, costs, limits, most_exits=asked.count, tolerance=asked.tolerance)
        advance(1, 1)
    keep = [graph.exits[i].name for i in found.exits]
    console.say(_found(graph, found, costs.trunk[-1]))
    return without_exits(graph, keep)


def evaluated(graph: QuantGraph, parts: Sequence[Split], console: Console) -> dict[str, Said]:
    """What every exit says on each of the splits, by their names."""
    total = sum(map(len, parts))
    said = {}
    with console.progress(f"simulating {total:,} images") as advance:
        before = 0
        for split in parts:
            said[split.name] = _said(graph, split, _shifted(advance, before, total))
            before += len(split)
    return said


def with_points(config: Config, graph: QuantGraph, splits: Splits, said: dict[str, Said], target: Target) -> QuantGraph:
    """`graph` with the operating points that the config asks for, certified on split B."""
    if config.exits is None or len(graph.exits) == 1:
        return graph
    asks = config.exits.asks
    a, b = (said[split.name].outcomes for split in (splits.threshold_a, splits.threshold_b))
    costs = graph.exit_costs()
    if not config.exits.certify:
        chosen = (choose(a, b, costs, max_disagreement=ask.limit, name=ask.name) for ask in asks)
        return replace(graph, points=tuple(chosen), default=0)
    cycles = None
    if any(ask.quantity is Quantity.MEAN_CYCLES for ask in asks):
        cycles = exit_cycles(graph, target)

    def costs_at(vector: tuple[int, ...]) -> tuple[float, ...]:
        return graph.exit_costs(OperatingPoint("tried", vector))

    points = operating_points(a, b, costs, asks, delta=config.exits.delta, cycles=cycles, costs_at=costs_at)
    return replace(graph, points=points, default=0)


def exit_cycles(graph: QuantGraph, target: Target) -> tuple[float, ...]:
    """Cycles of leaving at each exit with all weights in flash, all heads on the way charged.

    Weights are placed afterwards, for the reach that follows from the thresholds: that can only make it less.

    Raises:
        ConfigError: where no rates of the board's core are known.
    """
    cycles = flash_cycles(graph, target)
    return tuple(accumulate(sum(cycles[node.name] for node in part) for part in graph.segments()))


def _price(config: Config, graph: QuantGraph, target: Target) -> Callable[[Sequence[QNode]], float] | None:
    """What executing some nodes costs a search; None: their multiply-accumulates."""
    if config.exits is None or config.exits.price == "macs" or not has_rates(target.cpu):
        return None
    cycles = flash_cycles(graph, target)
    return lambda nodes: sum(cycles[node.name] for node in nodes)


def _said(graph: QuantGraph, split: Split, progress: Callable[[int], None]) -> Said:
    run = evaluate(graph, codes_of(graph, split.x), full=True, progress=progress)
    assert run.labels is not None
    assert run.confidences is not None
    assert run.exit_logits is not None
    scores = dequantized(graph, run.exit_logits, run.confidences)
    return Said(make_outcomes(split, run.labels, run.confidences), scores)


def _limits(asks: Sequence[Ask]) -> tuple[float, ...]:
    """Limits on disagreement that stand for what is asked; accuracy falls by about half of the disagreement."""
    shares = [a.limit if a.quantity is Quantity.DISAGREEMENT else min(2 * a.limit, 1.0) for a in asks if not _priced(a)]
    return tuple(shares) or _SEARCHED


def _priced(ask: Ask) -> bool:
    return ask.quantity in (Quantity.MEAN_COST, Quantity.MEAN_CYCLES)


def _found(graph: Graph, found: JointSelection, backbone: float) -> str:
    names = ", ".join(str(graph.exits[i].tap) for i in found.exits)
    if not names:
        return "no exit is worth its cost: the network stays as it is"
    return (
        f"exits behind {names}: mean cost {found.cost / backbone:.3f} of the backbone on the images that selected them "
        f"(no choice of exits and thresholds gives less than {found.lower_bound / backbone:.3f} there)"
    )


def _shifted(advance: Callable[[int, int], None], before: int, total: int) -> Callable[[int], None]:
    return lambda done: advance(before + done, total)
