"""What a model file holds, whatever its format."""

from dataclasses import dataclass

from ptee_mcu.graph import Graph
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import Quant, Shape


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """A float graph, or the exact integer network of an int8 file: one of the two.

    `notes` say what of the file is not in the network: a softmax at the end, conversions at its borders.
    """

    graph: Graph | None = None
    quantized: QuantGraph | None = None
    notes: tuple[str, ...] = ()


def softmax_note(place: str) -> str:
    """What is said of a softmax at the end, `place`, whatever the format."""
    return f"{place} at the end is left out; the host may apply it to the logits"


def codes_note(place: str, quant: Quant) -> str:
    """What is said of the conversion of a float input, `place`, whatever the format."""
    return f"{place} of the float32 input is left out: inputs are int8 codes, {code_text(quant)}"


def code_text(quant: Quant) -> str:
    """`quant` in words."""
    return f"scale {quant.scale:.7g}, zero point {quant.zero_point}"


def shape_note(given: Shape, taken: Shape) -> str:
    """What is said of an input whose shape in the file, `given`, is not the network's."""
    return f"the input of shape {given} is taken as {taken}: the same numbers in the same order"
