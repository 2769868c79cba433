"""CMSIS-NN compiled for this host, behind the same signature as the simulator's kernels."""

import ctypes
import subprocess
from collections.abc import Sequence
from ctypes import POINTER, c_int32, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
from support.tools import require

from ptee_mcu.firmware import cmsis_nn, tools
from ptee_mcu.ops import QAdd, QAvgPool2d, QConv2d, QDepthwiseConv2d, QFullyConnected, QMaxPool2d, QOp
from ptee_mcu.tensor import HW, Int8, Int32, QTensor

RUNTIME = Path(__file__).parents[2] / "templates" / "runtime"
FUNCTIONS: dict[type[QOp], str] = {
    QConv2d: "reference_conv2d",
    QDepthwiseConv2d: "reference_depthwise_conv2d",
    QFullyConnected: "reference_fully_connected",
    QAvgPool2d: "reference_avg_pool2d",
    QMaxPool2d: "reference_max_pool2d",
}


_SIZES = ("batch", *(f"{tensor}_{axis}" for tensor in ("input", "output") for axis in "hwc"))
_PAIRS = (f"{name}_{axis}" for name in ("kernel", "stride", "padding", "dilation") for axis in "hw")
_CODES = ("input_offset", "output_offset", "act_min", "act_max")


class Layer(ctypes.Structure):
    _fields_ = tuple((name, c_int32) for name in (*_SIZES, *_PAIRS, *_CODES))


class Constants(ctypes.Structure):
    _fields_ = tuple((name, c_void_p) for name in ("weights", "bias", "multiplier", "shift"))


class Reference:
    """The compiled functions."""

    def __init__(self, folder: Path) -> None:
        """Compiles them in `folder`."""
        require("gcc", "cmsis-nn")
        location = cmsis_nn.locate()
        (folder / "arm_acle.h").touch()  # 4.0.0 includes it on a host, and needs nothing of it
        includes = [location.folder / "Include", location.core / "Include", folder, RUNTIME]
        sources = [*location.folder.rglob("*.c"), RUNTIME / "ptee_add.c", Path(__file__).with_name("reference.c")]
        library = folder / "libreference.so"
        options = ["-O2", "-w", "-shared", "-fPIC", *(f"-I{path}" for path in includes)]
        command = [tools.find("gcc").path, *options, *sorted(sources), "-o", library]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        self._c = ctypes.CDLL(str(library))
        for name in FUNCTIONS.values():
            getattr(self._c, name).argtypes = [POINTER(Layer), POINTER(Constants), c_void_p, c_void_p]

    def run(self, op: QOp, inputs: Sequence[Int8], output: QTensor) -> Int8:
        """What the C makes of a batch, as a simulator's kernel would return it."""
        if isinstance(op, QAdd):
            return self._add(op, *inputs)
        (x,) = inputs
        x = np.ascontiguousarray(x)
        codes = np.zeros((len(x), *output.shape[1:]), np.int8)
        requant = getattr(op, "requant", None)
        arrays = [getattr(op, "weights", None), getattr(op, "bias", None)]
        arrays += [None, None] if requant is None else [requant.multiplier, requant.shift]
        constants = Constants(*(None if array is None else array.ctypes.data for array in arrays))
        status = getattr(self._c, FUNCTIONS[type(op)])(
            _layer(op, x, output), constants, x.ctypes.data, codes.ctypes.data
        )
        assert status == 0
        return codes

    def requantize(self, values: Int32, multiplier: int, shift: int) -> Int32:
        return self._each("reference_requantize", values, c_int32(multiplier), c_int32(shift))

    def divide_by_power_of_two(self, values: Int32, exponent: int) -> Int32:
        return self._each("reference_divide", values, c_int32(exponent))

    def _each(self, name: str, values: Int32, *arguments: Any) -> Int32:
        output = np.empty_like(values)
        data = (c_void_p(array.ctypes.data) for array in (values, output))
        getattr(self._c, name)(c_int32(values.size), next(data), *arguments, next(data))
        return output

    def _add(self, op: QAdd, a: Int8, b: Int8) -> Int8:
        output = np.empty_like(a)
        data = [c_void_p(array.ctypes.data) for array in (op.requant.multiplier, op.requant.shift, a, b, output)]
        numbers = [a.size, op.input1_offset, op.input2_offset, op.output_offset, op.act_min, op.act_max]
        count, first, second, *rest = map(c_int32, numbers)
        self._c.reference_add(count, first, second, *data[:2], *rest, *data[2:])
        return output


def _layer(op: Any, x: Int8, output: QTensor) -> Layer:
    shape, one = (1, 1, x[0].size) if isinstance(op, QFullyConnected) else x.shape[1:], HW(1, 1)
    made = output.shape[1:] if len(output.shape) == 4 else (1, 1, output.shape[1])
    pairs = [getattr(op, name, one) for name in ("kernel", "stride")]
    padding = getattr(op, "padding", None)
    start = HW(padding.top, padding.left) if padding else HW(0, 0)
    windows = [n for pair in (*pairs, start, getattr(op, "dilation", one)) for n in (pair.h, pair.w)]
    offsets = [getattr(op, name, 0) for name in ("input_offset", "output_offset")]
    return Layer(len(x), *shape, *made, *windows, *offsets, op.act_min, op.act_max)
