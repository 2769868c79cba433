import numpy as np
import pytest
from support.builder import Builder
from support.differential import WHERE, Differential

from ptee_mcu.errors import QuantizationError
from ptee_mcu.ops import HardSigmoid, HardSwish, LeakyReLU, QLookup, Sigmoid, SiLU, Tanh
from ptee_mcu.ops.elementwise import Elementwise
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import HW, Quant

SOURCE = Quant(0.05, -3)
CODES = np.arange(-128, 128)
SIZES = {
    "one element": (HW(1, 1), 1),
    "three elements": (HW(1, 3), 1),
    "five elements": (HW(1, 1), 5),
    "a whole map": (HW(8, 8), 16),
}
# Functions with the range of their output over the real values of SOURCE, -6.25 to 6.5, and beyond.
FUNCTIONS: dict[str, tuple[Elementwise, Quant]] = {
    "sigmoid": (Sigmoid(), Quant(1 / 256, -128)),
    "hard sigmoid": (HardSigmoid(), Quant(1 / 255, -128)),
    "hard swish": (HardSwish(), Quant(0.028, -114)),
    "silu": (SiLU(), Quant(0.027, -118)),
    "tanh": (Tanh(), Quant(1 / 128, 0)),
    "leaky relu": (LeakyReLU(0.1), Quant(0.03, -100)),
    "a clipped silu": (SiLU(), Quant(0.01, 0)),
}


def network() -> QuantGraph:
    b = Builder((1, 8, 8, 16))
    for name, (size, channels) in SIZES.items():
        b.exit(f"after {name}", b.lookup(b.cut(size, channels, SOURCE), name=name))
    for name, (function, output) in FUNCTIONS.items():
        table = function.quantize(name, [SOURCE], output, {})
        b.exit(f"after {name}", b.node(table, b.cut(HW(8, 8), 4, SOURCE), name=name, quant=output))
    features = b.linear("input", 9)
    b.exit("of features", b.lookup(features, name="features"), final=True)
    return b.graph("lookup_cases")


@pytest.fixture(scope="module")
def differential(tmp_path_factory: pytest.TempPathFactory) -> Differential:
    return Differential(network(), tmp_path_factory.mktemp("lookup"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", [*SIZES, *FUNCTIONS, "features"])
def test_simulator_equals_c(differential: Differential, case: str, where: str) -> None:
    differential.check(where, case)


def codes_of(op: QLookup) -> np.ndarray:
    """The output codes of the input codes -128 to 127."""
    return op.table[CODES.astype(np.int8).view(np.uint8)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_code_is_the_one_nearest_to_the_function_of_its_real_value(name: str) -> None:
    function, output = FUNCTIONS[name]
    found = codes_of(QLookup.of(function.of, SOURCE, output))
    real = function.of((CODES + 3) * 0.05)
    assert real.dtype == np.float64
    exact = np.clip(real / output.scale + output.zero_point, -128, 127)
    assert np.abs(found - exact).max() <= 0.5 + 1e-9


def test_a_table_rounds_halves_away_from_zero() -> None:
    halves = QLookup.of(lambda x: x / 2, Quant(1.0, 0), Quant(1.0, 0))
    assert codes_of(halves)[[128 - 3, 128 - 1, 128 + 1, 128 + 3]].tolist() == [-2, -1, 1, 2]


def test_a_table_given_by_codes_is_indexed_by_their_bytes() -> None:
    op = QLookup.of_codes(CODES[::-1])
    assert op.table[0] == -1  # code 0
    assert op.table[255] == 0  # code -1
    assert codes_of(op).tolist() == CODES[::-1].tolist()


def test_one_code_for_another_of_the_same_scale_moves_by_the_zero_points() -> None:
    found = codes_of(QLookup.requantized(Quant(0.05, 10), Quant(0.05, -20)))
    assert found.tolist() == np.clip(CODES - 30, -128, 127).tolist()


def test_another_scale_is_within_half_a_code_of_the_real_value_or_saturated() -> None:
    found = codes_of(QLookup.requantized(Quant(0.07, 5), Quant(0.03, -9)))
    exact = np.clip((CODES - 5) * 0.07 / 0.03 - 9, -128, 127)
    assert np.abs(found - exact).max() <= 0.5 + 1e-6


def test_scales_too_far_apart_are_refused() -> None:
    with pytest.raises(QuantizationError, match=r"Requantize: the input scale is 1e\+08 times the output scale"):
        QLookup.requantized(Quant(1e4, 0), Quant(1e-4, 0))


def test_a_table_of_another_size_is_refused() -> None:
    with pytest.raises(QuantizationError, match=r"a table of shape \(255,\) where \(256,\) belongs"):
        QLookup.of_codes(CODES[1:])
