"""Dilated convolutions as converters write them where the batch is open: SPACE_TO_BATCH_ND, a convolution and back."""

from dataclasses import replace

from ptee_mcu.frontends.tflite.float_trace import Call, Spread, Value
from ptee_mcu.ops import Conv2d
from ptee_mcu.tensor import HW, Padding

_HINT = "only a convolution between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND of the same blocks is supported"


def space_to_batch(call: Call) -> Value:
    """The image as it was, with the dilation and the padding that the convolution after it gets."""
    x = call.value()
    call.image(x)
    block, padding = _block(call), _sides(call)
    return replace(x, spread=Spread(block, padding))


def batch_to_space(call: Call) -> Value:
    """The convolution before it, with so much less padding as is cropped."""
    x = call.alias_value()
    conv, block, crops = call.trace.producer(x), _block(call), _sides(call)
    if x.spread is None or not x.alone or conv is None or not isinstance(conv.op, Conv2d) or conv.op.dilation != block:
        raise call.refuse("it does not undo a SPACE_TO_BATCH_ND around one convolution", _HINT)
    whole = conv.op.padding
    left = (whole.top - crops.top, whole.left - crops.left, whole.bottom - crops.bottom, whole.right - crops.right)
    if min(left) < 0:
        raise call.refuse("it crops more than was padded", _HINT)
    call.replace_node(conv, replace(conv, op=replace(conv.op, padding=Padding(*left))))
    return Value(x.tensor, call.trace.shapes[x.tensor])


def _block(call: Call) -> HW:
    block = call.integers(1)
    if len(block) != 2 or not 0 < min(block) <= max(block) < 2**15:
        raise call.refuse(f"its blocks are {block}", "only blocks of H and W are supported")
    return HW(*block)


def _sides(call: Call) -> Padding:
    sides = call.integers(2)
    if len(sides) != 4 or not 0 <= min(sides) <= max(sides) < 2**15:
        raise call.fault(f"it pads or crops by {sides}")
    top, bottom, left, right = sides
    return Padding(top, left, bottom, right)
