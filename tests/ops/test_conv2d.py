from dataclasses import dataclass

import numpy as np
import pytest
from support.builder import OPEN, Builder, Clamp
from support.differential import WHERE, Differential

from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import HW, Padding, Quant, window_shape

SAME = Padding.same(1, 1)


@dataclass(frozen=True)
class Case:
    size: HW = HW(7, 7)
    channels: int = 4
    out: int = 4
    kernel: HW = HW(3, 3)
    stride: HW = HW(1, 1)
    padding: Padding = Padding()
    dilation: HW = HW(1, 1)
    zero_points: tuple[int, int] = (-3, 2)
    act: Clamp = OPEN
    gain: float = 1.0


def random_case(seed: int) -> Case:
    """A geometry whose window fits."""
    random = np.random.default_rng(seed)

    def hw(low: int, high: int) -> HW:
        return HW(*map(int, random.integers(low, high + 1, 2)))

    while True:
        size, kernel, stride, dilation = hw(1, 12), hw(1, 5), hw(1, 3), hw(1, 2)
        padding = Padding(*(int(random.integers(0, k)) for k in (kernel.h, kernel.w) * 2))
        out = window_shape(size, kernel, stride, padding, dilation)
        if out.h > 0 and out.w > 0:
            channels, filters = map(int, random.integers(1, 11, 2))
            zero_points = (int(random.integers(-128, 128)), int(random.integers(-128, 128)))
            return Case(size, channels, filters, kernel, stride, padding, dilation, zero_points)


CASES = {
    "valid": Case(),
    "same": Case(padding=SAME),
    "same, stride 2": Case(padding=SAME, stride=HW(2, 2)),
    "same, odd channels": Case(padding=SAME, channels=3, out=5),
    "same, one channel in and out": Case(padding=SAME, channels=1, out=1),
    "same, a deep sum": Case(size=HW(4, 4), padding=SAME, channels=64, out=8),
    "pointwise": Case(kernel=HW(1, 1)),
    "pointwise, odd channels": Case(kernel=HW(1, 1), channels=5, out=7),
    "pointwise, many outputs": Case(size=HW(5, 3), kernel=HW(1, 1), channels=16, out=33),
    "pointwise, one pixel": Case(size=HW(1, 1), kernel=HW(1, 1), channels=12, out=9),
    "pointwise, stride 2": Case(kernel=HW(1, 1), stride=HW(2, 2), channels=6),
    "pointwise, padded": Case(kernel=HW(1, 1), padding=SAME),
    "padding at the bottom and right": Case(size=HW(8, 8), padding=Padding(0, 0, 1, 1), stride=HW(2, 2)),
    "padding at the top and left": Case(padding=Padding(1, 2, 0, 0)),
    "padding wider than the input": Case(size=HW(2, 2), kernel=HW(5, 5), padding=Padding.same(3, 3)),
    "dilated": Case(size=HW(9, 9), dilation=HW(2, 2)),
    "dilated and padded": Case(size=HW(9, 9), dilation=HW(2, 3), padding=Padding.same(2, 3)),
    "dilated and strided": Case(size=HW(11, 11), dilation=HW(2, 2), stride=HW(2, 2), padding=SAME),
    "uneven stride": Case(stride=HW(1, 3), padding=SAME),
    "uneven kernel": Case(kernel=HW(2, 5), padding=Padding.same(1, 2)),
    "one row": Case(size=HW(1, 12), kernel=HW(1, 5)),
    "one row, output a multiple of four": Case(size=HW(1, 12), kernel=HW(1, 5), padding=Padding(0, 2, 0, 2)),
    "one row, padded at one side": Case(size=HW(1, 12), kernel=HW(1, 4), padding=Padding(0, 0, 0, 3)),
    "one row, stride 2": Case(size=HW(1, 16), kernel=HW(1, 3), stride=HW(1, 2), padding=Padding(0, 1, 0, 1)),
    "one row, dilated": Case(size=HW(1, 12), kernel=HW(1, 3), dilation=HW(1, 2)),
    "one column": Case(size=HW(12, 1), kernel=HW(5, 1), padding=Padding(2, 0, 2, 0)),
    "the kernel is the whole input": Case(size=HW(5, 6), kernel=HW(5, 6), out=6),
    "lowest zero points": Case(padding=SAME, zero_points=(-128, -128)),
    "highest zero points": Case(padding=SAME, zero_points=(127, 127)),
    "relu": Case(padding=SAME, zero_points=(-3, -10), act=(-10, 127)),
    "a narrow clamp": Case(padding=SAME, act=(-5, 9)),
    "everything saturates": Case(padding=SAME, gain=300.0),
    "multipliers above one": Case(kernel=HW(1, 1), channels=1, gain=1500.0),
    "outputs near zero": Case(padding=SAME, gain=0.01),
    **{f"random {seed}": random_case(seed) for seed in range(16)},
}


def network() -> QuantGraph:
    """Every case on its own cut of the input, with an exit of its own."""
    b = Builder((1, 12, 16, 64))
    for name, case in CASES.items():
        x = b.cut(HW(case.size.h, case.size.w), case.channels, Quant(0.05, case.zero_points[0]))
        y = b.conv(
            x,
            case.out,
            case.kernel,
            stride=case.stride,
            padding=case.padding,
            dilation=case.dilation,
            act=case.act,
            zero_point=case.zero_points[1],
            gain=case.gain,
            name=name,
        )
        b.exit(f"after {name}", y, final=name == list(CASES)[-1])
    return b.graph("conv2d_cases")


@pytest.fixture(scope="module")
def differential(tmp_path_factory: pytest.TempPathFactory) -> Differential:
    return Differential(network(), tmp_path_factory.mktemp("conv2d"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", CASES)
def test_simulator_equals_cmsis_nn(differential: Differential, case: str, where: str) -> None:
    differential.check(where, case)
