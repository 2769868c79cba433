"""What a program that torch.export saved holds, counted without importing it."""

from pathlib import Path

from torch import fx

from ptee_mcu.frontends.listing import UNKNOWN, Border, Listing, count_ops
from ptee_mcu.frontends.pytorch_ops import CONVERTERS
from ptee_mcu.frontends.pytorch_user import read_pt2


def list_pt2(path: Path) -> Listing:
    """What the file at `path` holds.

    Raises:
        ModelError: where it is damaged.
    """
    program = read_pt2(path)
    inputs = [n for n in program.graph.nodes if n.name in program.graph_signature.user_inputs]
    outputs = [n for n in program.graph.nodes if n.name in program.graph_signature.user_outputs]
    weights = list(program.parameters())
    return Listing(
        tuple(_border(node) for node in inputs),
        tuple(_border(node) for node in outputs),
        count_ops(_op(node) for node in program.graph.nodes if node.op == "call_function"),
        sum(weight.numel() for weight in weights),
        sum(weight.numel() * weight.element_size() for weight in weights),
        None,
    )


def _op(node: fx.Node) -> tuple[str, str]:
    target = str(node.target)
    return target, "" if target in CONVERTERS or target.replace("_.", ".") in CONVERTERS else UNKNOWN


def _border(node: fx.Node) -> Border:
    value = node.meta["val"]
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return Border(node.name, shape, str(value.dtype).removeprefix("torch."))
