"""Where exits attach: taps of a network by one of EENet's rules or by name."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType

from ptee_mcu.errors import ConfigError, ModelError
from ptee_mcu.graph import Graph, Tap, needed

_GOLDEN_RATIO = 1.6180339887  # with the digits of the reference code

# Share of the network's FLOPs at which exit `i` of `n` is due.
RULES: Mapping[str, Callable[[int, int], float]] = MappingProxyType(
    {
        "pareto": lambda i, _: 1.0 - 0.8 ** (i + 1),
        "fine": lambda i, _: 1.0 - 0.95 ** (i + 1),
        "linear": lambda i, n: (i + 1) / (n + 1),
        "golden": lambda i, n: _GOLDEN_RATIO ** (i - n),
    }
)


def place(graph: Graph, rule: str, count: int) -> tuple[Tap, ...]:
    """The taps where `rule`, one of RULES, places `count` exits.

    Taps are scanned in order; each takes the next exit once the FLOPs of the trunk so far, without branches, reach the
    share of the whole network's that the rule sets for that exit. One tap holds one exit at most, so exits whose shares
    lie close together slip to the next taps.

    Raises:
        ConfigError: where there is no such rule, `count` is not positive or the network has no room for so many.

    Source: the distributions of EENet, Demir and Akbas, arXiv 2409.05336, as its reference code computes them.
    """
    if rule not in RULES:
        raise ConfigError(f"no rule for placing exits is called {rule!r}", hint=f"known rules: {', '.join(RULES)}")
    if count < 1:
        raise ConfigError(f"{count} exits were asked for, at least 1 is needed")
    whole = trunk_flops(graph, graph.exits[-1].tensors)
    placed: list[Tap] = []
    for tap in in_order(graph, graph.taps):
        if len(placed) == count:
            break
        if trunk_flops(graph, (tap.tensor,)) >= whole * RULES[rule](len(placed), count):
            placed.append(tap)
    if len(placed) < count:
        name, blocks = rule.capitalize(), len(graph.taps)
        raise ConfigError(
            f"{graph.name}: {count} exits do not fit: {name} finds {len(placed)} places among {blocks} blocks",
            hint="ask for fewer exits, or place them by name" if placed else _no_taps_hint(graph),
        )
    return tuple(placed)


def fine(graph: Graph, count: int) -> tuple[Tap, ...]:
    """The taps where Fine places `count` exits: early ones, at 5 %, 9.75 %, 14.26 %, ... of the network's FLOPs.

    Raises:
        ConfigError: where `count` is not positive or the network has no room for so many.
    """
    return place(graph, "fine", count)


def by_name(graph: Graph, names: Sequence[str]) -> tuple[Tap, ...]:
    """The taps called `names`, in order of execution.

    Raises:
        ConfigError: where there is no such tap, with the nearest name, or one is named twice or none at all.
    """
    known = {tap.name: tap for tap in graph.taps}
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? " if near else ""
            hint += f"blocks: {', '.join(known)}" if known else _no_taps_hint(graph)
            raise ConfigError(f"{graph.name}: has no block {name!r} to attach an exit to", hint=hint)
        if names.count(name) > 1:
            raise ConfigError(f"{graph.name}: block {name!r} is named {names.count(name)} times, one exit fits there")
    if not names:
        raise ConfigError(f"{graph.name}: no block is named for an exit", hint=f"blocks: {', '.join(known)}")
    return in_order(graph, [known[name] for name in names])


def in_order(graph: Graph, taps: Sequence[Tap]) -> tuple[Tap, ...]:
    """`taps` by order of execution.

    Raises:
        ModelError: naming a tap whose tensor no node makes.
    """
    position = {node.output: i for i, node in enumerate(graph.nodes)}
    for tap in taps:
        if tap.tensor not in position:
            raise ModelError(f"{graph.name}: tap {tap.name} names {tap.tensor}, which no node makes")
    return tuple(sorted(taps, key=lambda tap: position[tap.tensor]))


def trunk_flops(graph: Graph, tensors: Sequence[str]) -> int:
    """FLOPs, as EENet counts them, of all nodes that `tensors` need."""
    return sum(node.op.flops(graph.input_shapes(node), node.params) for node in needed(graph.nodes, tensors))


def _no_taps_hint(graph: Graph) -> str:
    return "the network has no blocks: exits need a place between its layers" if not graph.taps else "use fewer exits"
