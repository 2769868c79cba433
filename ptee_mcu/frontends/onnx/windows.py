"""Sliding windows as ONNX spells them: kernels, strides, dilations, pads and auto_pad, in one or two dimensions."""

from dataclasses import dataclass

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.onnx.trace import Call
from ptee_mcu.tensor import HW, Padding


@dataclass(frozen=True, slots=True)
class Window:
    """Of a convolution or pool; `padding` makes the output as large as ONNX has it.

    `explicit` is what the node gives as pads; the rest of `padding` is there for ceil_mode.
    """

    kernel: HW
    stride: HW
    dilation: HW
    padding: Padding
    explicit: Padding


def window(call: Call, size: HW, kernel: tuple[int, ...]) -> Window:
    """The window of `kernel`, (k,) or (kh, kw), over a map of `size`.

    Raises:
        ModelError: where an attribute has another number of dimensions, or a value no window can have.
        UnsupportedOpError: where auto_pad is none of ONNX's four.
    """
    node, rank = call.node, len(kernel)
    strides = _sizes(call, "strides", (1,) * rank, 1)
    dilations = _sizes(call, "dilations", (1,) * rank, 1)
    pads = _sizes(call, "pads", (0,) * 2 * rank, 0)
    if len(strides) != rank or len(dilations) != rank or len(pads) != 2 * rank or rank not in (1, 2):
        raise ModelError(f"{node.place}: kernel, strides, dilations and pads differ in their dimensions, or are 3-D")
    if min(kernel) < 1:
        raise ModelError(f"{node.place}: has a kernel of {kernel}")
    extents = (size.h, size.w)[-rank:]
    auto = node.text("auto_pad", "NOTSET")
    befores, afters, extras = [], [], []
    for i in range(rank):
        span = dilations[i] * (kernel[i] - 1) + 1
        before, after = _pads(call, auto, extents[i], span, strides[i], (pads[i], pads[rank + i]))
        befores.append(before)
        afters.append(after)
        extras.append(_ceil_extra(extents[i], span, strides[i], before, after) if node.integer("ceil_mode", 0) else 0)
    ends = [after + extra for after, extra in zip(afters, extras, strict=True)]
    return Window(
        _pair(kernel, 1), _pair(strides, 1), _pair(dilations, 1), _padding(befores, ends), _padding(befores, afters)
    )


def _pads(call: Call, auto: str, extent: int, span: int, stride: int, explicit: tuple[int, int]) -> tuple[int, int]:
    """Elements before and after one dimension."""
    if auto == "NOTSET":
        return explicit
    if auto == "VALID":
        return 0, 0
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise call.refuse(f"has auto_pad {auto!r}", "supported are NOTSET, VALID, SAME_UPPER and SAME_LOWER")
    total = max((-(-extent // stride) - 1) * stride + span - extent, 0)
    less, more = total // 2, total - total // 2
    return (less, more) if auto == "SAME_UPPER" else (more, less)


def _ceil_extra(extent: int, span: int, stride: int, before: int, after: int) -> int:
    """What must be added after a dimension so that rounding down gives what rounding up would.

    A window that would start behind the input and its padding in front does not count, as in PyTorch and onnxruntime.
    """
    steps = -(-(extent + before + after - span) // stride)
    if steps * stride >= extent + before:
        steps -= 1
    return max(steps * stride + span - extent - before - after, 0)


def _sizes(call: Call, name: str, default: tuple[int, ...], least: int) -> tuple[int, ...]:
    values = call.node.integers(name, default)
    if any(not least <= value < 1 << 16 for value in values):
        raise ModelError(f"{call.node.place}: has {name} {values}; {least} to {(1 << 16) - 1} are supported")
    return values


def _pair(values: tuple[int, ...], missing: int) -> HW:
    return HW(*values) if len(values) == 2 else HW(missing, values[0])


def _padding(befores: list[int], afters: list[int]) -> Padding:
    (top, left), (bottom, right) = ([0, *values][-2:] for values in (befores, afters))
    return Padding(top, left, bottom, right)
