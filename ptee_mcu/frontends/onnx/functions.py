"""Model-local functions, which torch's new exporter writes, inlined; their expansion is bounded before."""

from collections.abc import Mapping

import onnx
import onnx.inliner

from ptee_mcu.errors import ModelError

_Key = tuple[str, str]


def inlined(proto: onnx.ModelProto, most_nodes: int) -> onnx.ModelProto:
    """`proto` without functions of its own.

    Raises:
        ModelError: where functions call each other in a circle, or more than `most_nodes` nodes would result.
    """
    if not proto.functions:
        return proto
    functions = {(function.domain, function.name): function for function in proto.functions}
    sizes: dict[_Key, int] = {}
    total = sum(_expanded(_key(node), functions, sizes, ()) for node in proto.graph.node)
    if total > most_nodes:
        raise ModelError(f"{proto.graph.name}: {total} nodes once its functions are inlined; the limit is {most_nodes}")
    try:
        flat: onnx.ModelProto = onnx.inliner.inline_local_functions(proto)
    except Exception as error:  # the inliner is C++ and raises what its parts raise
        raise ModelError(f"{proto.graph.name}: its functions cannot be inlined: {error}") from error
    return flat


def _key(node: onnx.NodeProto) -> _Key:
    return node.domain, node.op_type


def _expanded(
    key: _Key, functions: Mapping[_Key, onnx.FunctionProto], sizes: dict[_Key, int], callers: tuple[_Key, ...]
) -> int:
    """How many nodes a call of `key` becomes."""
    if key not in functions:
        return 1
    if key in callers or len(callers) > 100:
        raise ModelError(f"function {key[1]}: calls itself, or is nested more than 100 deep")
    if key not in sizes:
        inner = functions[key].node
        sizes[key] = sum(_expanded(_key(node), functions, sizes, (*callers, key)) for node in inner)
    return sizes[key]
