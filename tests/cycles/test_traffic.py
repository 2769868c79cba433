"""Bytes that ops say their kernels load, against those that the emulator counts, array by array."""

from pathlib import Path

import numpy as np
import pytest
from support.builder import INPUT, Builder
from support.tools import require

from benchmarks import kernel_shapes
from benchmarks.traced_layers import ARENA, Layers, side_by_side, trace_layers
from ptee_mcu import boards
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Traffic
from ptee_mcu.ops.copies import Runs, copies
from ptee_mcu.ops.taps import count_padded_groups
from ptee_mcu.plan.plan import Step
from ptee_mcu.tensor import HW, Padding, QTensor

FLAT = ("fully_connected", "fully_connected_per_channel")
SPATIAL = tuple(name for name in kernel_shapes.LAYERS if name not in FLAT)
LAYERS_PER_KIND = 8
SEED = 3  # neither of those that the rates were fitted to and measured on


def layers_of_all_kinds(board: str, kinds: tuple[str, ...], folder: Path) -> Layers:
    """A trace of random layers of `kinds` side by side."""
    require("arm-none-eabi-gcc", "qemu-system-arm", "gcc", "cmsis-nn")

    def one(builder: Builder, random: np.random.Generator) -> str:
        return kernel_shapes.LAYERS[kinds[int(random.integers(len(kinds)))]](builder, random)

    graph, _ = kernel_shapes.network(one, LAYERS_PER_KIND * len(kinds), SEED)
    return trace_layers(side_by_side(graph, boards.load(board)), folder)


def traffic(layers: Layers, step: Step) -> Traffic:
    graph = layers.plan.graph
    inputs = [graph.tensors[name] for name in step.node.inputs]
    return step.node.op.work(inputs, graph.tensors[step.node.output], layers.plan.target.isa).traffic


def constants_off(layers: Layers) -> list[str]:
    """Constants whose counted bytes are not the predicted ones; of equal arrays of several nodes one is emitted."""
    emitted = {window.label for window in layers.priced.windows}
    return [
        f"{step.node.name}:{role} counted {counted}, predicted {reads.nbytes}"
        for step in layers.plan.steps
        for role, reads in traffic(layers, step).constants.items()
        if f"{step.node.name}:{role}" in emitted
        and (counted := layers.bytes_read(step, f"{step.node.name}:{role}")) != reads.nbytes
    ]


def activations(layers: Layers, step: Step) -> tuple[int, int]:
    """Counted and predicted loads from the arena."""
    found = traffic(layers, step)
    return layers.bytes_read(step, ARENA), sum(reads.nbytes for reads in found.inputs) + found.scratch + found.output


@pytest.mark.parametrize("board", ["mps2_an386", "mps2_an505", "mps2_an500", "mps2_an385", "pico"])
@pytest.mark.parametrize("kinds", [SPATIAL, FLAT], ids=["spatial", "flat"])
def test_counted_loads_are_the_predicted_ones(board: str, kinds: tuple[str, ...], tmp_path: Path) -> None:
    layers = layers_of_all_kinds(board, kinds, tmp_path)
    assert len(layers.plan.steps) > LAYERS_PER_KIND * len(kinds)
    assert constants_off(layers) == []
    for step in layers.plan.steps:
        counted, predicted = activations(layers, step)
        assert counted == predicted, step.node


def test_counted_stores_are_the_predicted_ones_but_of_maxima(tmp_path: Path) -> None:
    layers = layers_of_all_kinds("mps2_an386", SPATIAL, tmp_path)
    for step in layers.plan.steps:
        counted, predicted = layers.bytes_written(step, ARENA), traffic(layers, step).written
        # The last bytes of a maximum's channels are stored only where they are larger.
        assert counted <= predicted if step.node.op.template == "max_pool2d" else counted == predicted, step.node


def test_vector_kernels_load_the_predicted_weights_where_channels_fill_vectors(tmp_path: Path) -> None:
    layers = layers_of_all_kinds("mps3_an547", SPATIAL, tmp_path)
    emitted = {window.label for window in layers.priced.windows}
    compared = 0
    for step in layers.plan.steps:
        name, op = f"{step.node.name}:weights", step.node.op
        # Depthwise kernels load four channels at a time; what they load past the last one may lie in another array.
        filled = op.template != "depthwise_conv2d" or layers.plan.graph.tensors[step.node.output].shape[3] % 4 == 0
        if name in emitted and filled:
            counted, predicted = layers.bytes_read(step, name), traffic(layers, step).constants["weights"].nbytes
            assert counted == pytest.approx(predicted, rel=0.01), step.node
            compared += 1
    assert compared > LAYERS_PER_KIND


def test_a_convolution_streams_its_weights_once_per_two_pixels() -> None:
    b = Builder((1, 5, 5, 4))
    b.conv("input", 6, padding=Padding.same(1, 1))
    found = b.nodes[-1].op.work([b.tensors["input"]], b.tensors["conv2d_0:0"], Isa.DSP).traffic
    assert found.constants["weights"].nbytes == 13 * 6 * 36  # 12 pairs and the last pixel
    assert found.constants["bias"].nbytes == 13 * 6 * 4
    assert found.constants["shift"].nbytes == (2 * 12 + 1) * 6 * 4  # once per output, but for the last pixel
    assert found.inputs[0].nbytes == (3 * 5 - 2) ** 2 * 4  # taps inside along one axis: 2 + 3 + 3 + 3 + 2
    assert found.scratch == 12 * 3 * 4 * 36 + 6 * 2 * 36  # two int16 columns per two channels
    assert found.written == 25 * (6 + 2 * 36)


def test_a_pointwise_convolution_reads_two_rows_of_weights_once_more_than_there_are_pairs() -> None:
    b = Builder((1, 4, 4, 8))
    b.conv("input", 5, HW(1, 1))
    found = b.nodes[-1].op.work([b.tensors["input"]], b.tensors["conv2d_0:0"], Isa.DSP).traffic
    assert found.constants["weights"].nbytes == 2 * (1 + 8) * 16 + 16 * 8
    assert found.inputs[0].nbytes == 3 * 16 * 8
    assert found.constants["weights"].constants == 16 + 24  # two rows, and their bias and rescale pairs


def test_a_fully_connected_layer_streams_its_weights_once() -> None:
    b = Builder((1, 2, 2, 8))
    b.linear("input", 5)
    inputs, output = [b.tensors["input"]], b.tensors["fully_connected_0:0"]
    found = {isa: b.nodes[-1].op.work(inputs, output, isa).traffic for isa in Isa}
    assert {of.constants["weights"].nbytes for of in found.values()} == {5 * 32}
    assert found[Isa.DSP].inputs[0].nbytes == 3 * 32
    assert found[Isa.MVE].inputs[0].nbytes == 3 * 32  # three rows at a time, then one by one


def test_taps_outside_the_image_are_not_read() -> None:
    b = Builder((1, 3, 3, 4))
    b.depthwise("input", padding=Padding.same(1, 1))
    found = b.nodes[-1].op.work([b.tensors["input"]], b.tensors["depthwise_conv2d_0:0"], Isa.DSP).traffic
    assert found.inputs[0].nbytes == found.constants["weights"].nbytes == 7 * 7 * 4


@pytest.mark.parametrize("isa", Isa)
def test_copies_read_every_byte_once(isa: Isa) -> None:
    image = QTensor((1, 3, 5, 7), INPUT)
    b = Builder(image.shape)
    b.concat("input", "input")
    b.pad("input", Padding(1, 1, 1, 1), 1, 1)
    b.add("input", "input")
    for node in b.nodes:
        found = node.op.work([image] * len(node.inputs), b.tensors[node.output], isa).traffic
        assert [reads.nbytes for reads in found.inputs] == [105] * len(node.inputs)


def test_copies_are_counted_as_memcpy_loops() -> None:
    aligned = copies(Runs(3, 70, 72, 72))
    assert (aligned["copy"], aligned["block"], aligned["word"], aligned["tail"]) == (3, 3, 3, 3)
    assert aligned["misaligned"] == 0
    short = copies(Runs(4, 5, 5, 8))  # the first of four begins at a word boundary
    assert (short["short"], short["short byte"], short["word"]) == (3, 6, 1)
    led = copies(Runs(1, 12, 0, 0, source=1, target=1))  # three bytes lead up to a boundary, nine are left
    assert (led["head"], led["word"], led["tail"]) == (1, 2, 1)


def test_groups_of_four_pixels_with_a_tap_outside_are_counted() -> None:
    size, three, one = HW(4, 4), HW(3, 3), HW(1, 1)
    assert count_padded_groups(size, size, three, one, Padding.same(1, 1)) == 4
    assert count_padded_groups(HW(8, 8), HW(8, 8), HW(3, 1), one, Padding(1, 0, 1, 0)) == 4  # first and last row
    assert count_padded_groups(HW(6, 6), HW(4, 4), three, one, Padding()) == 0
