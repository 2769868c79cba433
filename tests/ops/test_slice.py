import pytest
from support.builder import Builder
from support.differential import WHERE, Differential

from ptee_mcu.ops import QSlice
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import HW

# Of an input of 9x8x6.
CASES = {
    "everything": QSlice(HW(0, 0), HW(1, 1), 0, (1, 9, 8, 6)),
    "every second pixel": QSlice(HW(0, 0), HW(2, 2), 0, (1, 5, 4, 6)),
    "every second pixel from the second": QSlice(HW(1, 1), HW(2, 2), 0, (1, 4, 4, 6)),
    "rows only": QSlice(HW(2, 0), HW(3, 1), 0, (1, 3, 8, 6)),
    "columns only": QSlice(HW(0, 3), HW(1, 2), 0, (1, 9, 3, 6)),
    "some channels": QSlice(HW(0, 0), HW(1, 1), 2, (1, 9, 8, 3)),
    "the last channel": QSlice(HW(0, 0), HW(1, 1), 5, (1, 9, 8, 1)),
    "the last pixel": QSlice(HW(8, 7), HW(1, 1), 0, (1, 1, 1, 6)),
    "one element": QSlice(HW(4, 3), HW(2, 2), 1, (1, 1, 1, 1)),
    "a step beyond the end": QSlice(HW(1, 0), HW(20, 20), 0, (1, 1, 1, 6)),
}


def network() -> QuantGraph:
    """Every case on the input, with an exit of its own."""
    b = Builder((1, 9, 8, 6))
    for name, op in CASES.items():
        b.exit(f"after {name}", b.node(op, "input", name=name), final=name == list(CASES)[-1])
    return b.graph("slice_cases")


@pytest.fixture(scope="module")
def differential(tmp_path_factory: pytest.TempPathFactory) -> Differential:
    return Differential(network(), tmp_path_factory.mktemp("slice"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", CASES)
def test_simulator_equals_c(differential: Differential, case: str, where: str) -> None:
    differential.check(where, case)
