"""A softmax at the end of an ONNX model: the host applies it, so the network ends before it."""

from ptee_mcu.frontends.onnx.model import OnnxModel, OnnxNode
from ptee_mcu.frontends.onnx.trace import Value

SOFTMAX = frozenset({"Softmax", "LogSoftmax"})
BEHIND = frozenset({"Cast", "DequantizeLinear", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Squeeze"})


def final_softmax(model: OnnxModel) -> OnnxNode | None:
    """The softmax whose result the model answers with; None where there is none."""
    producers = {name: node for node in model.nodes for name in node.outputs}
    tensor = model.output
    for _ in model.nodes:
        node = producers.get(tensor)
        if node is None or not node.inputs:
            return None
        if node.op_type in SOFTMAX:
            return node
        if node.op_type not in BEHIND:
            return None
        tensor = node.inputs[0]
    return None


def require_over_classes(softmax: OnnxNode, logits: Value, opset: int) -> None:
    """Raises UnsupportedOpError where `softmax` normalises some of the logits only."""
    rank = len(logits.shape)
    axis = softmax.integer("axis", 1 if opset < 13 else -1)
    if not -rank <= axis < rank:
        inside: tuple[str, ...] = ()
    elif opset < 13:  # everything from the axis on
        inside = logits.dims[axis:]
    else:
        inside = (logits.dims[axis],)
    if "".join(sorted("".join(inside))) != "".join(sorted("".join(logits.dims))):
        raise softmax.refuse(f"normalises dimension {axis} of {logits.shape}", "only a softmax over all classes can be")
