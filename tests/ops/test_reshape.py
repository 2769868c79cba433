import pytest
from support.builder import Builder
from support.differential import WHERE, Differential

from ptee_mcu.errors import ModelError
from ptee_mcu.ops import QReshape
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import HW, Quant, Shape

QUANT = Quant(0.05, -3)
# Height, width and channels of the input, then the shape it takes.
CASES: dict[str, tuple[HW, int, Shape]] = {
    "height and width swapped": (HW(3, 5), 4, (1, 5, 3, 4)),
    "channels into width": (HW(2, 3), 8, (1, 2, 12, 2)),
    "one row of pixels": (HW(4, 4), 3, (1, 1, 16, 3)),
    "flat": (HW(2, 3), 5, (1, 30)),
    "one element": (HW(1, 1), 1, (1, 1)),
    "its own shape": (HW(3, 3), 2, (1, 3, 3, 2)),
}


def network() -> QuantGraph:
    """Every case on a cut of the input, with an exit of its own; one input is read again, so that bytes must move."""
    b = Builder((1, 6, 6, 8))
    for name, (size, channels, shape) in CASES.items():
        b.exit(f"after {name}", b.reshape(b.cut(size, channels, QUANT), shape, name=name))
    features = b.linear("input", 12, name="features")
    b.exit("of features", b.reshape(features, (1, 2, 3, 2), name="of a vector"))
    kept = b.cut(HW(4, 4), 4, QUANT)
    moved = b.reshape(kept, (1, 2, 8, 4), name="of what is read again")
    both = b.concat(b.reshape(moved, (1, 64)), b.reshape(kept, (1, 64)), name="both")
    b.exit("final", both, final=True)
    return b.graph("reshape_cases")


@pytest.fixture(scope="module")
def differential(tmp_path_factory: pytest.TempPathFactory) -> Differential:
    return Differential(network(), tmp_path_factory.mktemp("reshape"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", [*CASES, "of a vector", "of what is read again", "both"])
def test_simulator_equals_c(differential: Differential, case: str, where: str) -> None:
    differential.check(where, case)


def test_a_shape_of_other_elements_is_refused() -> None:
    with pytest.raises(ModelError, match=r"24 elements of \(1, 2, 3, 4\) as the 20 of \(1, 20\)"):
        QReshape((1, 20)).output_shape([(1, 2, 3, 4)])


@pytest.mark.parametrize("shape", [(1, 4, 6), (2, 12), (1, -1), (24,)])
def test_only_maps_and_vectors_are_shapes(shape: Shape) -> None:
    with pytest.raises(ModelError, match=r"only \(1, H, W, C\) and \(1, features\)"):
        QReshape(shape).output_shape([(1, 2, 3, 4)])
