"""Any function of one element at a time in int8: a table of 256 codes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import QuantizationError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Constants, Counts, QOp, Reads, Traffic, Work
from ptee_mcu.ops.code_requant import code_requant
from ptee_mcu.requant import requantize
from ptee_mcu.tensor import INT8_MAX, INT8_MIN, Int8, QTensor, Quant, Shape, readonly

Reals: TypeAlias = npt.NDArray[np.floating[Any]]
Function: TypeAlias = Callable[[Reals], Reals]


@dataclass(frozen=True, slots=True, eq=False)
class QLookup(QOp):
    """Int8 output = table[code & 255]: `table` (256,) is indexed by the byte of the input's code, not by its value."""

    template: ClassVar[str] = "lookup"

    table: Int8

    def __post_init__(self) -> None:
        if self.table.shape != (256,):
            raise QuantizationError(f"Lookup: a table of shape {self.table.shape} where (256,) belongs")

    @classmethod
    def of_codes(cls, codes: npt.NDArray[Any]) -> "QLookup":
        """The table that gives input code i - 128 the output code `codes[i]`, 256 of them in ascending order."""
        return cls(readonly(np.roll(codes, 128), np.int8))

    @classmethod
    def of(cls, function: Function, source: Quant, output: Quant) -> "QLookup":
        """The table nearest to a real function: evaluated in float64, rounded half away from zero, saturated."""
        return cls.of_codes(output.codes(function((_every_code() - source.zero_point) * source.scale)))

    @classmethod
    def requantized(cls, source: Quant, output: Quant) -> "QLookup":
        """The same real values under another code, as TFLite's QUANTIZE from int8 to int8 rounds them.

        Source: reference_ops::Requantize, TensorFlow Lite 2.18 (MultiplyByQuantizedMultiplier, rounded twice).

        Raises:
            QuantizationError: where the scales differ by more than 2**22.
        """
        requant = code_requant("Requantize", source.scale / output.scale)
        values = requantize(_every_code() - source.zero_point, requant).astype(np.int64) + output.zero_point
        return cls.of_codes(np.clip(values, INT8_MIN, INT8_MAX))

    @property
    def constants(self) -> Constants:
        """The table."""
        return {"table": self.table}

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """The input's shape."""
        return inputs[0]

    def counts(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Counts:
        """Neither MACs nor scratch."""
        return Counts()

    def overlap(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> tuple[int | None, ...]:
        """ptee_lookup reads an element, then writes it: the output may start where the input does, or before."""
        return (0,)

    def work(self, inputs: Sequence[QTensor], output: QTensor, isa: Isa) -> Work:
        """Of ptee_lookup: four elements at a time, then the rest; each loads from anywhere in the table."""
        count = output.nbytes
        table = Reads(count, max(1.0, count / 256), 256, 256, 1.0)
        traffic = Traffic({"table": table}, (Reads(count, width=1.0),), 0, 0, count)
        return Work("ptee_lookup", {"call": 1, "quad": count // 4, "element": count % 4}, traffic)


def _every_code() -> npt.NDArray[np.int64]:
    return np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int64)
