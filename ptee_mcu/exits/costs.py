"""What leaving at each exit costs, every head on the way charged."""

from ptee_mcu.errors import ModelError
from ptee_mcu.graph import Graph, needed, segments


def exit_costs(graph: Graph) -> tuple[float, ...]:
    """MACs of leaving at each exit over those of the bare backbone: the trunk so far and all heads up to there.

    The last is above 1 by what the heads cost. PTEEnet's own costs charge the last head alone and call the last 1,
    which understates them.

    Raises:
        ModelError: where the backbone has no MACs.
    """
    macs = {node.name: node.op.macs(graph.input_shapes(node), node.params) for node in graph.nodes}
    bare = sum(macs[node.name] for node in needed(graph.nodes, graph.exits[-1].tensors))
    if not bare:
        raise ModelError(f"{graph.name}: its backbone has no multiply-accumulates to save")
    costs = []
    spent = 0
    for segment in segments(graph.nodes, [e.tensors for e in graph.exits]):
        spent += sum(macs[node.name] for node in segment)
        costs.append(spent / bare)
    return tuple(costs)
