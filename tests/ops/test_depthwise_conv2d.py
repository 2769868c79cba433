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
    channels: int = 8
    multiplier: int = 1
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
        size, kernel, stride, dilation = hw(1, 10), hw(1, 5), hw(1, 3), hw(1, 2)
        padding = Padding(*(int(random.integers(0, k)) for k in (kernel.h, kernel.w) * 2))
        out = window_shape(size, kernel, stride, padding, dilation)
        if out.h > 0 and out.w > 0:
            channels, multiplier = int(random.integers(2, 15)), int(random.choice([1, 1, 1, 2, 3]))
            zero_points = (int(random.integers(-128, 128)), int(random.integers(-128, 128)))
            return Case(size, channels, multiplier, kernel, stride, padding, dilation, zero_points)


CASES = {
    "3x3": Case(),
    "3x3, same": Case(padding=SAME),
    "3x3, same, stride 2": Case(padding=SAME, stride=HW(2, 2)),
    "3x3, padded left only": Case(padding=Padding(0, 1, 0, 1)),
    "3x3, padded by two": Case(padding=Padding.same(2, 2)),
    "padding at the bottom and right": Case(size=HW(8, 8), padding=Padding(0, 0, 1, 1), stride=HW(2, 2)),
    "3x3, one column and two of padding at its right": Case(size=HW(3, 1), padding=Padding(0, 0, 0, 2)),
    "3x3, two columns of padding at the right": Case(size=HW(6, 6), padding=Padding(1, 1, 1, 2)),
    "two channels": Case(channels=2, padding=SAME),
    "three channels": Case(channels=3, padding=SAME),
    "a channel more than a multiple of four": Case(channels=9, padding=SAME),
    "many channels": Case(size=HW(4, 4), channels=64, padding=SAME),
    "5x5": Case(kernel=HW(5, 5), padding=Padding.same(2, 2)),
    "1x1": Case(kernel=HW(1, 1)),
    "2x4": Case(kernel=HW(2, 4), padding=Padding(0, 1, 1, 2)),
    "two outputs per channel": Case(multiplier=2, channels=4, padding=SAME),
    "three outputs per channel": Case(multiplier=3, channels=5, stride=HW(2, 1)),
    "four outputs per channel": Case(multiplier=4, channels=4, padding=SAME),
    "twelve outputs of one channel": Case(multiplier=12, channels=1, padding=SAME),
    "twelve outputs of one channel, 1x1": Case(multiplier=12, channels=1, kernel=HW(1, 1)),
    "more channels than MVE takes at a time": Case(size=HW(4, 4), channels=130, padding=SAME),
    "dilated": Case(size=HW(9, 9), dilation=HW(2, 2), padding=SAME),
    "dilated, two outputs per channel": Case(size=HW(9, 9), dilation=HW(1, 2), multiplier=2, channels=3),
    "the kernel is the whole input": Case(size=HW(4, 5), kernel=HW(4, 5)),
    "lowest zero points": Case(padding=SAME, zero_points=(-128, -128)),
    "highest zero points": Case(padding=SAME, zero_points=(127, 127)),
    "relu": Case(padding=SAME, zero_points=(-3, -10), act=(-10, 127)),
    "everything saturates": Case(padding=SAME, gain=300.0),
    "multipliers above one": Case(kernel=HW(1, 1), gain=1500.0),
    "outputs near zero": Case(padding=SAME, gain=0.01),
    **{f"random {seed}": random_case(seed) for seed in range(16)},
}


def network() -> QuantGraph:
    """Every case on its own cut of the input, with an exit of its own."""
    b = Builder((1, 12, 12, 130))
    for name, case in CASES.items():
        x = b.cut(case.size, case.channels, Quant(0.05, case.zero_points[0]))
        y = b.depthwise(
            x,
            case.kernel,
            multiplier=case.multiplier,
            stride=case.stride,
            padding=case.padding,
            dilation=case.dilation,
            act=case.act,
            zero_point=case.zero_points[1],
            gain=case.gain,
            name=name,
        )
        b.exit(f"after {name}", y, final=name == list(CASES)[-1])
    return b.graph("depthwise_cases")


@pytest.fixture(scope="module")
def differential(tmp_path_factory: pytest.TempPathFactory) -> Differential:
    return Differential(network(), tmp_path_factory.mktemp("depthwise"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", CASES)
def test_simulator_equals_cmsis_nn(differential: Differential, case: str, where: str) -> None:
    differential.check(where, case)
