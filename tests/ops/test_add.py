from dataclasses import dataclass

import pytest
from support.builder import OPEN, Builder, Clamp
from support.differential import WHERE, Differential

from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import HW, Quant

FIRST, SECOND, SUM = Quant(0.05, -3), Quant(0.04, 7), Quant(0.07, 4)


@dataclass(frozen=True)
class Case:
    first: Quant = FIRST
    second: Quant = SECOND
    output: Quant = SUM
    act: Clamp = OPEN
    size: HW = HW(4, 4)
    channels: int = 5
    twice: bool = False


CASES = {
    "like scales": Case(),
    "equal scales": Case(second=Quant(0.05, -3)),
    "the first is coarser": Case(first=Quant(0.8, 10)),
    "the second is coarser": Case(second=Quant(0.8, 10)),
    "a thousandfold apart": Case(first=Quant(40.0, 0), second=Quant(0.04, 0), output=Quant(40.0, 0)),
    "a billionfold apart": Case(first=Quant(4e7, 0), second=Quant(0.04, 0), output=Quant(4e7, 0)),
    "a coarse output": Case(output=Quant(3.0, 0)),
    "a fine output": Case(output=Quant(0.001, 0)),
    "lowest zero points": Case(Quant(0.05, -128), Quant(0.06, -128), Quant(0.09, -128)),
    "highest zero points": Case(Quant(0.05, 127), Quant(0.06, 127), Quant(0.09, 127)),
    "opposite zero points": Case(Quant(0.05, -128), Quant(0.06, 127), Quant(0.09, 0)),
    "relu": Case(output=Quant(0.07, -10), act=(-10, 127)),
    "a narrow clamp": Case(act=(-5, 9)),
    "a tensor and itself": Case(twice=True),
    "one element": Case(size=HW(1, 1), channels=1),
    "a whole map": Case(size=HW(8, 8), channels=16),
}


def network() -> QuantGraph:
    """Every case on two overlapping cuts of the input, with an exit of its own."""
    b = Builder((1, 9, 9, 17))
    for name, case in CASES.items():
        first = b.cut(case.size, case.channels, case.first)
        second = first if case.twice else b.cut(case.size, case.channels, case.second, start=1)
        y = b.add(first, second, output=case.output, act=case.act, name=name)
        b.exit(f"after {name}", y, final=name == list(CASES)[-1])
    return b.graph("add_cases")


@pytest.fixture(scope="module")
def differential(tmp_path_factory: pytest.TempPathFactory) -> Differential:
    return Differential(network(), tmp_path_factory.mktemp("add"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", CASES)
def test_simulator_equals_c(differential: Differential, case: str, where: str) -> None:
    differential.check(where, case)
