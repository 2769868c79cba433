import pytest
from support.builder import Builder
from support.differential import WHERE, Differential

from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import HW, Quant

QUANT = Quant(0.05, -3)
# Height and width, then the channels of each input.
CASES: dict[str, tuple[HW, tuple[int, ...]]] = {
    "two of one width": (HW(4, 4), (4, 4)),
    "a narrow and a wide": (HW(4, 4), (1, 15)),
    "three": (HW(3, 5), (2, 7, 3)),
    "seven single channels": (HW(2, 2), (1,) * 7),
    "one pixel": (HW(1, 1), (5, 6)),
    "one row": (HW(1, 8), (3, 3)),
    "only one": (HW(3, 3), (5,)),
}


def network() -> QuantGraph:
    """Every case on cuts of the input, with an exit of its own."""
    b = Builder((1, 10, 10, 22))
    for name, (size, channels) in CASES.items():
        parts = [b.cut(size, count, QUANT, start=start) for start, count in enumerate(channels)]
        b.exit(f"after {name}", b.concat(*parts, name=name))
    same = b.linear("input", 3)
    b.exit("of features", b.concat(same, same, b.linear("input", 2), name="features"), final=True)
    return b.graph("concat_cases")


@pytest.fixture(scope="module")
def differential(tmp_path_factory: pytest.TempPathFactory) -> Differential:
    return Differential(network(), tmp_path_factory.mktemp("concat"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", [*CASES, "features"])
def test_simulator_equals_c(differential: Differential, case: str, where: str) -> None:
    differential.check(where, case)
