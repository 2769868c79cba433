"""What may share bytes while both are alive: the output of a node and the inputs that nothing reads after it."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ptee_mcu.isa import Isa
from ptee_mcu.quant_graph import QNode, QuantGraph

Overlaps = Mapping[tuple[str, str], int]  # (output, input): bytes by which the output must at least start before
NONE: Overlaps = MappingProxyType({})


def distances(graph: QuantGraph, node: QNode, isa: Isa) -> dict[str, int]:
    """The inputs that the output of `node` may overlap, and by how many bytes it must then start before them.

    Holds for the kernels of `isa` and the portable ones alike, since a host runs the same plan.
    """
    inputs, output = [graph.tensors[name] for name in node.inputs], graph.tensors[node.output]
    found: dict[str, int] = {}
    refused: set[str] = set()
    for kernels in {isa, Isa.SCALAR}:
        for name, distance in zip(node.inputs, node.op.overlap(inputs, output, kernels), strict=True):
            if distance is None:
                refused.add(name)
            else:
                found[name] = max(distance, found.get(name, 0))
    return {name: distance for name, distance in found.items() if name not in refused}


def shared_bytes(output: int, inputs: Iterable[tuple[int, int]]) -> int:
    """The most bytes that an output of `output` bytes can share with its inputs, which lie apart from one another.

    Args:
        output: bytes of the output.
        inputs: per input that it may overlap, its bytes and by how many the output must start before it.
    """
    return min(output, sum(max(0, min(nbytes, output - distance)) for nbytes, distance in inputs))
