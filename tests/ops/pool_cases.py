"""Geometries of both poolings."""

from dataclasses import dataclass
from typing import Literal

from support.builder import OPEN, Builder, Clamp

from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import HW, Padding, Quant

SAME = Padding.same(1, 1)


@dataclass(frozen=True)
class Case:
    size: HW = HW(8, 8)
    channels: int = 8
    kernel: HW = HW(2, 2)
    stride: HW = HW(2, 2)
    padding: Padding = Padding()
    act: Clamp = OPEN


CASES = {
    "halves": Case(),
    "overlapping": Case(kernel=HW(3, 3), stride=HW(1, 1)),
    "3x3, stride 2, padded": Case(size=HW(7, 7), kernel=HW(3, 3), padding=SAME),
    "padding at the bottom and right": Case(size=HW(7, 7), padding=Padding(0, 0, 1, 1)),
    "padding at the top and left": Case(kernel=HW(3, 3), stride=HW(3, 3), padding=Padding(2, 1, 0, 0)),
    "gaps between windows": Case(kernel=HW(2, 2), stride=HW(3, 3)),
    "the whole map": Case(kernel=HW(8, 8), stride=HW(8, 8)),
    "rows": Case(kernel=HW(1, 8), stride=HW(1, 8)),
    "columns": Case(kernel=HW(5, 1), stride=HW(3, 1)),
    "one pixel": Case(size=HW(1, 1), kernel=HW(1, 1), stride=HW(1, 1)),
    "one channel": Case(channels=1, kernel=HW(3, 3), padding=SAME),
    "three channels": Case(channels=3, kernel=HW(3, 3), padding=SAME),
    "a channel more than a multiple of four": Case(channels=13),
    "many channels": Case(size=HW(4, 4), channels=64, kernel=HW(4, 4), stride=HW(4, 4)),
    "relu": Case(act=(-10, 127)),
    "a narrow clamp": Case(kernel=HW(3, 3), padding=SAME, act=(-5, 9)),
    "uneven": Case(size=HW(8, 5), kernel=HW(3, 2), stride=HW(2, 1), padding=Padding(1, 0, 1, 1)),
}


def network(kind: Literal["max_pool", "avg_pool"]) -> QuantGraph:
    """Every case on its own cut of the input, with an exit of its own."""
    b = Builder((1, 8, 8, 64))
    for name, case in CASES.items():
        x = b.cut(case.size, case.channels, Quant(0.05, -3))
        make = b.max_pool if kind == "max_pool" else b.avg_pool
        y = make(x, case.kernel, case.stride, padding=case.padding, act=case.act, name=name)
        b.exit(f"after {name}", y, final=name == list(CASES)[-1])
    return b.graph(f"{kind}_cases")
