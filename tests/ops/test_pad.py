import pytest
from support.builder import Builder
from support.differential import WHERE, Differential

from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import HW, Padding, Quant

# Padding, channels before and after, zero point.
CASES: dict[str, tuple[Padding, int, int, int]] = {
    "all round": (Padding.same(1, 1), 0, 0, -3),
    "four different sides": (Padding(1, 2, 3, 4), 0, 0, 5),
    "channels after": (Padding(), 0, 4, -3),
    "channels before": (Padding(), 4, 0, -3),
    "channels on both sides": (Padding(), 3, 2, 0),
    "everything": (Padding(2, 0, 1, 3), 1, 2, 9),
    "nothing": (Padding(), 0, 0, -3),
    "lowest zero point": (Padding.same(1, 1), 1, 1, -128),
    "highest zero point": (Padding.same(1, 1), 1, 1, 127),
}


def network() -> QuantGraph:
    """Every case on a cut of the input, with an exit of its own."""
    b = Builder((1, 5, 4, 6))
    for name, (padding, before, after, zero_point) in CASES.items():
        x = b.cut(HW(5, 3), 5, Quant(0.05, zero_point))
        b.exit(f"after {name}", b.pad(x, padding, before, after, name=name), final=name == list(CASES)[-1])
    return b.graph("pad_cases")


@pytest.fixture(scope="module")
def differential(tmp_path_factory: pytest.TempPathFactory) -> Differential:
    return Differential(network(), tmp_path_factory.mktemp("pad"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", CASES)
def test_simulator_equals_c(differential: Differential, case: str, where: str) -> None:
    differential.check(where, case)
