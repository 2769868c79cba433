from dataclasses import dataclass, replace

import pytest
from support.builder import OPEN, Builder, Clamp
from support.differential import WHERE, Differential

from ptee_mcu.errors import ModelError
from ptee_mcu.ops import QFullyConnected
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.requant import Requant
from ptee_mcu.tensor import HW, Quant


@dataclass(frozen=True)
class Case:
    size: HW = HW(1, 1)
    channels: int = 16
    out: int = 8
    zero_points: tuple[int, int] = (-3, 2)
    act: Clamp = OPEN
    gain: float = 1.0
    per_channel: bool = False


CASES = {
    "aligned": Case(),
    "one feature": Case(channels=1),
    "three features": Case(channels=3, out=5),
    "a feature more than a multiple of four": Case(channels=17, out=9),
    "one output": Case(out=1),
    "two outputs": Case(out=2),
    "three outputs": Case(out=3),
    "a flattened map": Case(size=HW(4, 3), channels=5, out=10),
    "a large map": Case(size=HW(8, 8), channels=32, out=10),
    "many outputs": Case(channels=7, out=67),
    "lowest zero points": Case(zero_points=(-128, -128)),
    "highest zero points": Case(zero_points=(127, 127)),
    "relu": Case(zero_points=(-3, -10), act=(-10, 127)),
    "a narrow clamp": Case(act=(-5, 9)),
    "everything saturates": Case(gain=300.0),
    "a multiplier above one": Case(channels=2, gain=1500.0),
    "outputs near zero": Case(gain=0.01),
    "a pair per output": Case(per_channel=True),
    "a pair per output, a flattened map": Case(size=HW(4, 3), channels=5, out=10, per_channel=True),
    "a pair per output, many of them": Case(channels=7, out=67, per_channel=True),
    "a pair for each of two": Case(channels=17, out=2, per_channel=True),
    "a pair for each of three": Case(channels=1, out=3, per_channel=True, zero_points=(-128, 127), act=(-5, 127)),
    "pairs above one": Case(channels=2, gain=1500.0, per_channel=True, zero_points=(127, -128)),
    "a pair per output, a large map": Case(size=HW(8, 8), channels=32, out=10, per_channel=True),
}


def network() -> QuantGraph:
    """Every case on its own cut of the input, with an exit of its own."""
    b = Builder((1, 8, 8, 32))
    for name, case in CASES.items():
        x = b.cut(case.size, case.channels, Quant(0.05, case.zero_points[0]))
        y = b.linear(
            x, case.out, act=case.act, zero_point=case.zero_points[1], gain=case.gain, per_channel=case.per_channel,
            name=name,
        )  # fmt: skip
        b.exit(f"after {name}", y, final=name == list(CASES)[-1])
    return b.graph("fully_connected_cases")


@pytest.fixture(scope="module")
def differential(tmp_path_factory: pytest.TempPathFactory) -> Differential:
    return Differential(network(), tmp_path_factory.mktemp("fully_connected"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", CASES)
def test_simulator_equals_cmsis_nn(differential: Differential, case: str, where: str) -> None:
    differential.check(where, case)


def test_pairs_that_are_neither_one_nor_as_many_as_outputs_are_refused() -> None:
    b = Builder((1, 8))
    b.linear("input", 4, per_channel=True)
    op = b.nodes[-1].op
    assert isinstance(op, QFullyConnected)
    short = replace(op, requant=Requant.from_real([0.1, 0.2, 0.3]))
    with pytest.raises(ModelError, match=r"QFullyConnected: 3 rescale pairs for weights \(4, 8\)"):
        short.output_shape([(1, 8)])
