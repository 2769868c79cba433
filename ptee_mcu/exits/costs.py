"""What leaving at each exit costs: honestly, with every head on the way charged, and as EENet and PTEEnet count it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from ptee_mcu.errors import ModelError
from ptee_mcu.graph import Graph, N, NodeLike, needed, segments
from ptee_mcu.quant_graph import QNode, QuantGraph


@dataclass(frozen=True, slots=True)
class PlaceCosts:
    """Costs by place, in one unit: of the trunk up to each exit, the final one included, and of each early head."""

    trunk: tuple[float, ...]
    heads: tuple[float, ...]

    def __post_init__(self) -> None:
        """Holds the costs to their contract.

        Raises:
            ModelError: where counts or signs do not fit, or the trunk costs nothing.
        """
        if len(self.trunk) != len(self.heads) + 1:
            raise ModelError(f"{len(self.trunk)} trunk costs and {len(self.heads)} head costs; one head less is needed")
        if any(a > b for a, b in pairwise(self.trunk)) or min((*self.heads, *self.trunk)) < 0.0:
            raise ModelError(f"trunk costs {self.trunk} must not fall, nor head costs {self.heads} be negative")
        if not self.trunk[-1]:
            raise ModelError("the backbone costs nothing: there is nothing to save")

    @property
    def honest(self) -> tuple[float, ...]:
        """Cost of leaving at each exit, all heads on the way charged, over that of the bare backbone."""
        heads = tuple(accumulate(self.heads, initial=0.0))
        return tuple((t + h) / self.trunk[-1] for t, h in zip(self.trunk, (*heads[1:], heads[-1]), strict=True))

    @property
    def nominal(self) -> tuple[float, ...]:
        """Cost of leaving at each exit, its own head alone charged, over that of the bare backbone; the last is 1.

        The heads that were evaluated and passed by are missing, which understates every exit but the first.

        Source: Demir and Akbas, arXiv 2409.05336; Lahiany and Aperstein, arXiv 2501.02508; and their reference code.
        """
        return tuple((t + h) / self.trunk[-1] for t, h in zip(self.trunk, (*self.heads, 0.0), strict=True))


def exit_costs(graph: Graph) -> tuple[float, ...]:
    """MACs of leaving at each exit over those of the bare backbone: the trunk so far and all heads up to there.

    The last is above 1 by what the heads cost; `nominal_costs`, the papers' own, leave that out.

    Raises:
        ModelError: where the backbone has no MACs.
    """
    macs = {node.name: node.op.macs(graph.input_shapes(node), node.params) for node in graph.nodes}
    return _by_place(graph, macs).honest


def nominal_costs(graph: Graph) -> tuple[float, ...]:
    """The papers' cost of each exit, in FLOPs as EENet counts them: the trunk up to it and its own head alone.

    For comparison with published figures only: see PlaceCosts.nominal.

    Raises:
        ModelError: where the backbone has no FLOPs.
    """
    return flop_costs(graph).nominal


def flop_costs(graph: Graph) -> PlaceCosts:
    """FLOPs, as EENet counts them, of the trunk up to each exit and of each head.

    Raises:
        ModelError: where the backbone has no FLOPs.
    """
    flops = {node.name: node.op.flops(graph.input_shapes(node), node.params) for node in graph.nodes}
    return _by_place(graph, flops)


def nominal_exit_costs(graph: QuantGraph) -> tuple[float, ...]:
    """As `nominal_costs`, in MACs of the int8 network.

    Raises:
        ModelError: where the backbone has no MACs.
    """
    return place_costs(graph).nominal


def place_costs(graph: QuantGraph, price: Callable[[Sequence[QNode]], float] | None = None) -> PlaceCosts:
    """Cost of the trunk up to each exit of the int8 network and of each head, for the search of exits.

    Args:
        graph: an int8 network with a head at every candidate place.
        price: of executing some nodes once, such as cycles with the weights in flash; their MACs where None.

    Raises:
        ModelError: where the backbone costs nothing.
    """
    return _priced(graph.name, graph.nodes, [e.tensors for e in graph.exits], price or graph.macs)


def _by_place(graph: Graph, counts: Mapping[str, int]) -> PlaceCosts:
    def price(nodes: Sequence[NodeLike]) -> float:
        return sum(counts[node.name] for node in nodes)

    return _priced(graph.name, graph.nodes, [e.tensors for e in graph.exits], price)


def _priced(
    name: str, nodes: Sequence[N], exits: Sequence[tuple[str, ...]], price: Callable[[Sequence[N]], float]
) -> PlaceCosts:
    """A head is what its exit needs and neither the backbone nor an earlier exit does."""
    backbone = {node.name for node in needed(nodes, exits[-1])}
    parts = segments(nodes, exits)
    trunk = accumulate(float(price([node for node in part if node.name in backbone])) for part in parts)
    heads = (float(price([node for node in part if node.name not in backbone])) for part in parts[:-1])
    costs = tuple(trunk)
    if not costs[-1]:
        raise ModelError(f"{name}: its backbone has no multiply-accumulates to save")
    return PlaceCosts(costs, tuple(heads))
