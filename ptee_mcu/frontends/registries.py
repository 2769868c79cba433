"""Which ops of each source format have a counterpart: read from the frontends' own tables of converters."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Support:
    """Whether float networks, and int8 ones, may hold an op; `becomes`: what its converter says that it makes of it."""

    float: bool
    int8: bool
    becomes: str = ""


def pytorch() -> Mapping[str, Support]:
    """ATen ops by their names in an exported program.

    Raises:
        ModuleNotFoundError: where torch is not installed.
    """
    from ptee_mcu.frontends.pytorch_ops import CONVERTERS

    return _merged(CONVERTERS, {})


def tflite() -> Mapping[str, Support]:
    """Built-in operators by their names in the schema.

    Raises:
        ModuleNotFoundError: where the package tflite is not installed.
    """
    from ptee_mcu.frontends.tflite.float import CONVERTERS
    from ptee_mcu.frontends.tflite.int8 import HANDLERS

    ends = {
        "DEQUANTIZE": Support(float=True, int8=True, becomes="Nothing: of a constant, or at the end."),
        "SOFTMAX": Support(float="SOFTMAX" in CONVERTERS, int8=True, becomes="Nothing, at the end: left to the host."),
    }
    return {**_merged(CONVERTERS, HANDLERS), **ends}


def onnx() -> Mapping[str, Support]:
    """Operators of the standard domain; int8: between QuantizeLinear and DequantizeLinear.

    Raises:
        ModuleNotFoundError: where the package onnx is not installed.
    """
    from ptee_mcu.frontends.onnx.ops import CONVERTERS

    dropped = Support(float=True, int8=True, becomes="Nothing, at the end: left to the host.")
    ends = {
        "Constant": Support(float=True, int8=True, becomes="A constant."),
        "LogSoftmax": dropped,
        "Softmax": dropped,
    }
    int8 = {kind: convert for kind, convert in CONVERTERS.items() if kind not in _FOLDED_BY_EXPORTERS}
    return {**_merged(CONVERTERS, int8), **ends}


_FOLDED_BY_EXPORTERS = frozenset({"BatchNormalization"})  # into the layer before it, ahead of quantization
FORMATS: Mapping[str, Callable[[], Mapping[str, Support]]] = MappingProxyType(
    {"PyTorch": pytorch, "TensorFlow Lite": tflite, "ONNX": onnx}
)


def _merged(floats: Mapping[str, object], int8: Mapping[str, object]) -> dict[str, Support]:
    kinds = sorted({*floats, *int8})
    return {kind: Support(kind in floats, kind in int8, _says(floats.get(kind) or int8.get(kind))) for kind in kinds}


def _says(converter: object) -> str:
    """The first paragraph of its docstring, on one line."""
    return " ".join((inspect.getdoc(converter) or "").partition("\n\n")[0].split())
