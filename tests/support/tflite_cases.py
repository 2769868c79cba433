"""Random int8 layers and functions as TFLite files hold them: (tensors, operators) from random numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
from support.tflite_files import Op, T, code, whole

Chance = np.random.Generator
Net = tuple[list[T], list[Op]]
Case = Callable[[Chance], Net]


def _scale(chance: Chance, low: float = -7, high: float = -3) -> float:
    return float(np.float32(2.0 ** chance.uniform(low, high)))


def zero(chance: Chance) -> int:
    return int(chance.integers(-128, 128))


def new_code(chance: Chance) -> dict[str, Any]:
    return code(_scale(chance), zero(chance))


def within(chance: Chance, low: int, high: int) -> int:
    return int(chance.integers(low, high + 1))


def _fused(chance: Chance) -> dict[str, int]:
    return {"FusedActivationFunction": within(chance, 0, 3)}


def random_codes(chance: Chance, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.int8]]:
    return chance.integers(-128, 128, shape).astype(np.int8)


def _left(extent: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    return -(-extent // stride) if padding == 0 else (extent - (kernel - 1) * dilation - 1) // stride + 1


def _layer(
    chance: Chance,
    source: tuple[int, ...],
    weights: tuple[int, ...],
    axis: int,
    fan_in: int,
    *,
    per_channel: bool = True,
) -> tuple[T, T, T, float]:
    """Input, weights, biases, and an output scale that fills the codes."""
    out = weights[axis]
    given, scales = _scale(chance), [_scale(chance, -9, -6) for _ in range(out if per_channel else 1)]
    zeros = [0] * len(scales)
    biases = chance.integers(-3000, 3000, out).astype(np.int32)
    return (
        T(source, **code(given, zero(chance))),
        T(weights, scales=scales, zeros=zeros, axis=axis, data=random_codes(chance, weights)),
        T((out,), "INT32", scales=[given * scale for scale in scales], zeros=zeros, data=biases),
        given * float(np.mean(scales)) * 52 * fan_in**0.5,
    )


def conv(chance: Chance) -> Net:
    h, w, groups = within(chance, 3, 9), within(chance, 3, 9), int(chance.choice([1, 1, 1, 2, 3]))
    kernel, per_group, out = (
        (within(chance, 1, 3), within(chance, 1, 3)),
        within(chance, 1, 5),
        groups * within(chance, 1, 5),
    )
    dilated = chance.random() < 0.3
    stride = (1, 1) if dilated else (within(chance, 1, 3), within(chance, 1, 3))
    dilation = (within(chance, 1, 2), within(chance, 1, 2)) if dilated and h > 4 and w > 4 else (1, 1)
    padding = within(chance, 0, 1)
    x, weights, bias, scale = _layer(
        chance, (1, h, w, groups * per_group), (out, *kernel, per_group), 0, kernel[0] * kernel[1] * per_group,
        per_channel=chance.random() < 0.7,
    )  # fmt: skip
    size = (_left(h, kernel[0], stride[0], dilation[0], padding), _left(w, kernel[1], stride[1], dilation[1], padding))
    options = {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1]}
    options |= {"DilationHFactor": dilation[0], "DilationWFactor": dilation[1]} | _fused(chance)
    made = T((1, *size, out), **code(scale, zero(chance)))
    return [x, weights, bias, made], [Op("CONV_2D", (0, 1, 2), (3,), options)]


def depthwise(chance: Chance) -> Net:
    h, w, channels, times = within(chance, 5, 9), within(chance, 5, 9), within(chance, 1, 6), within(chance, 1, 3)
    kernel, padding, out = (within(chance, 1, 3), within(chance, 1, 3)), within(chance, 0, 1), channels * times
    stride, dilation = ((1, 1), (2, 2)) if chance.random() < 0.3 else ((within(chance, 1, 2),) * 2, (1, 1))
    x, weights, bias, scale = _layer(chance, (1, h, w, channels), (1, *kernel, out), 3, kernel[0] * kernel[1])
    size = (_left(h, kernel[0], stride[0], dilation[0], padding), _left(w, kernel[1], stride[1], dilation[1], padding))
    options = {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1], "DepthMultiplier": times}
    options |= {"DilationHFactor": dilation[0], "DilationWFactor": dilation[1]} | _fused(chance)
    made = T((1, *size, out), **code(scale, zero(chance)))
    return [x, weights, bias, made], [Op("DEPTHWISE_CONV_2D", (0, 1, 2), (3,), options)]


def fully_connected(chance: Chance) -> Net:
    features, out, rows = within(chance, 1, 40), within(chance, 1, 9), within(chance, 1, 4)
    shape = [(1, features), (1, rows, features), (1, 2, rows, features)][within(chance, 0, 2)]
    x, weights, bias, scale = _layer(chance, shape, (out, features), 0, features, per_channel=chance.random() < 0.4)
    made = T((*shape[:-1], out), **code(scale, zero(chance)))
    inputs = (0, 1, 2 if chance.random() < 0.7 else -1)
    return [x, weights, bias, made], [Op("FULLY_CONNECTED", inputs, (3,), {"KeepNumDims": True} | _fused(chance))]


def transpose_conv(chance: Chance) -> Net:
    h, w, channels, out = (within(chance, 1, 5) for _ in range(4))
    kernel, stride, padding = (
        (within(chance, 1, 4), within(chance, 1, 4)),
        (within(chance, 1, 3), 2),
        within(chance, 0, 1),
    )
    size = tuple(
        e * s - within(chance, 0, s - 1) if padding == 0 else (e - 1) * s + k + within(chance, 0, s - 1)
        for e, s, k in zip((h, w), stride, kernel, strict=True)
    )
    x, weights, bias, scale = _layer(chance, (1, h, w, channels), (out, *kernel, channels), 0, kernel[0] * channels)
    options = {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1]}
    shape = (1, *size, out)
    tensors = [x, weights, bias, whole(shape), T(shape, **code(scale, zero(chance)))]
    return tensors, [Op("TRANSPOSE_CONV", (3, 1, 0, 2) if chance.random() < 0.7 else (3, 1, 0), (4,), options)]


SHAPES = ((1, 3, 4, 5), (1, 7), (1, 6, 5))


def _shape(chance: Chance) -> tuple[int, ...]:
    return SHAPES[within(chance, 0, 2)]


def add(chance: Chance) -> Net:
    shape, first = _shape(chance), new_code(chance)
    made = T(shape, **code(first["scales"][0] * chance.uniform(0.5, 2), zero(chance)))
    other = T(shape, **new_code(chance))
    return [T(shape, **first), other, made], [Op("RELU", (0,), (1,)), Op("ADD", (0, 1), (2,), _fused(chance))]


def _with_number(kind: str) -> Case:
    def case(chance: Chance) -> Net:
        shape, first = _shape(chance), new_code(chance)
        number = T((), data=random_codes(chance, ()), **new_code(chance))
        made = T(shape, **code(first["scales"][0] * chance.uniform(0.5, 2), zero(chance)))
        return [T(shape, **first), number, made], [Op(kind, chance.permutation(2).tolist(), (2,), _fused(chance))]

    return case


def _product(chance: Chance, shape: tuple[int, ...], first: T, second: T) -> T:
    scale = first.scales[0] * second.scales[0] * chance.uniform(20, 150)
    return T(shape, **code(scale, zero(chance)))


def mul(chance: Chance) -> Net:
    shape = _shape(chance)
    first, second = T(shape, **new_code(chance)), T(shape, **new_code(chance))
    tensors = [first, second, _product(chance, shape, first, second)]
    return tensors, [Op("RELU", (0,), (1,)), Op("MUL", (0, 1), (2,), _fused(chance))]


def mul_constant(chance: Chance) -> Net:
    shape = _shape(chance)
    many = ((), (1,), (shape[-1],))[within(chance, 0, 2)]
    first, second = T(shape, **new_code(chance)), T(many, data=random_codes(chance, many), **new_code(chance))
    tensors = [first, second, _product(chance, shape, first, second)]
    return tensors, [Op("MUL", chance.permutation(2).tolist(), (2,), _fused(chance))]


def mul_gate(chance: Chance) -> Net:
    shape = (1, 3, 4, 5)
    first, second = T(shape, **new_code(chance)), T((1, 1, 1, 5), **new_code(chance))
    tensors = [first, second, _product(chance, shape, first, second), whole([1, 2])]
    gate = Op("MEAN", (0, 3), (1,), {"KeepDims": True})
    return tensors, [gate, Op("MUL", chance.permutation(2).tolist(), (2,), _fused(chance))]


def prelu(chance: Chance) -> Net:
    shape, first = (1, 3, 4, 5), new_code(chance)
    slopes = T((1, 1, 5), data=random_codes(chance, (1, 1, 5)), **code(_scale(chance, -9, -6), 0))
    made = T(shape, **code(first["scales"][0] * chance.uniform(0.5, 2), zero(chance)))
    return [T(shape, **first), slopes, made], [Op("PRELU", (0, 1), (2,))]


def _function(kind: str, made: dict[str, Any] | None = None, **options: float) -> Case:
    def case(chance: Chance) -> Net:
        given = {name: float(np.float32(chance.uniform(-0.5, value))) for name, value in options.items()}
        return [T((1, 16, 16, 1), **new_code(chance)), T((1, 16, 16, 1), **(made or new_code(chance)))], [
            Op(kind, (0,), (1,), given)
        ]

    return case


def _pool(kind: str) -> Case:
    def case(chance: Chance) -> Net:
        h, w, c, padding, same = (
            within(chance, 2, 9),
            within(chance, 2, 9),
            within(chance, 1, 8),
            within(chance, 0, 1),
            new_code(chance),
        )
        kernel, stride = (
            (within(chance, 1, min(4, h)), within(chance, 1, min(4, w))),
            (within(chance, 1, 3), within(chance, 1, 3)),
        )
        size = (_left(h, kernel[0], stride[0], 1, padding), _left(w, kernel[1], stride[1], 1, padding))
        options = {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1]}
        options |= {"FilterHeight": kernel[0], "FilterWidth": kernel[1]} | _fused(chance)
        return [T((1, h, w, c), **same), T((1, *size, c), **same)], [Op(kind, (0,), (1,), options)]

    return case


def _reducer(kind: str, *, rescales: bool) -> Case:
    def case(chance: Chance) -> Net:
        shape, axes = (
            (1, within(chance, 1, 9), within(chance, 1, 9), within(chance, 1, 8)),
            [[1, 2], [2, 1], [1], [-2], [-2, -3]],
        )
        over, keep, first = axes[within(chance, 0, 4)], chance.random() < 0.5, new_code(chance)
        gone = {axis % 4 for axis in over}
        left = tuple(1 if i in gone else extent for i, extent in enumerate(shape) if keep or i not in gone)
        other = code(first["scales"][0] * chance.uniform(0.2, 1.5), zero(chance))
        made = T(left, **(other if rescales and chance.random() < 0.7 else first))
        return [T(shape, **first), whole(over), made], [Op(kind, (0, 1), (2,), {"KeepDims": keep})]

    return case


def padded_conv(chance: Chance) -> Net:
    x, weights, bias, scale = _layer(chance, (1, 6, 5, 3), (4, 3, 3, 3), 0, 27)
    same = {"scales": x.scales, "zeros": x.zeros}
    tensors = [x, weights, bias, whole([[0, 0], [1, 2], [2, 0], [0, 0]]), T((1, 9, 7, 3), **same)]
    tensors += [T((1, 4, 3, 4), **code(scale, zero(chance)))]
    options = {"Padding": 1, "StrideH": 2, "StrideW": 2, "DilationHFactor": 1, "DilationWFactor": 1}
    return tensors, [Op("PAD", (0, 3), (4,)), Op("CONV_2D", (4, 1, 2), (5,), options)]


def dilated(chance: Chance) -> Net:
    """As Keras writes a dilated convolution with SAME padding and an open batch."""
    x, weights, bias, scale = _layer(chance, (1, 7, 6, 3), (4, 3, 3, 3), 0, 27)
    same, made = {"scales": x.scales, "zeros": x.zeros}, code(scale, zero(chance))
    tensors = [x, weights, bias, whole([2, 2]), whole([[2, 3], [2, 2]]), T((4, 6, 5, 3), **same)]
    tensors += [T((4, 4, 3, 4), **made), whole([[0, 1], [0, 0]]), T((1, 7, 6, 4), **made)]
    options = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    operators = [Op("SPACE_TO_BATCH_ND", (0, 3, 4), (5,)), Op("CONV_2D", (5, 1, 2), (6,), options | _fused(chance))]
    return tensors, [*operators, Op("BATCH_TO_SPACE_ND", (6, 3, 7), (8,))]


LAYERS: dict[str, Case] = {
    "convolution": conv,
    "depthwise": depthwise,
    "transposed convolution": transpose_conv,
    "padded convolution": padded_conv,
    "dilated convolution": dilated,
    "sum": add,
    "sum with a number": _with_number("ADD"),
    "difference with a number": _with_number("SUB"),
    "product": mul,
    "product with constants": mul_constant,
    "product with a gate": mul_gate,
    "PReLU": prelu,
    "leaky ReLU": _function("LEAKY_RELU", Alpha=1.5),
    "ReLU": _function("RELU"),
    "ReLU6": _function("RELU6"),
    "ReLU from -1 to 1": _function("RELU_N1_TO_1"),
    "ReLU from 0 to 1": _function("RELU_0_TO_1"),
    "sigmoid": _function("LOGISTIC", code(1 / 256, -128)),
    "tanh": _function("TANH", code(1 / 128, 0)),
    "hard swish": _function("HARD_SWISH"),
    "another code": _function("QUANTIZE"),
    "average pool": _pool("AVERAGE_POOL_2D"),
    "max pool": _pool("MAX_POOL_2D"),
    "mean": _reducer("MEAN", rescales=True),
    "maximum": _reducer("REDUCE_MAX", rescales=False),
}
