from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builder import OPEN, Builder, Clamp
from support.differential import WHERE, Differential

from ptee_mcu.errors import ModelError, QuantizationError
from ptee_mcu.ops import Activation, Mul, QMul
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.requant import Requant
from ptee_mcu.sim.kernels.mul import products
from ptee_mcu.tensor import HW, Float, Quant, Shape, readonly

FIRST, SECOND, PRODUCT = Quant(0.05, -3), Quant(0.04, 7), Quant(0.07, 4)
CODES = np.arange(-128, 128)


@dataclass(frozen=True)
class Case:
    first: Quant = FIRST
    second: Quant = SECOND
    output: Quant = PRODUCT
    act: Clamp = OPEN
    size: HW = HW(4, 4)
    channels: int = 5
    gate: bool = False
    twice: bool = False


CASES = {
    "like scales": Case(),
    "a coarse output": Case(output=Quant(1.0, 0)),
    "an output that shifts left": Case(Quant(1.0, 0), Quant(1.0, 0), Quant(0.003, 5)),
    "as far left as can be": Case(Quant(1.0, 0), Quant(1.0, 0), Quant(1.001 / 2**14, 5)),
    "all but nothing left": Case(Quant(1e-3, 1), Quant(1e-3, 0), Quant(0.005, 0)),
    "lowest zero points": Case(Quant(0.05, -128), Quant(0.06, -128), Quant(0.9, -128)),
    "highest zero points": Case(Quant(0.05, 127), Quant(0.06, 127), Quant(0.9, -100)),
    "opposite zero points": Case(Quant(0.05, -128), Quant(0.06, 127), Quant(0.9, 100)),
    "relu": Case(act=(-10, 127)),
    "a narrow clamp": Case(act=(-5, 9)),
    "a tensor and itself": Case(twice=True),
    "one element": Case(size=HW(1, 1), channels=1),
    "a whole map": Case(size=HW(8, 8), channels=16),
    "a gate per channel": Case(gate=True, second=Quant(1 / 255, -128)),
    "a gate of one channel": Case(gate=True, channels=1),
    "a gate on one pixel": Case(gate=True, size=HW(1, 1)),
    "a gate on a whole map": Case(gate=True, size=HW(8, 8), channels=16),
}
CONSTANTS: dict[str, int] = {"a constant": 1, "a constant per channel": 6}


def network() -> QuantGraph:
    """Every case on two overlapping cuts of the input, with an exit of its own."""
    b = Builder((1, 9, 9, 17))
    for name, case in CASES.items():
        first = b.cut(case.size, case.channels, case.first)
        size = HW(1, 1) if case.gate else case.size
        second = first if case.twice else b.cut(size, case.channels, case.second, start=1)
        y = b.mul(first, second, output=case.output, act=case.act, name=name)
        b.exit(f"after {name}", y)
    for name, count in CONSTANTS.items():
        factor = b.integers(-128, 128, count, np.int8)
        op = QMul(3, -7, 4, Requant.from_real([0.02]), -128, 127, factor)
        b.exit(f"after {name}", b.node(op, b.cut(HW(3, 5), 6, FIRST), name=name, quant=PRODUCT))
    features = b.linear("input", 7, name="gating features")
    b.exit("of features", b.mul(b.cut(HW(4, 3), 7, FIRST), features, name="gate of features"))
    b.exit("features", b.mul(features, b.linear("input", 7), name="features by features"), final=True)
    return b.graph("mul_cases")


@pytest.fixture(scope="module")
def differential(tmp_path_factory: pytest.TempPathFactory) -> Differential:
    return Differential(network(), tmp_path_factory.mktemp("mul"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", [*CASES, *CONSTANTS, "gate of features", "features by features"])
def test_simulator_equals_c(differential: Differential, case: str, where: str) -> None:
    if case == "all but nothing left":
        differential.compare(where, case)
    else:
        differential.check(where, case)


scales = st.floats(1e-4, 10.0)
zero_points = st.integers(-128, 127)


@given(scales, scales, st.floats(1e-3, 10.0), st.tuples(zero_points, zero_points, zero_points))
def test_every_product_is_within_a_code_of_the_real_one(
    a: float, b: float, c: float, zeros: tuple[int, int, int]
) -> None:
    first, second, output = Quant(a, zeros[0]), Quant(b, zeros[1]), Quant(max(c, a * b / 2**13), zeros[2])
    op = Mul().quantize("mul", [first, second], output, {})
    assert isinstance(op, QMul)
    found = products(op)[np.ix_(CODES.astype(np.int8).view(np.uint8), CODES.astype(np.int8).view(np.uint8))]
    real = np.multiply.outer((CODES - zeros[0]) * a, (CODES - zeros[1]) * b)
    exact = np.clip(real / output.scale + output.zero_point, -128, 127)
    assert np.abs(found - exact).max() <= 1.0


def test_a_hand_computed_product() -> None:
    # 0.5 * (10 - 0) * 0.25 * (20 - 4) = 20; 20 / 2 + 3 = 13
    op = Mul().quantize("mul", [Quant(0.5, 0), Quant(0.25, 4)], Quant(2.0, 3), {})
    assert isinstance(op, QMul)
    assert products(op)[10, 20] == 13


GATES: dict[str, tuple[Shape, Shape]] = {
    "equal shapes": ((2, 3, 4, 5), (2, 3, 4, 5)),
    "a gate per channel": ((2, 3, 4, 5), (2, 1, 1, 5)),
    "a gate of features": ((2, 3, 4, 5), (2, 5)),
    "features": ((2, 5), (2, 5)),
}


@pytest.mark.parametrize("name", GATES)
def test_forward_multiplies_each_image_by_its_own_gate(name: str) -> None:
    random = np.random.default_rng(0)
    a, b = (random.standard_normal(shape).astype(np.float32) for shape in GATES[name])
    expected = np.stack([a[i] * b[i].reshape(-1, b.shape[-1]).reshape(b[i].shape) for i in range(2)])
    np.testing.assert_array_equal(Mul().forward([a, b], {}), expected)
    clamped = Mul(Activation(min=0.0)).forward([a, b], {})
    np.testing.assert_array_equal(clamped, np.maximum(expected, 0))


def constant(*values: float) -> Float:
    found: Float = readonly(values, np.float32)
    return found


def test_forward_multiplies_by_a_constant_per_channel() -> None:
    x = np.ones((2, 2, 2, 3), np.float32)
    y = Mul().forward([x], {"factor": constant(1, -2, 3)})
    np.testing.assert_array_equal(y[1, 1, 1], [1, -2, 3])


@pytest.mark.parametrize(
    "shapes", [((1, 4, 4, 5), (1, 4, 4, 1)), ((1, 1, 1, 5), (1, 4, 4, 5)), ((1, 5), (1, 1))], ids=str
)
def test_other_shapes_are_refused(shapes: tuple[Shape, ...]) -> None:
    with pytest.raises(ModelError, match="needs two inputs of one shape, or a second of one number per channel"):
        Mul().output_shape(shapes, {})


def test_a_factor_of_another_shape_is_refused() -> None:
    with pytest.raises(ModelError, match=r"a constant factor of shape \(2,\) on inputs \(\(1, 4, 4, 3\),\)"):
        Mul().output_shape([(1, 4, 4, 3)], {"factor": constant(1, 2)})


def test_a_constant_factor_must_be_folded() -> None:
    with pytest.raises(QuantizationError, match="scale: Mul by a constant must be folded"):
        Mul().quantize("scale", [FIRST], PRODUCT, {"factor": constant(2)})


@pytest.mark.parametrize(("finest", "factor"), [(1e-4, r"2e\+04"), (1e-12, r"2e\+12"), (1.99999999999 / 2**14, "1.64")])
def test_an_output_scale_far_below_the_product_is_refused(finest: float, factor: str) -> None:
    with pytest.raises(QuantizationError, match=rf"gate: the product of the input scales is {factor}"):
        Mul().quantize("gate", [Quant(2.0, 0), Quant(1.0, 0)], Quant(finest, 0), {})
