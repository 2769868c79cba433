"""ONNX pools, means over height and width, and nearest-neighbour enlargement as graph nodes."""

from collections.abc import Sequence

import numpy as np

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.onnx import layout
from ptee_mcu.frontends.onnx.trace import Call, Value
from ptee_mcu.frontends.onnx.windows import Window, window
from ptee_mcu.ops import AvgPool2d, MaxPool2d, Pad, ResizeNearest
from ptee_mcu.tensor import HW, Padding

_MOST = 4096.0  # a factor that no map grows by
_SCALE = 1e-6  # how far a float32 factor may be from a whole number


def max_pool(call: Call) -> Value:
    """MaxPool2d."""
    if any(call.trace.uses.get(name, 0) for name in call.node.outputs[1:]):
        raise call.refuse("gives the places of its maxima to other nodes", "only the maxima are supported")
    tensor, letters = call.spatial()
    view = _window(call, tensor, letters)
    return call.trace.value(call.add(MaxPool2d(view.kernel, view.stride, view.padding), [tensor]), letters)


def average_pool(call: Call) -> Value:
    """AvgPool2d; padding that counts in the mean is a Pad before it."""
    tensor, letters = call.spatial()
    view = _window(call, tensor, letters)
    padding = view.padding
    if call.node.integer("count_include_pad", 0) and not view.explicit.is_zero:
        tensor = call.add(Pad(view.explicit), [tensor], label="pad")
        p, q = view.padding, view.explicit
        padding = Padding(p.top - q.top, p.left - q.left, p.bottom - q.bottom, p.right - q.right)
    return call.trace.value(call.add(AvgPool2d(view.kernel, view.stride, padding), [tensor]), letters)


def _window(call: Call, tensor: str, letters: str) -> Window:
    kernel = call.node.integers("kernel_shape", ())
    if len(kernel) != len(letters) - 2:
        raise ModelError(f"{call.node.place}: a kernel of {kernel} on {len(letters)} dimensions")
    _, h, w, _ = call.trace.shapes[tensor]
    view = window(call, HW(h, w), kernel)
    if view.dilation != HW(1, 1):
        raise call.refuse(f"has a dilation of {view.dilation.h}x{view.dilation.w}", "only 1 is supported")
    p = view.padding
    if max(p.top, p.bottom) >= view.kernel.h or max(p.left, p.right) >= view.kernel.w:
        raise call.refuse(f"pads by as much as its kernel of {kernel}", "padding must be smaller than the kernel")
    return view


def global_average(call: Call) -> Value:
    """AvgPool2d over all of H and W."""
    return _global(call, AvgPool2d)


def global_max(call: Call) -> Value:
    """MaxPool2d over all of H and W."""
    return _global(call, MaxPool2d)


def _global(call: Call, kind: type[AvgPool2d | MaxPool2d]) -> Value:
    """Every dimension behind the second is pooled, whatever it holds."""
    x = call.value()
    return _over(call, x, range(2, len(x.shape)), kind)


def reduce_mean(call: Call) -> Value:
    """AvgPool2d over all of H, W or both."""
    return _reduced(call, AvgPool2d)


def reduce_max(call: Call) -> Value:
    """MaxPool2d over all of H, W or both."""
    return _reduced(call, MaxPool2d)


def _reduced(call: Call, kind: type[AvgPool2d | MaxPool2d]) -> Value:
    x = call.value()
    axes = call.integers(1, "axes") or call.node.integers("axes", ())
    if not axes and call.node.integer("noop_with_empty_axes", 0):
        return x
    rank, keep = len(x.shape), bool(call.node.integer("keepdims", 1))
    chosen = {axis % rank for axis in axes or range(rank) if -rank <= axis < rank}
    if len(chosen) != len(axes or range(rank)):
        raise ModelError(f"{call.node.place}: axes {axes} of {rank} dimensions")
    pooled = _over(call, x, sorted(chosen), kind)
    if keep:
        return pooled
    left = [i for i in range(rank) if i not in chosen]
    return Value(pooled.tensor, tuple(pooled.shape[i] for i in left), tuple(pooled.dims[i] for i in left))


def _over(call: Call, x: Value, chosen: Sequence[int], kind: type[AvgPool2d | MaxPool2d]) -> Value:
    """`x` pooled over all of the dimensions `chosen`, which become one element each."""
    axes = "".join(x.dims[i] for i in chosen)
    if "C" in axes or 0 in chosen:
        raise call.refuse(
            f"reduces dimensions {list(chosen)} of {x.shape}", "only height and width can be reduced, not channels"
        )
    size = layout.extents(call.trace.shapes[x.tensor])
    used = [axis for axis in axes if size[axis] > 1]
    if any(axis in dim and len(dim) > 1 and not set(dim) <= set(used) for axis in used for dim in x.dims):
        raise call.refuse(f"reduces part of a merged dimension of {x.shape}", "reduce before the reshape")
    if not used:
        return x
    kernel = HW(*(size[axis] if axis in used else 1 for axis in "HW"))
    dims = tuple("" if set(dim) & set(used) else dim for dim in x.dims)
    tensor = call.add(kind(kernel, kernel), [x.tensor])
    return Value(tensor, layout.sizes(dims, layout.extents(call.trace.shapes[tensor])), dims)


def resize(call: Call) -> Value:
    """ResizeNearest by whole factors."""
    x = call.value()
    letters = call.letters(x)
    mode = call.node.text("mode", "nearest")
    factors = _factors(call, x)
    by_axis = dict(zip(letters, factors, strict=False))
    whole = all(1 <= f < _MOST and abs(f - round(f)) < _SCALE for f in factors)
    moved = {axis for axis, factor in by_axis.items() if factor != 1.0}
    if mode != "nearest" or not whole or not moved <= {"H", "W"} or len(factors) != len(letters):
        raise call.refuse(
            f"resizes by {factors} ({mode})", "nearest, by whole factors of height and width, is supported"
        )
    _require_blocks(call)
    scale = HW(round(by_axis.get("H", 1.0)), round(by_axis.get("W", 1.0)))
    if scale == HW(1, 1):
        return x
    return call.trace.value(call.add(ResizeNearest(scale), [call.placed(x, letters)]), letters)


def _factors(call: Call, x: Value) -> tuple[float, ...]:
    """Output over input size per dimension."""
    sizes = call.integers(3, "sizes")
    if sizes is None:
        scales = call.param(2, "scales").values
    else:
        scales = np.asarray(sizes) / np.asarray(x.shape) if len(sizes) == len(x.shape) else np.zeros(0)
    policy = call.node.text("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        raise call.refuse(f"keeps the aspect ratio ({policy})", "export it with one factor per dimension")
    if scales.ndim != 1 or scales.size != len(x.shape) or call.node.has("axes"):
        raise call.refuse(f"has scales of shape {scales.shape}", f"one per dimension of {x.shape} is supported")
    return tuple(float(scale) for scale in scales)


def _require_blocks(call: Call) -> None:
    """Every pixel becomes a block: by whole factors, some roundings of some coordinates do that, others do not."""
    mode = call.node.text("coordinate_transformation_mode", "half_pixel")
    rounding = call.node.text("nearest_mode", "round_prefer_floor")
    blocks = {"asymmetric": rounding == "floor", "half_pixel": rounding.startswith("round")}
    if not blocks.get(mode.removeprefix("pytorch_").removesuffix("_symmetric"), False):
        raise call.refuse(
            f"places pixels by {mode} and {rounding}",
            "asymmetric with floor, or half_pixel with rounding, is supported",
        )
