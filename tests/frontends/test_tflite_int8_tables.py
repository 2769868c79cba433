from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tflite", reason="writing TFLite files needs the package tflite")

from support.litert import reference
from support.tflite_files import Op, T, code, write

from ptee_mcu.errors import QuantizationError
from ptee_mcu.frontends.tflite import int8_tables
from ptee_mcu.tensor import Quant

CODES = np.arange(-128, 128, dtype=np.int8).reshape(1, 1, 16, 16, 1)
NETWORKS = 300


def test_a_hard_swish_is_that_of_the_reference_kernel_at_any_scale(tmp_path: Path) -> None:
    """All 256 codes, input scales from 2**-24 to 2**6, output scales up to 2**24 times larger or 100 times smaller."""
    chance, path = np.random.default_rng(0), tmp_path / "net.tflite"
    ratios = np.exp2(np.linspace(-6.6, 24, NETWORKS))
    for ratio in ratios:
        scale = float(np.float32(2.0 ** chance.uniform(-24, 6)))
        given, made = (int(zero) for zero in chance.integers(-128, 128, 2))
        source, output = Quant(scale, given), Quant(float(np.float32(scale * ratio)), made)
        tensors = [T((1, 16, 16, 1), **code(q.scale, q.zero_point)) for q in (source, output)]
        write(path, tensors, [Op("HARD_SWISH", (0,), (1,))])
        expected = reference(path, CODES, [1])[1].ravel()
        found = int8_tables.hard_swish("net", source, output)
        np.testing.assert_array_equal(found, expected, err_msg=f"{source}, {output}")


def test_a_hard_swish_that_tflite_refuses_is_refused() -> None:
    with pytest.raises(QuantizationError, match="act: the input scale is 128 times the output scale; a hard swish in"):
        int8_tables.hard_swish("act", Quant(2.0, 0), Quant(1 / 64, 0))
