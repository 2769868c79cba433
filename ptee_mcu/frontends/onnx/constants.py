"""Subgraphs of constants (shape arithmetic, mostly), evaluated by onnx's reference operators within a bound."""

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from ptee_mcu.errors import ModelError, PteeError
from ptee_mcu.frontends.onnx.model import Array, OnnxNode
from ptee_mcu.tensor import readonly

_NOTHING = np.zeros(0, dtype=np.float32)
# Results no larger than all inputs together.
_SAME_SIZE = frozenset(
    {
        "Abs", "Cast", "CastLike", "Ceil", "Concat", "Exp", "Flatten", "Floor", "Identity", "Log", "Neg", "Not",
        "QuantizeLinear", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Relu",
        "Reshape", "Round", "Shape", "Sign", "Size", "Slice", "Split", "Sqrt", "Squeeze", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
_BROADCAST = frozenset(
    {
        "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul",
        "Or", "Pow", "Sub", "Where", "Xor",
    }
)  # fmt: skip
_BY_VALUE = frozenset({"ConstantOfShape", "Expand", "Gather", "Range", "Tile"})
FOLDABLE = _SAME_SIZE | _BROADCAST | _BY_VALUE


def evaluate(
    node: OnnxNode, inputs: Sequence[Array | None], opset: int, spend: Callable[[str, int], None]
) -> tuple[Array, ...]:
    """What `node` makes of constants, by output; an input that is left out is None, an output an empty array.

    Args:
        node: what to compute.
        inputs: what it reads.
        opset: of the model.
        spend: told the node's place and how many elements it may make, before it does; raises where these are too many.

    Raises:
        UnsupportedOpError: where the operator is none of those that fold.
        ModelError: where onnx's reference refuses the node, or it makes text or numbers of an unusual type.
    """
    if node.op_type not in FOLDABLE:
        raise node.refuse(
            "computes with constants only, and is none of the operators that are folded",
            "simplify the model first, with onnxsim or onnxruntime's basic graph optimisations",
        )
    graph = helper.make_graph(
        [node.proto],
        "constants",
        [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(node.inputs) if name],
        [onnx.ValueInfoProto(name=name) for name in node.outputs if name],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    feeds = {name: array for name, array in zip(node.inputs, inputs, strict=True) if name}
    try:
        spend(node.place, _bound(node, [array for array in inputs if array is not None]))
        with np.errstate(all="ignore"):  # the finite check of the weights says what went wrong, and where
            results = [np.asarray(result) for result in ReferenceEvaluator(model).run(None, feeds)]
    except PteeError:
        raise
    except Exception as error:  # the reference operators raise whatever numpy raises
        raise ModelError(f"{node.place}: cannot be computed from its constants: {error}") from error
    if strange := [result.dtype for result in results if result.dtype.kind not in "fiub"]:
        raise ModelError(f"{node.place}: makes constants of type {strange[0]}, which are not supported")
    made = iter(results)
    return tuple(readonly(array, array.dtype) for name in node.outputs for array in [next(made) if name else _NOTHING])


def _bound(node: OnnxNode, inputs: Sequence[Array]) -> int:
    """No result has more elements than this, and no more are looked at to make it."""
    op = node.op_type
    if op in _BROADCAST:
        return prod(np.broadcast_shapes(*(array.shape for array in inputs)))
    if op not in _BY_VALUE:
        return 1 if op in ("Shape", "Size") else sum(array.size for array in inputs)
    numbers = [[float(value) for value in array.ravel()] for array in inputs if array.size <= 64]
    if op == "ConstantOfShape":
        size = prod(numbers[0])
    elif op == "Range":
        (start,), (limit,), (step,) = numbers
        size = abs(limit - start) / abs(step) + 1
    elif op == "Gather":
        data, indices = inputs
        size = indices.size * data.size / max(data.shape[node.integer("axis", 0)], 1)
    else:  # Expand and Tile: a size or a count per dimension comes last
        size = inputs[0].size * prod(numbers[-1])
    return int(size)
