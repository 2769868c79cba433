"""What LiteRT's reference kernels compute: the yardstick of imported int8 networks."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest


def reference(path: Path, x: npt.NDArray[Any], tensors: Sequence[int]) -> dict[int, npt.NDArray[Any]]:
    """Values of `tensors`, by index, for every input of `x`, one after another; the test skips without LiteRT."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="comparing with LiteRT needs ai-edge-litert")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = litert.Interpreter(
            str(path),
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    found: dict[int, list[npt.NDArray[Any]]] = {tensor: [] for tensor in tensors}
    for image in x:
        interpreter.set_tensor(details["index"], image.reshape(details["shape"]))
        interpreter.invoke()
        for tensor, values in found.items():
            values.append(interpreter.get_tensor(tensor).copy())
    return {tensor: np.stack(values) for tensor, values in found.items()}
