"""Dilated convolutions as converters write them where the batch is open: SPACE_TO_BATCH_ND, a convolution and back."""

from dataclasses import replace

from ptee_mcu.frontends.tflite.blocks import HINT, block_sides, block_size, cropped
from ptee_mcu.frontends.tflite.float_trace import Call, Spread, Value
from ptee_mcu.ops import Conv2d
from ptee_mcu.tensor import HW, Padding


def space_to_batch(call: Call) -> Value:
    """The image as it was, with the dilation and the padding that the convolution after it gets."""
    x = call.value()
    call.image(x)
    return replace(x, spread=Spread(*_block(call)))


def batch_to_space(call: Call) -> Value:
    """The convolution before it, with so much less padding as is cropped."""
    x = call.alias_value()
    conv, (block, crops) = call.trace.producer(x), _block(call)
    if x.spread is None or not x.alone or conv is None or not isinstance(conv.op, Conv2d) or conv.op.dilation != block:
        raise call.refuse("it does not undo a SPACE_TO_BATCH_ND around one convolution", HINT)
    padding = cropped(call.model, call.op, conv.op.padding, crops)
    call.replace_node(conv, replace(conv, op=replace(conv.op, padding=padding)))
    return Value(x.tensor, call.trace.shapes[x.tensor])


def _block(call: Call) -> tuple[HW, Padding]:
    return block_size(call.model, call.op, call.integers(1)), block_sides(call.model, call.op, call.integers(2))
