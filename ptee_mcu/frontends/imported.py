"""What a model file holds, whatever its format."""

from dataclasses import dataclass

from ptee_mcu.graph import Graph
from ptee_mcu.quant_graph import QuantGraph


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """A float graph, or the exact integer network of an int8 file: one of the two.

    `notes` say what of the file is not in the network: a softmax at the end, conversions at its borders.
    """

    graph: Graph | None = None
    quantized: QuantGraph | None = None
    notes: tuple[str, ...] = ()
