"""A TFLite file as a network: integers where it is int8, a float graph elsewhere."""

from pathlib import Path

from ptee_mcu.frontends.imported import Imported
from ptee_mcu.frontends.tflite.file import read_tflite
from ptee_mcu.frontends.tflite.int8 import import_int8
from ptee_mcu.frontends.tflite.model import Dtype, TfliteModel

_INTEGER = (Dtype.INT8, Dtype.UINT8, Dtype.INT16)


def load_tflite(path: Path, name: str) -> Imported:
    """The network in the file at `path`, called `name`.

    Raises:
        ModelError: where the file is damaged.
        UnsupportedOpError: naming an operator that has no counterpart here.
        QuantizationError: where an accumulator could exceed int32.
    """
    model = read_tflite(path)
    if is_integer(model):
        return import_int8(model, name)
    from ptee_mcu.frontends.tflite.float import import_float  # noqa: PLC0415 - int8 files do without

    return import_float(model, name)


def is_integer(model: TfliteModel) -> bool:
    """True where an operator computes int8, uint8 or int16."""
    made = (model.tensors[i] for op in model.operators for i in op.outputs)
    return any(tensor.dtype in _INTEGER for tensor in made)
