"""Layers that only move bytes, against numpy."""

from dataclasses import dataclass

import numpy as np
import pytest
from runtime.descriptors import Concat, LookupU8, Pad, Slice
from runtime.native import Int8, Runtime

BEFORE = 99  # what outputs hold before


def codes(*shape: int) -> Int8:
    """Codes that all differ as far as 256 allow."""
    return np.random.default_rng(sum(shape)).integers(-128, 128, shape, dtype=np.int8)


def blank(*shape: int) -> Int8:
    return np.full(shape, BEFORE, np.int8)


@pytest.mark.parametrize("channels", [(1, 1), (3, 5, 2), (16, 16)], ids=str)
def test_concat_lays_inputs_side_by_side(runtime: Runtime, channels: tuple[int, ...]) -> None:
    inputs = [codes(3, 2, c) for c in channels]
    output = blank(3, 2, sum(channels))
    first = 0
    for part in inputs:
        op = Concat(pixels=6, input_c=part.shape[2], output_c=sum(channels), first_c=first)
        output = runtime.copy("ptee_concat", op, part, output)
        first += part.shape[2]
    np.testing.assert_array_equal(output, np.concatenate(inputs, axis=-1))


def test_concat_leaves_the_other_channels_alone(runtime: Runtime) -> None:
    part = codes(2, 2, 3)
    output = runtime.copy("ptee_concat", Concat(pixels=4, input_c=3, output_c=7, first_c=2), part, blank(2, 2, 7))
    np.testing.assert_array_equal(output[..., 2:5], part)
    assert np.all(output[..., [0, 1, 5, 6]] == BEFORE)


PADDINGS = {
    "all sides differ": ((1, 2), (3, 4), (5, 6)),
    "nothing": ((0, 0), (0, 0), (0, 0)),
    "bottom and right only": ((0, 1), (0, 1), (0, 0)),
    "channels of the CIFAR shortcut": ((0, 0), (0, 0), (8, 8)),
}


@pytest.mark.parametrize("fill", [-128, 0, 127])
@pytest.mark.parametrize("widths", PADDINGS.values(), ids=PADDINGS)
def test_pad_equals_numpy(runtime: Runtime, widths: tuple[tuple[int, int], ...], fill: int) -> None:
    image = codes(3, 5, 4)
    expected = np.pad(image, widths, constant_values=fill)
    (top, bottom), (left, right), (front, back) = widths
    op = Pad(
        input_h=3,
        input_w=5,
        input_c=4,
        top=top,
        bottom=bottom,
        left=left,
        right=right,
        front=front,
        back=back,
        fill=fill,
    )
    np.testing.assert_array_equal(runtime.copy("ptee_pad", op, image, blank(*expected.shape)), expected)


@dataclass(frozen=True)
class Cut:
    h: slice
    w: slice
    c: slice


CUTS = {
    "every second pixel": Cut(slice(0, 8, 2), slice(0, 9, 2), slice(0, 6, 1)),
    "offsets and steps differ": Cut(slice(1, 8, 3), slice(2, 9, 4), slice(0, 6, 1)),
    "a range of channels": Cut(slice(0, 8, 1), slice(0, 9, 1), slice(2, 5, 1)),
    "one element at the end": Cut(slice(7, 8, 1), slice(8, 9, 1), slice(5, 6, 1)),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_slice_equals_numpy(runtime: Runtime, cut: Cut) -> None:
    image = codes(8, 9, 6)
    expected = image[cut.h, cut.w, cut.c]
    op = Slice(
        input_w=9,
        input_c=6,
        output_h=expected.shape[0],
        output_w=expected.shape[1],
        output_c=expected.shape[2],
        start_h=cut.h.start,
        start_w=cut.w.start,
        start_c=cut.c.start,
        step_h=cut.h.step,
        step_w=cut.w.step,
    )
    np.testing.assert_array_equal(runtime.copy("ptee_slice", op, image, blank(*expected.shape)), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_lookup_maps_each_channel_by_its_own_table(runtime: Runtime, channels: int) -> None:
    rng = np.random.default_rng(channels)
    tables = rng.integers(-128, 128, (channels, 256), dtype=np.int8)
    pixels = rng.permuted(np.tile(np.arange(256, dtype=np.uint8)[:, None], (1, channels)), axis=0)
    output = runtime.copy(
        "ptee_lookup_u8", LookupU8(tables=tables, pixels=256, channels=channels), pixels, blank(256, channels)
    )
    np.testing.assert_array_equal(output, tables[np.arange(channels), pixels])


def test_argmax_equals_numpy_and_the_lowest_of_equals_wins(runtime: Runtime) -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 10, 100):
        for _ in range(50):
            row = rng.integers(-3, 4, count).astype(np.int8)
            assert runtime.argmax(row) == int(np.argmax(row))
    assert runtime.argmax(np.full(10, -128, np.int8)) == 0
    assert runtime.argmax(np.array([-128, 127, 127], np.int8)) == 1
