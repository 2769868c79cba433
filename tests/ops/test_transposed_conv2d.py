from dataclasses import dataclass

import numpy as np
import pytest
from support.builder import OPEN, Builder, Clamp
from support.differential import WHERE, Differential

from ptee_mcu.errors import ModelError
from ptee_mcu.ops import ConvTranspose2d, QConvTranspose2d
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.requant import requantize
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import HW, Int8, Int32, Padding, Quant

ONE, ZERO = HW(1, 1), HW(0, 0)


@dataclass(frozen=True)
class Case:
    size: HW = HW(4, 5)
    channels: int = 8
    out: int = 6
    kernel: HW = HW(3, 3)
    stride: HW = HW(2, 2)
    padding: Padding = Padding()
    output_padding: HW = ZERO
    zero_points: tuple[int, int] = (-3, 2)
    act: Clamp = OPEN
    gain: float = 1.0


CASES = {
    "stride 2": Case(),
    "padded to twice the size": Case(padding=Padding.same(1, 1), output_padding=ONE),
    "as TFLite pads to twice the size": Case(padding=Padding(0, 0, 1, 1)),
    "a kernel of the stride": Case(kernel=HW(2, 2)),
    "a kernel below the stride": Case(kernel=HW(2, 2), stride=HW(3, 3), output_padding=ONE),
    "stride 1": Case(stride=ONE, padding=Padding.same(1, 1)),
    "pointwise": Case(kernel=ONE, stride=ONE),
    "one row": Case(size=HW(1, 7), kernel=HW(1, 4), stride=HW(1, 2)),
    "height and width differ": Case(kernel=HW(4, 2), stride=HW(1, 3), padding=Padding(2, 0, 1, 1)),
    "output beyond every tap": Case(kernel=ONE, stride=HW(2, 2), output_padding=ONE),
    "one channel to one": Case(channels=1, out=1),
    "odd channels": Case(channels=7, out=3),
    "lowest zero points": Case(zero_points=(-128, -128)),
    "highest zero points": Case(zero_points=(127, 127)),
    "relu": Case(zero_points=(-3, -10), act=(-10, 127)),
    "everything saturates": Case(gain=300.0),
    "a multiplier above one": Case(channels=1, kernel=ONE, stride=ONE, gain=1500.0),
    "a pixel": Case(size=ONE, kernel=HW(4, 4)),
}


def network() -> QuantGraph:
    """Every case on its own cut of the input, with an exit of its own."""
    b = Builder((1, 5, 7, 8))
    for name, case in CASES.items():
        x = b.cut(case.size, case.channels, Quant(0.05, case.zero_points[0]))
        y = b.transposed(
            x, case.out, case.kernel, stride=case.stride, padding=case.padding, output_padding=case.output_padding,
            act=case.act, zero_point=case.zero_points[1], gain=case.gain, name=name,
        )  # fmt: skip
        b.exit(f"after {name}", y, final=name == list(CASES)[-1])
    return b.graph("transposed_conv2d_cases")


@pytest.fixture(scope="module")
def differential(tmp_path_factory: pytest.TempPathFactory) -> Differential:
    return Differential(network(), tmp_path_factory.mktemp("transposed_conv2d"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", CASES)
def test_simulator_equals_c(differential: Differential, case: str, where: str) -> None:
    differential.check(where, case)


def scattered(op: QConvTranspose2d, x: Int8, shape: tuple[int, ...]) -> Int32:
    """Sums of one image, pixel by pixel and tap by tap, as TFLite's reference kernel makes them."""
    _, out_h, out_w, out = shape
    sums = np.tile(op.bias, (out_h, out_w, 1)).astype(np.int64)
    for y, w, i, j in np.ndindex(*x.shape[:2], op.kernel.h, op.kernel.w):
        row, column = y * op.stride.h - op.padding.top + i, w * op.stride.w - op.padding.left + j
        if 0 <= row < out_h and 0 <= column < out_w:
            sums[row, column] += op.weights[:, i, j].astype(np.int64) @ (x[y, w].astype(np.int64) + op.input_offset)
    assert sums.shape[2] == out
    return sums.astype(np.int32)


@pytest.mark.parametrize("case", CASES)
def test_sums_are_those_of_taps_scattered_one_by_one(differential: Differential, case: str) -> None:
    graph = differential.plan.graph
    node = next(node for node in graph.nodes if node.name == case)
    tensors = evaluate(graph, differential.inputs, thresholds=differential.never, record=True).tensors
    op = node.op
    assert isinstance(op, QConvTranspose2d)
    for x, found in zip(tensors[node.inputs[0]][:3], tensors[node.output][:3], strict=True):
        sums = requantize(scattered(op, x, graph.tensors[node.output].shape), op.requant) + op.output_offset
        np.testing.assert_array_equal(found, np.clip(sums, op.act_min, op.act_max))


def weights(channels: int = 3) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return {"weight": np.ones((2, 3, 3, channels), np.float32)}


def test_other_channels_than_the_weights_have_are_refused() -> None:
    with pytest.raises(ModelError, match="ConvTranspose2d: weights for 3 channels on 4"):
        ConvTranspose2d().output_shape([(1, 2, 2, 4)], weights())


def test_a_negative_padding_is_refused() -> None:
    with pytest.raises(ModelError, match="ConvTranspose2d: a stride below 1 or a negative padding"):
        ConvTranspose2d(padding=Padding(0, 0, -1, 0)).output_shape([(1, 2, 2, 3)], weights())


def test_padding_that_cuts_off_everything_is_refused() -> None:
    with pytest.raises(ModelError, match="cuts off all of a 1x1 map enlarged by a 3x3 kernel"):
        ConvTranspose2d(padding=Padding.same(2, 2)).output_shape([(1, 1, 1, 3)], weights())
