"""A softmax at the end of a TFLite file: the host applies it, so the network ends before it."""

from math import prod

from ptee_mcu.frontends.imported import softmax_note
from ptee_mcu.frontends.tflite.model import Operator, TfliteModel
from ptee_mcu.frontends.tflite.options import SoftmaxOptions
from ptee_mcu.tensor import Shape


def require_over_classes(model: TfliteModel, softmax: Operator, shape: Shape) -> None:
    """Raises UnsupportedOpError where `softmax`, of a tensor of `shape`, is not the plain one of all logits."""
    if prod(shape[:-1]) != 1:
        raise model.refuse(softmax, f"it normalises the last axis of {shape}", "only (1, classes) is supported")
    beta = softmax.read(SoftmaxOptions).beta
    if beta != 1.0:
        raise model.refuse(softmax, f"its beta is {beta:g}", "only 1 is supported; scale the logits in the network")


def note(softmax: Operator) -> str:
    """What is said of the `softmax` left out."""
    return softmax_note(f"{softmax.kind} (operator {softmax.index})")
