"""Dilated convolutions as converters write them where the batch is open: SPACE_TO_BATCH_ND, a convolution and back."""

from dataclasses import replace

from ptee_mcu.frontends.quantized_weights import Steps
from ptee_mcu.frontends.tflite.blocks import HINT, block_sides, block_size, cropped
from ptee_mcu.frontends.tflite.int8_file import Int8File, Spread
from ptee_mcu.frontends.tflite.int8_layers import convolve
from ptee_mcu.frontends.tflite.model import Operator
from ptee_mcu.frontends.tflite.options import ConvOptions, PaddingScheme
from ptee_mcu.tensor import HW, Padding

_PLAIN = (HW(1, 1), HW(1, 1), PaddingScheme.VALID)


def space_to_batch(file: Int8File, op: Operator) -> None:
    """Nothing: the convolution behind it gets its blocks as dilation, and its padding."""
    source = file.spatial(op, 0)
    file.copied_quant(op, source)
    file.spread[op.outputs[0]] = Spread(source, *_block(file, op))


def hold(file: Int8File, op: Operator) -> None:
    """The convolution of a batch of blocks, which waits for BATCH_TO_SPACE_ND.

    Raises:
        UnsupportedOpError: where another operator reads the blocks.
    """
    found, options = file.spread.get(op.inputs[0]), op.options
    plain = isinstance(options, ConvOptions) and (options.stride, options.dilation, options.padding) == _PLAIN
    if found is None or found.conv or not plain:
        raise file.model.refuse(op, "it reads what SPACE_TO_BATCH_ND dealt out", HINT)
    file.spread[op.outputs[0]] = replace(found, conv=op)


def batch_to_space(file: Int8File, op: Operator) -> None:
    """The dilated convolution, with so much less padding as is cropped."""
    found, (block, crops) = file.spread.get(op.inputs[0]), _block(file, op)
    if found is None or found.conv is None or found.block != block:
        raise file.model.refuse(op, "it does not undo a SPACE_TO_BATCH_ND around one convolution", HINT)
    padding = cropped(file.model, op, found.padding, crops)
    made = convolve(file, found.conv, found.source, Steps(padding=padding, dilation=block))
    file.copied_quant(op, made)
    file.put_tensor(op, made)


def _block(file: Int8File, op: Operator) -> tuple[HW, Padding]:
    return block_size(file.model, op, file.integers(op, 1)), block_sides(file.model, op, file.integers(op, 2))
