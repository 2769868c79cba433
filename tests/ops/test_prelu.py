from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builder import Builder
from support.differential import WHERE, Differential

from ptee_mcu.errors import ModelError, QuantizationError
from ptee_mcu.ops import PReLU, QPReLU
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.sim.kernels.prelu import slopes
from ptee_mcu.tensor import HW, Quant, readonly

SOURCE, SLOPES = Quant(0.05, -3), Quant(0.01, 0)
CODES = np.arange(-128, 128)


@dataclass(frozen=True)
class Case:
    source: Quant = SOURCE
    slopes: Quant = SLOPES
    output: Quant = SOURCE
    size: HW = HW(4, 4)
    channels: int = 5


CASES = {
    "the same code": Case(),
    "offset slopes": Case(slopes=Quant(0.008, -128)),
    "slopes above one": Case(slopes=Quant(0.03, 4)),
    "a coarse output": Case(output=Quant(0.7, 20)),
    "a fine output": Case(output=Quant(0.001, 20)),
    "as far left as can be": Case(source=Quant(1.0, 0), slopes=Quant(1 / 512, 3), output=Quant(1.001 / 2**22, 0)),
    "only negative values": Case(source=Quant(0.05, 127)),
    "no negative value": Case(source=Quant(0.05, -128)),
    "one element": Case(size=HW(1, 1), channels=1),
    "a whole map": Case(size=HW(8, 8), channels=16),
}


def network() -> QuantGraph:
    """Every case on a cut of the input, with an exit of its own."""
    b = Builder((1, 9, 9, 17))
    for name, case in CASES.items():
        x = b.cut(case.size, case.channels, case.source)
        b.exit(f"after {name}", b.prelu(x, slopes=case.slopes, output=case.output, name=name))
    b.exit("of features", b.prelu(b.linear("input", 7), name="features"), final=True)
    return b.graph("prelu_cases")


@pytest.fixture(scope="module")
def differential(tmp_path_factory: pytest.TempPathFactory) -> Differential:
    return Differential(network(), tmp_path_factory.mktemp("prelu"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", [*CASES, "features"])
def test_simulator_equals_c(differential: Differential, case: str, where: str) -> None:
    differential.check(where, case)


scales = st.floats(1e-3, 1.0)
zero_points = st.integers(-128, 127)


@given(
    scales, scales, st.tuples(zero_points, zero_points), st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=4)
)
def test_every_code_is_within_a_code_of_the_real_value(
    a: float, c: float, zeros: tuple[int, int], real_slopes: list[float]
) -> None:
    source, output = Quant(a, zeros[0]), Quant(c, zeros[1])
    op = PReLU().quantize("prelu", [source], output, {"slope": readonly(real_slopes, np.float32)})
    assert isinstance(op, QPReLU)
    found = slopes(op)[:, CODES.astype(np.int8).view(np.uint8)]
    scale = max(np.abs(real_slopes).max(), 1e-6) / 127
    x = (CODES - zeros[0]) * a
    real = np.where(x >= 0, x, np.multiply.outer(op.alpha * scale, x))
    exact = np.clip(real / c + zeros[1], -128, 127)
    assert np.abs(found - exact).max() <= 1.0


def test_a_hand_computed_slope() -> None:
    # Slopes 0.5 and -0.25 at a scale of 0.5 / 127 become 127 and -64 (-63.5 away from zero).
    op = PReLU().quantize("p", [Quant(1.0, 0)], Quant(1.0, 0), {"slope": readonly([0.5, -0.25], np.float32)})
    assert isinstance(op, QPReLU)
    assert op.alpha.tolist() == [127, -64]
    # -10 * 127 * 0.5 / 127 = -5; -10 * -64 * 0.5 / 127 = 2.52
    assert slopes(op)[:, np.int8(-10).view(np.uint8)].tolist() == [-5, 3]
    assert slopes(op)[:, 10].tolist() == [10, 10]


def test_forward_takes_one_slope_per_channel() -> None:
    x = np.array([[-2.0, -2.0, 3.0]], np.float32)
    y = PReLU().forward([x], {"slope": readonly([0.5, -1, 0.5], np.float32)})
    np.testing.assert_array_equal(y, [[-1, 2, 3]])


def test_slopes_for_other_channels_are_refused() -> None:
    with pytest.raises(ModelError, match=r"slopes of shape \(2,\) on an input of 3 channels"):
        PReLU().output_shape([(1, 3)], {"slope": readonly([0.1, 0.2], np.float32)})


def test_a_slope_that_is_not_finite_is_refused() -> None:
    with pytest.raises(QuantizationError, match="act: a slope is NaN or infinite"):
        PReLU().quantize("act", [Quant(1.0, 0)], Quant(1.0, 0), {"slope": readonly([np.nan], np.float32)})


@pytest.mark.parametrize(("source", "slope", "what"), [(1e8, 1.0, "the input scale"), (1.0, 1e8, "the product of the")])
def test_scales_far_above_the_output_are_refused(source: float, slope: float, what: str) -> None:
    with pytest.raises(QuantizationError, match=f"act: {what}"):
        PReLU().quantize("act", [Quant(source, 0)], Quant(1.0, 0), {"slope": readonly([slope], np.float32)})
