"""Blocks of SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: the dilation and padding of the convolution between them."""

from ptee_mcu.frontends.tflite.model import Operator, TfliteModel
from ptee_mcu.tensor import HW, Padding

HINT = "one convolution of stride 1 without padding belongs between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND"


def block_size(model: TfliteModel, op: Operator, block: tuple[int, ...]) -> HW:
    """The blocks of `op`, whose second input is `block`.

    Raises:
        UnsupportedOpError: where they are not of height and width.
    """
    if len(block) != 2 or not 0 < min(block) <= max(block) < 2**15:
        raise model.refuse(op, f"its blocks are {block}", "only blocks of height and width are supported")
    return HW(*block)


def block_sides(model: TfliteModel, op: Operator, sides: tuple[int, ...]) -> Padding:
    """What `op`, whose third input is `sides`, pads or crops.

    Raises:
        ModelError: where these are not four amounts.
    """
    if len(sides) != 4 or not 0 <= min(sides) <= max(sides) < 2**15:
        raise model.fault(op, f"it pads or crops by {sides}")
    top, bottom, left, right = sides
    return Padding(top, left, bottom, right)


def cropped(model: TfliteModel, op: Operator, padded: Padding, crops: Padding) -> Padding:
    """What is left of a padding once the BATCH_TO_SPACE_ND `op` has cropped.

    Raises:
        UnsupportedOpError: where that is less than nothing.
    """
    left = (padded.top - crops.top, padded.left - crops.left, padded.bottom - crops.bottom, padded.right - crops.right)
    if min(left) < 0:
        raise model.refuse(op, "it crops more than was padded", HINT)
    return Padding(*left)
