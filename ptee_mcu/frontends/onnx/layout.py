"""How the dimensions of an ONNX tensor lie on the axes of a graph tensor, which is always (1, H, W, C) or (1, C).

Per ONNX dimension a string names the axes that it runs over, slowest first; axes of one element are in none of them.
NCHW is ("", "C", "H", "W"); flattened to (1, C * H * W) it is ("", "CHW"); after a global pool ("", "C", "", "").
Transposing permutes the strings, squeezing removes an empty one, and neither needs a node.
"""

from collections.abc import Mapping
from math import prod

import numpy as np
import numpy.typing as npt

from ptee_mcu.tensor import Shape

Dims = tuple[str, ...]
AXES = "HWC"  # in the order of their bytes
CHANNELS_FIRST = {2: "NC", 3: "NCW", 4: "NCHW"}
CHANNELS_LAST = {2: "NC", 3: "NWC", 4: "NHWC"}


def extents(shape: Shape) -> dict[str, int]:
    """Elements along H, W and C of a graph tensor."""
    return dict(zip(AXES, (1, 1, shape[1]) if len(shape) == 2 else shape[1:], strict=True))


def used_axes(shape: Shape) -> str:
    """The axes of a graph tensor that have more than one element, in the order of their bytes."""
    return "".join(axis for axis, size in extents(shape).items() if size > 1)


def dims_of(shape: Shape, letters: str) -> Dims:
    """Dimensions named by `letters` on a graph tensor of `shape`; "NCHW" on (1, 1, 1, 8) is ("", "C", "", "")."""
    used = used_axes(shape)
    return tuple(letter if letter in used else "" for letter in letters)


def sizes(dims: Dims, of: Mapping[str, int]) -> Shape:
    """The ONNX shape."""
    return tuple(prod(of[axis] for axis in dim) for dim in dims)


def fits(dims: Dims, letters: str) -> bool:
    """True where every dimension runs over the axis that `letters` gives it, or has one element."""
    return len(dims) == len(letters) and all(have in ("", want) for have, want in zip(dims, letters, strict=True))


def regrouped(dims: Dims, of: Mapping[str, int], shape: Shape) -> Dims | None:
    """The same order of elements under the ONNX `shape`; None where that would split an axis."""
    rest = list("".join(dims))
    result = []
    for size in shape:
        dim, count = "", 1
        while count < size and rest:
            axis = rest.pop(0)
            dim, count = dim + axis, count * of[axis]
        if count != size:
            return None
        result.append(dim)
    return None if rest else tuple(result)


def placed_shape(dims: Dims, shape: Shape, letters: str, used: str) -> Shape | None:
    """The graph shape on which `letters` fit, of the same bytes in the same order; None where they would move.

    Args:
        dims: of the ONNX tensor.
        shape: of the ONNX tensor.
        letters: what each of its dimensions shall be.
        used: the axes of the graph tensor with more than one element.
    """
    order = sorted(range(len(letters)), key=lambda i: "NHWC".index(letters[i]))
    if "".join(dims[i] for i in order) != used:
        return None
    by_axis = {letters[i]: shape[i] for i in order}
    return (1, by_axis["C"]) if letters == "NC" else (1, *(by_axis.get(axis, 1) for axis in AXES))


def byte_order(dim: str, of: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """For each element of a merged dimension, in the order of the graph's bytes, its place in the ONNX order."""
    places = np.arange(prod(of[axis] for axis in dim)).reshape([of[axis] for axis in dim])
    return places.transpose([dim.index(axis) for axis in AXES if axis in dim]).ravel()


def reshaped_shape(shape: Shape) -> tuple[Shape, str] | None:
    """Graph shape and letters for an ONNX shape whose elements lie in its own order, one after the other.

    Where channels first and channels last are the same bytes, the former is meant.
    """
    if len(shape) == 2:
        return shape, "NC"
    if len(shape) == 3:
        _, a, b = shape
        return ((1, 1, b, a), "NCW") if 1 in (a, b) else ((1, 1, a, b), "NWC")
    if len(shape) == 4:
        _, a, b, c = shape
        return ((1, b, c, a), "NCHW") if a == 1 or b * c == 1 else (shape, "NHWC")
    return None
