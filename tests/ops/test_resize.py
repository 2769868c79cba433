import numpy as np
import pytest
from support.builder import Builder
from support.differential import WHERE, Differential

from ptee_mcu.errors import ModelError
from ptee_mcu.ops import QResizeNearest, ResizeNearest
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import HW, Quant

# Height and width, channels, scale.
CASES: dict[str, tuple[HW, int, HW]] = {
    "twice": (HW(3, 4), 8, HW(2, 2)),
    "odd channels": (HW(4, 3), 5, HW(2, 2)),
    "one channel": (HW(4, 4), 1, HW(3, 2)),
    "height only": (HW(3, 3), 4, HW(4, 1)),
    "width only": (HW(3, 3), 4, HW(1, 3)),
    "one pixel": (HW(1, 1), 16, HW(5, 7)),
    "nothing": (HW(3, 2), 3, HW(1, 1)),
}


def network() -> QuantGraph:
    """Every case on a cut of the input, with an exit of its own."""
    b = Builder((1, 5, 5, 16))
    for name, (size, channels, scale) in CASES.items():
        x = b.cut(size, channels, Quant(0.05, -3))
        b.exit(f"after {name}", b.resize(x, scale, name=name), final=name == list(CASES)[-1])
    return b.graph("resize_cases")


@pytest.fixture(scope="module")
def differential(tmp_path_factory: pytest.TempPathFactory) -> Differential:
    return Differential(network(), tmp_path_factory.mktemp("resize"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", CASES)
def test_simulator_equals_c(differential: Differential, case: str, where: str) -> None:
    differential.check(where, case)


def test_every_pixel_becomes_a_block() -> None:
    x = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1)
    expected = [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1], [2, 2, 2, 3, 3, 3], [2, 2, 2, 3, 3, 3]]
    np.testing.assert_array_equal(ResizeNearest(HW(2, 3)).forward([x], {})[0, :, :, 0], expected)


def test_a_scale_below_one_is_refused() -> None:
    with pytest.raises(ModelError, match="QResizeNearest: a scale of 0x2"):
        QResizeNearest(HW(0, 2)).output_shape([(1, 2, 2, 1)])
