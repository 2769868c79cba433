from dataclasses import dataclass

import numpy as np
import pytest
from support.builder import Builder
from support.differential import WHERE, Differential

from ptee_mcu.errors import ModelError, QuantizationError
from ptee_mcu.ops import QMean
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.sim.kernels.mean import run
from ptee_mcu.tensor import HW, Int8, QTensor, Quant

SOURCE, OUTPUT = Quant(0.05, -3), Quant(0.02, 7)


@dataclass(frozen=True)
class Case:
    size: HW = HW(4, 4)
    channels: int = 8
    source: Quant = SOURCE
    output: Quant = OUTPUT
    keep_dims: bool = True


CASES = {
    "a power of two of pixels": Case(),
    "an odd count": Case(size=HW(3, 5), channels=5),
    "one pixel": Case(size=HW(1, 1)),
    "one channel": Case(channels=1, size=HW(7, 7)),
    "without kept dimensions": Case(size=HW(5, 6), keep_dims=False),
    "one code for both": Case(output=Quant(0.05, -3)),
    "lowest zero points": Case(source=Quant(0.05, -128), output=Quant(0.05, -128)),
    "highest zero points": Case(source=Quant(0.05, 127), output=Quant(0.03, 127)),
    "a much finer output": Case(size=HW(1, 2), output=Quant(0.0004, 0)),
    "a much coarser output": Case(output=Quant(1.1, 0), size=HW(2, 2)),
}


def network() -> QuantGraph:
    """Every case on a cut of the input, with an exit of its own."""
    b = Builder((1, 7, 7, 8))
    for name, case in CASES.items():
        x = b.cut(case.size, case.channels, case.source)
        y = b.mean(x, case.output, keep_dims=case.keep_dims, name=name)
        b.exit(f"after {name}", y, final=name == list(CASES)[-1])
    return b.graph("mean_cases")


@pytest.fixture(scope="module")
def differential(tmp_path_factory: pytest.TempPathFactory) -> Differential:
    return Differential(network(), tmp_path_factory.mktemp("mean"))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", CASES)
def test_simulator_equals_c(differential: Differential, case: str, where: str) -> None:
    differential.check(where, case)


def scalar_mean(codes: Int8, source: Quant, output: Quant) -> int:
    """The mean of one channel as tflite's QuantizedMeanOrSum states it, in whole numbers."""
    mantissa, exponent = np.frexp(source.scale / output.scale)
    multiplier, shift = round(float(mantissa) * 2**31), int(exponent)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    less = min(codes.size.bit_length() - 1, 32, 31 + shift)
    multiplier, shift = (multiplier << less) // codes.size, shift - less
    high = (
        (int(codes.sum(dtype=np.int64)) - source.zero_point * codes.size) * 2 ** max(shift, 0) * multiplier + 2**30
    ) // 2**31
    half = 2 ** max(-shift, 0)
    code = (abs(high) + half // 2) // half * (1 if high >= 0 else -1) + output.zero_point
    return min(max(code, -128), 127)


@pytest.mark.parametrize("size", [HW(1, 1), HW(3, 3), HW(4, 8), HW(13, 11)], ids=str)
@pytest.mark.parametrize("scales", [(0.05, 0.05), (0.05, 0.0173), (0.0131, 0.05), (3.0, 0.001)], ids=str)
def test_means_are_those_of_a_scalar_statement(size: HW, scales: tuple[float, float]) -> None:
    source, output = Quant(scales[0], 11), Quant(scales[1], -5)
    op = QMean.of("mean", source, output, size, keep_dims=False)
    x = np.random.default_rng(size.h).integers(-128, 128, (3, size.h, size.w, 6), dtype=np.int8)
    found = run(op, [x], QTensor((1, 6), output))
    expected = [[scalar_mean(x[n, :, :, c], source, output) for c in range(6)] for n in range(3)]
    np.testing.assert_array_equal(found, expected)


def test_a_mean_is_made_for_one_size() -> None:
    op = QMean.of("mean", Quant(0.05, 0), Quant(0.05, 0), HW(4, 4), keep_dims=True)
    with pytest.raises(ModelError, match="QMean: made for maps of 4x4, reads 3x4"):
        op.output_shape([(1, 3, 4, 2)])


@pytest.mark.parametrize("finest", [1e-5, 1e-12])
def test_a_sum_that_int32_does_not_hold_is_refused(finest: float) -> None:
    with pytest.raises(QuantizationError, match=r"pool: the sum of a 2x2 map can reach \d+, above int32's 2147483647"):
        QMean.of("pool", Quant(1000.0, 0), Quant(finest, 0), HW(2, 2), keep_dims=True)
