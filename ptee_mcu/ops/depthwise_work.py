"""Loops and traffic of the depthwise convolutions that arm_depthwise_conv_wrapper_s8 of CMSIS-NN 4.0.0 chooses from."""

from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Reads, Traffic, Work
from ptee_mcu.ops.conv_work import WORD, Window, loaded_width, streamed
from ptee_mcu.tensor import HW, Padding

_BLOCK = 124  # channels that arm_depthwise_conv_s8_opt takes at a time on MVE: CH_IN_BLOCK_MVE


def depthwise(w: Window, padding: Padding, dilation: HW, isa: Isa) -> Work:
    """The function that the wrapper calls, or the general one where a 3x3 window has its middle column outside.

    Source: CMSIS-NN 4.0.0, arm_depthwise_conv_wrapper_s8; templates/runtime/ptee_depthwise_conv2d.c.
    """
    if w.channels != w.out or dilation != HW(1, 1):
        tiled = w.out // w.channels % 4 == 0 and dilation == HW(1, 1)
        return _tiled(w) if tiled else _direct(w, dilation)
    if w.kernel == HW(3, 3) and _columns_out(w, padding) > 1:
        return _direct(w, dilation)
    if isa is not Isa.MVE and w.kernel == HW(3, 3) and padding.top <= 1 and padding.left <= 1:
        return _three_by_three(w)
    if isa is Isa.SCALAR:
        return _direct(w, dilation)
    return _columns_mve(w) if isa is Isa.MVE else _columns(w)


def _columns_out(w: Window, padding: Padding) -> int:
    """Columns of the last window beyond the image's right edge."""
    across = (w.size.w + padding.left + padding.right - w.kernel.w) // w.stride.w
    return across * w.stride.w - padding.left + w.kernel.w - w.size.w


def _traffic(w: Window, weights: Reads, image: Reads, scratch: int, written: int) -> Traffic:
    table = streamed(WORD * w.out, w.taps.pixels, weights.constants, weights.activations)
    constants = {"weights": weights, "bias": table, "multiplier": table, "shift": table}
    return Traffic(constants, (image,), scratch, 0, w.taps.pixels * w.out + written)


def _held(w: Window) -> tuple[int, int]:
    """Bytes between two pixels' loads of one weight: all constants, and the taps of a pixel."""
    taps = w.kernel.h * w.kernel.w
    return (w.out * (taps + 3 * WORD), w.channels * taps + w.out) if w.taps.pixels > 1 else (0, 0)


def _inside(w: Window, times: int = 1, width: float = 1.0) -> tuple[Reads, Reads]:
    """Loads of weights and image where taps outside the image are left out; `times` output channels share an input."""
    nbytes = w.taps.inside * w.out
    image = w.im2col_reads(_held(w)[0], 0)
    share = Reads(nbytes // times, image.passes, image.constants, image.activations)
    return Reads(nbytes, nbytes / (w.kernel.h * w.kernel.w * w.out), *_held(w), width=width), share


def _three_by_three(w: Window) -> Work:
    """arm_depthwise_conv_3x3_s8: four channels at a time, straight from the image."""
    blocks, rest = divmod(w.channels, 4)
    loops = {
        "call": 1,
        "line": w.taps.lines,
        "pixel": w.taps.pixels,
        "pixel of blocks": w.taps.pixels * (blocks > 0),
        "block": w.taps.pixels * blocks,
        "block row": w.taps.rows * blocks,
        "block tap": w.taps.inside * blocks,
        "pixel of channels": w.taps.pixels * (rest > 0),
        "channel": w.taps.pixels * rest,
        "channel row": w.taps.rows * rest,
        "channel tap": w.taps.inside * rest,
    }
    weights, image = _inside(w, width=loaded_width(w.channels, Isa.DSP))
    return Work("arm_depthwise_conv_3x3_s8", loops, _traffic(w, weights, image, 0, 0))


def _columns(w: Window) -> Work:
    """arm_depthwise_conv_s8_opt on DSP: a pixel's taps into scratch as int16, then four channels at a time."""
    taps = w.kernel.h * w.kernel.w
    blocks, rest = divmod(w.channels, 4)
    pairs, odd = divmod(taps, 2)
    pixels, outside = w.taps.pixels, w.taps.rows * w.kernel.w - w.taps.inside
    cleared = w.taps.all - w.taps.rows * w.kernel.w
    loops = {
        "call": 1,
        "line": w.taps.lines,
        "pixel": pixels,
        "kernel row": w.taps.rows,
        "tap inside": w.taps.inside,
        "tap outside": outside,
        "word in": w.taps.inside * blocks,
        "byte in": w.taps.inside * rest,
        "any byte in": w.taps.inside * (rest > 0),
        "byte cleared": (outside + cleared) * w.channels,
        "block": pixels * blocks,
        "block pair": pixels * blocks * pairs,
        "block tap": pixels * blocks * odd,
        "channel": pixels * rest,
        "channel tap": pixels * rest * taps,
    }
    column = taps * w.channels
    weights = streamed(column, pixels, *_held(w), loaded_width(w.channels, Isa.DSP))
    traffic = _traffic(w, weights, w.im2col_reads(_held(w)[0], 2 * column), 2 * column * pixels, 2 * column * pixels)
    return Work("arm_depthwise_conv_s8_opt", loops, traffic)


def _columns_mve(w: Window) -> Work:
    """arm_depthwise_conv_s8_opt on MVE: four pixels of up to 124 channels into scratch, then channels by four."""
    taps, pixels = w.kernel.h * w.kernel.w, w.taps.pixels
    groups, rest = divmod(pixels, 4)
    parts = -(-w.channels // _BLOCK)
    blocks = sum(-(-min(_BLOCK, w.channels - first) // 4) for first in range(0, w.channels, _BLOCK))
    outside = w.taps.all - w.taps.inside
    loops = {
        "call": 1,
        "line": w.taps.lines * parts,
        "pixel": pixels * parts,
        "tap inside": w.taps.inside * parts,
        "tap outside": outside * parts,
        "vector in": w.taps.inside * -(-w.channels // 16),
        "vector cleared": outside * -(-w.channels // 16),
        "group": groups * parts,
        "block": (groups - w.padded_groups) * blocks,
        "block tap": (groups - w.padded_groups) * blocks * taps,
        "padded block": w.padded_groups * blocks,
        "padded block tap": w.padded_groups * blocks * taps,
        "single block": rest * blocks,
        "single block tap": rest * blocks * taps,
    }
    column, lanes = taps * w.channels, 4 * blocks
    constants, between = w.out * (taps + 3 * WORD), 4 * (column + w.out)
    times = groups + rest
    table = streamed(WORD * lanes, times, constants, between)
    traffic = Traffic(
        constants={
            "weights": streamed(taps * lanes, times, constants, between),
            "bias": table,
            "multiplier": table,
            "shift": table,
        },
        inputs=(w.im2col_reads(constants, 4 * column),),
        scratch=taps * lanes * pixels,
        output=0,
        written=pixels * (w.out + column),
    )
    return Work("arm_depthwise_conv_s8_opt", loops, traffic)


def _tiled(w: Window) -> Work:
    """depthwise_conv_s8_mult_4: four output channels of one input channel at a time."""
    tiles = w.out // 4
    loops = {
        "call": 1,
        "line": w.taps.lines,
        "pixel": w.taps.pixels,
        "channel": w.taps.pixels * w.channels,
        "tile": w.taps.pixels * tiles,
        "tile row": w.taps.rows * tiles,
        "tile tap": w.taps.inside * tiles,
    }
    weights, image = _inside(w, times=4)
    return Work("depthwise_conv_s8_mult_4", loops, _traffic(w, weights, image, 0, 0))


def _direct(w: Window, dilation: HW) -> Work:
    """depthwise_conv_s8_generic: one output at a time."""
    outputs = w.taps.pixels * w.out
    loops = {
        "call": 1,
        "line": w.taps.lines,
        "pixel": w.taps.pixels,
        "channel": w.taps.pixels * w.channels,
        "output": outputs,
        "output dilated": outputs * ((dilation.h > 1) + (dilation.w > 1)),
        "output row": w.taps.rows * w.out,
        "output tap": w.taps.inside * w.out,
    }
    weights, image = _inside(w)
    return Work("depthwise_conv_s8_generic", loops, _traffic(w, weights, image, 0, 0))
