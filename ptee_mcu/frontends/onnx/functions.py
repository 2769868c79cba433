"""Model-local functions, which torch's new exporter writes, inlined; their expansion is bounded before."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx
import onnx.inliner

from ptee_mcu.errors import ModelError

_Key = tuple[str, str, str]
_DEEPEST = 100  # calls within calls


@dataclass(frozen=True, slots=True)
class _Expanded:
    """Nodes and bytes that a node or a function's body becomes; the bytes are at most that many."""

    nodes: int
    nbytes: int


def inlined(proto: onnx.ModelProto, most_nodes: int, most_bytes: int) -> onnx.ModelProto:
    """`proto` without functions of its own.

    Raises:
        ModelError: where functions call each other in a circle, two have one name, or more than `most_nodes` nodes or
            `most_bytes` bytes of nodes would result.
    """
    if not proto.functions:
        return proto
    functions = {_name(function): function for function in proto.functions}
    if len(functions) < len(proto.functions):
        raise ModelError("two functions of the model have one name")
    total = _sum(proto.graph.node, functions, {}, ())
    if total.nodes > most_nodes:
        raise ModelError(f"the model has {total.nodes} nodes once its functions are inlined; the limit is {most_nodes}")
    if total.nbytes > most_bytes:
        raise ModelError(
            f"the model's nodes may take {total.nbytes} B once its functions are inlined; the limit is {most_bytes} B"
        )
    try:
        flat: onnx.ModelProto = onnx.inliner.inline_local_functions(proto)
    except Exception as error:  # the inliner is C++ and raises what its parts raise
        raise ModelError(f"the model's functions cannot be inlined: {error}") from error
    return flat


def _name(function: onnx.FunctionProto) -> _Key:
    return function.domain, function.name, getattr(function, "overload", "")  # overload: since onnx 1.16


def _sum(
    nodes: Iterable[onnx.NodeProto],
    functions: Mapping[_Key, onnx.FunctionProto],
    bodies: dict[_Key, _Expanded],
    callers: tuple[_Key, ...],
) -> _Expanded:
    parts = [_node(node, functions, bodies, callers) for node in nodes]
    return _Expanded(sum(part.nodes for part in parts), sum(part.nbytes for part in parts))


def _node(
    node: onnx.NodeProto,
    functions: Mapping[_Key, onnx.FunctionProto],
    bodies: dict[_Key, _Expanded],
    callers: tuple[_Key, ...],
) -> _Expanded:
    """What `node` becomes, with what the graphs in its attributes do; every node of a body may copy an attribute."""
    within = _sum(_nodes_inside(node), functions, bodies, callers)
    key = (node.domain, node.op_type, getattr(node, "overload", ""))
    body = _body(key, functions, bodies, callers) if key in functions else _Expanded(1, 0)
    return _Expanded(within.nodes + body.nodes, within.nbytes + body.nbytes + node.ByteSize() * max(body.nodes, 1))


def _nodes_inside(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    for attribute in node.attribute:
        yield from attribute.g.node
        for graph in attribute.graphs:
            yield from graph.node


def _body(
    key: _Key,
    functions: Mapping[_Key, onnx.FunctionProto],
    bodies: dict[_Key, _Expanded],
    callers: tuple[_Key, ...],
) -> _Expanded:
    if key in callers or len(callers) > _DEEPEST:
        raise ModelError(f"function {key[1]}: calls itself, or is nested more than {_DEEPEST} deep")
    if key not in bodies:
        function = functions[key]
        inner = _sum(function.node, functions, bodies, (*callers, key))
        defaults = sum(attribute.ByteSize() for attribute in function.attribute_proto)
        bodies[key] = _Expanded(inner.nodes, inner.nbytes + defaults * max(inner.nodes, 1))
    return bodies[key]
