"""Loops and traffic of the convolutions of CMSIS-NN 4.0.0: arm_convolve_s8 and arm_convolve_1x1_s8_fast."""

from dataclasses import dataclass

from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Reads, Traffic, Work
from ptee_mcu.ops.taps import Taps
from ptee_mcu.tensor import HW

WORD = 4  # bytes of a bias, a multiplier or a shift
_VECTOR = 16  # bytes of an MVE register


@dataclass(frozen=True, slots=True)
class Window:
    """Geometry of a convolution: an image of `size` and `channels`, `out` channels, and the taps of all its pixels.

    `padded_groups`: of the groups of four pixels in order, those with a tap outside the image.
    """

    size: HW
    channels: int
    kernel: HW
    stride: HW
    out: int
    taps: Taps
    padded_groups: int = 0

    @property
    def column(self) -> int:
        """Weights of one output channel of a full convolution."""
        return self.kernel.h * self.kernel.w * self.channels

    @property
    def image(self) -> int:
        """Bytes of the input."""
        return self.size.h * self.size.w * self.channels

    def im2col_reads(self, constants: int, scratch: int) -> Reads:
        """Loads of the input where every tap inside is copied: rows of the image come by once per kernel row."""
        nbytes = self.taps.inside * self.channels
        if self.kernel.h <= self.stride.h:
            return Reads(nbytes)
        rows = self.kernel.h * self.size.w * self.channels
        return Reads(nbytes, self.kernel.h / self.stride.h, constants, rows + scratch)


def streamed(nbytes: int, times: int, constants: int, activations: int, width: float = WORD) -> Reads:
    """An array of `nbytes` read from end to end `times` times, `width` bytes a load."""
    if times <= 1:
        return Reads(nbytes * times, float(times), width=width)
    return Reads(nbytes * times, float(times), constants, activations, width)


def loaded_width(row: int, isa: Isa) -> float:
    """Bytes a load of a loop over `row` bytes: words, then what is left byte by byte."""
    if isa is Isa.SCALAR:
        return 1.0
    return row / (row // WORD + row % WORD) if isa is Isa.DSP else float(_VECTOR)


def _past_rows(rows: int, length: int) -> int:
    """Bytes of a matrix that loops read which load one register ahead: each row, and 16 bytes after it."""
    return sum(min(length + _VECTOR, (rows - i) * length) for i in range(rows))


def convolve(window: Window, isa: Isa) -> Work:
    """arm_convolve_s8: columns of the image into scratch, two (MVE: four) of them against all weights at a time.

    Source: CMSIS-NN 4.0.0, arm_convolve_s8, arm_nn_mat_mult_kernel_s8_s16, arm_nn_mat_mul_core_4x_s8,
    arm_nn_mat_mult_s8.
    """
    return _convolve_mve(window) if isa is Isa.MVE else _convolve_pairs(window, isa)


def _convolve_pairs(w: Window, isa: Isa) -> Work:
    pixels, column, out, taps = w.taps.pixels, w.column, w.out, w.taps
    pairs, single = divmod(pixels, 2)
    rows, row = divmod(out, 2)
    lanes = 4 if isa is Isa.DSP else 1
    quads, rest = divmod(column, lanes)
    words, bytes_ = divmod(w.channels, lanes)
    loops = {
        "call": 1,
        "line": taps.lines,
        "pixel": pixels,
        "kernel row": pixels * w.kernel.h,
        "tap inside": taps.inside,
        "tap outside": taps.all - taps.inside,
        "word in": taps.inside * words,
        "byte in": taps.inside * bytes_,
        "any byte in": taps.inside * (bytes_ > 0),
        "byte cleared": (taps.all - taps.inside) * w.channels,
        "pair": pairs,
        "row pair": pairs * rows,
        "row pair quad": pairs * rows * quads,
        "row pair byte": pairs * rows * rest,
        "row": pairs * row,
        "row quad": pairs * row * quads,
        "row byte": pairs * row * rest,
        "single row": single * out,
        "single quad": single * out * quads,
        "single byte": single * out * rest,
    }
    weights = column * out
    constants = weights + 3 * WORD * out
    scratch = 2 * 2 * column
    per_pair = scratch + 2 * out
    times = pairs + single
    # The output is stored between both uses of a rescale pair, and GCC cannot know that it lies elsewhere.
    tables = Reads(WORD * out * (2 * pairs + single), float(times), *((constants, per_pair) if times > 1 else (0, 0)))
    traffic = Traffic(
        constants={
            "weights": streamed(weights, times, constants, per_pair, loaded_width(column, isa)),
            "bias": streamed(WORD * out, times, constants, per_pair),
            "multiplier": tables,
            "shift": tables,
        },
        inputs=(w.im2col_reads(constants, scratch),),
        scratch=pairs * (rows + row) * 4 * column + single * out * 2 * column,
        output=0,
        written=pixels * (out + 2 * column),
    )
    return Work("arm_convolve_s8", loops, traffic)


def _convolve_mve(w: Window) -> Work:
    pixels, column, out, taps = w.taps.pixels, w.column, w.out, w.taps
    groups, rest = divmod(pixels, 4)
    clean = groups - w.padded_groups
    vectors, halves = -(-column // _VECTOR), -(-column // (_VECTOR // 2))
    loops = {
        "call": 1,
        "line": taps.lines,
        "pixel": pixels,
        "kernel row": pixels * w.kernel.h,
        "tap inside": taps.inside,
        "tap outside": taps.all - taps.inside,
        "vector in": taps.inside * -(-w.channels // _VECTOR),
        "vector cleared": (taps.all - taps.inside) * -(-w.channels // _VECTOR),
        "group": clean,
        "row": clean * out,
        "row vector": clean * out * vectors,
        "padded row": w.padded_groups * out,
        "padded row vector": w.padded_groups * out * halves,
        "single row": rest * out,
        "single row vector": rest * out * halves,
    }
    weights = column * out
    constants = weights + 3 * WORD * out
    scratch = 4 * column
    per_group = scratch + 4 * out
    times = groups + rest
    loaded = clean * _past_rows(out, column) + (w.padded_groups + rest) * weights
    again = (constants, per_group) if times > 1 else (0, 0)
    traffic = Traffic(
        constants={
            "weights": Reads(loaded, float(times), *again, width=_VECTOR),
            "bias": streamed(WORD * out, times, constants, per_group),
            "multiplier": streamed(WORD * out, times, constants, per_group),
            "shift": streamed(WORD * out, times, constants, per_group),
        },
        inputs=(w.im2col_reads(constants, scratch),),
        scratch=out * (4 * clean * column + (4 * w.padded_groups + rest) * 8 * halves),
        output=0,
        written=pixels * (out + column),
    )
    return Work("arm_convolve_s8", loops, traffic)


def pointwise(pixels: int, channels: int, out: int, isa: Isa) -> Work:
    """arm_convolve_1x1_s8_fast: two rows of weights against the whole image (MVE: all weights against four pixels).

    Source: CMSIS-NN 4.0.0, arm_nn_mat_mult_nt_t_s8.
    """
    if isa is Isa.MVE:
        return _pointwise_mve(pixels, channels, out)
    pairs, single = divmod(pixels, 2)
    rows, row = divmod(out, 2)
    lanes = 4 if isa is Isa.DSP else 1
    blocks, rest = divmod(channels, 16) if isa is Isa.DSP else (0, channels)
    quads, bytes_ = divmod(rest, lanes)
    loops = {
        "call": 1,
        "row pair": rows,
        "sum": rows * channels,
        "pair": rows * pairs,
        "pair block": rows * pairs * blocks,
        "pair quad": rows * pairs * quads,
        "pair byte": rows * pairs * bytes_,
        "single": rows * single,
        "single block": rows * single * blocks,
        "single quad": rows * single * quads,
        "single byte": rows * single * bytes_,
        "row": row,
        "row pixel": row * pixels,
        "row byte": row * pixels * channels,
    }
    times = pairs + single
    # Two rows of weights are summed, then read again for every pair of pixels; a last row alone, for every pixel.
    weights = 2 * rows * channels * (1 + times) + row * channels * pixels
    per_row = channels / loaded_width(channels, isa)
    loads = 2 * rows * (channels + times * per_row) + row * channels * pixels
    held = 2 * channels + 2 * 3 * WORD
    between = 2 * channels + 4
    tables = Reads(WORD * (2 * rows * times + row * pixels), float(times), held, between)
    image = pixels * channels
    traffic = Traffic(
        constants={
            "weights": Reads(weights, weights / (out * channels), held, between, weights / loads),
            "bias": Reads(WORD * (2 * rows + row * pixels)),
            "multiplier": tables,
            "shift": tables,
        },
        inputs=(streamed(image, rows + row, held, image),),
        scratch=0,
        output=0,
        written=pixels * out,
    )
    return Work("arm_convolve_1x1_s8_fast", loops, traffic)


def _pointwise_mve(pixels: int, channels: int, out: int) -> Work:
    groups, rest = divmod(pixels, 4)
    vectors = -(-channels // _VECTOR)
    loops = {
        "call": 1,
        "group": groups,
        "row": groups * out,
        "row vector": groups * out * vectors,
        "single": rest,
        "single row": rest * out,
        "single row vector": rest * out * vectors,
    }
    times = groups + rest
    constants = out * (channels + 3 * WORD)
    between = 4 * (channels + out)
    table = streamed(WORD * out, times, constants, between)
    image = pixels * channels
    again = (constants, between) if times > 1 else (0, 0)
    traffic = Traffic(
        constants={
            "weights": Reads(times * _past_rows(out, channels), float(times), *again, width=_VECTOR),
            "bias": table,
            "multiplier": table,
            "shift": table,
        },
        inputs=(Reads(image * out, 1.0),),
        scratch=0,
        output=0,
        written=pixels * out,
    )
    return Work("arm_convolve_1x1_s8_fast", loops, traffic)
