"""Random int8 operators that move bytes, as TFLite files hold them: (tensors, operators) from random numbers."""

import numpy as np
from support.tflite_cases import Case, Chance, Net, new_code, random_codes, within, zero
from support.tflite_files import Op, T, code, whole


def pad(chance: Chance) -> Net:
    shape, same = tuple(within(chance, 1, 5) for _ in range(3)), new_code(chance)
    widths = [[0, 0], *[[within(chance, 0, 3), within(chance, 0, 3)] for _ in range(3)]]
    made = tuple(e + a + b for e, (a, b) in zip((1, *shape), widths, strict=True))
    tensors = [T((1, *shape), **same), whole(widths), T(made, **same), T((1,), data=random_codes(chance, (1,)), **same)]
    return tensors, [Op("PAD", (0, 1), (2,)) if chance.random() < 0.5 else Op("PADV2", (0, 1, 3), (2,))]


def concatenation(chance: Chance) -> Net:
    axis, same, made = within(chance, 1, 3), new_code(chance), [1, 3, 4, 5]
    made[axis] *= 2
    tensors = [T((1, 3, 4, 5), **same), T((1, 3, 4, 5), **same), T(tuple(made), **same)]
    axis -= 4 * within(chance, 0, 1)
    return tensors, [Op("RELU", (0,), (1,)), Op("CONCATENATION", (0, 1), (2,), {"Axis": axis})]


def split(chance: Chance) -> Net:
    axis, same, half = within(chance, 1, 3), new_code(chance), [1, 4, 6, 8]
    half[axis] //= 2
    part = T(tuple(half), **same)
    tensors = [T((1, 4, 6, 8), **same), whole(axis), part, part, T(tuple(half), **code(0.3, 2))]
    return tensors, [Op("SPLIT", (1, 0), (2, 3), {"NumSplits": 2}), Op("ADD", (2, 3), (4,))]


def split_v(chance: Chance) -> Net:
    same, first = new_code(chance), within(chance, 1, 6)
    tensors = [T((1, 4, 6, 8), **same), whole([first, -1]), whole(3)]
    tensors += [T((1, 4, 6, first), **same), T((1, 4, 6, 8 - first), **same), T((1, 4, 6, 8), **same)]
    operators = [Op("SPLIT_V", (0, 1, 2), (3, 4), {"NumSplits": 2})]
    return tensors, [*operators, Op("CONCATENATION", (4, 3), (5,), {"Axis": 3})]


def slice_(chance: Chance) -> Net:
    same, begin = new_code(chance), [0, *(within(chance, 0, 2) for _ in range(3))]
    size = [1, within(chance, 1, 4), -1, within(chance, 1, 5)]
    made = tuple(e - b if s == -1 else s for e, b, s in zip((1, 6, 7, 8), begin, size, strict=True))
    return [T((1, 6, 7, 8), **same), whole(begin), whole(size), T(made, **same)], [Op("SLICE", (0, 1, 2), (3,))]


def strided_slice(chance: Chance) -> Net:
    same, shape = new_code(chance), (1, 6, 7, 8)
    begin, step = [0, within(chance, 0, 2), within(chance, 0, 2), within(chance, 0, 3)], [1, within(chance, 1, 2), 2, 1]
    end, masks = (
        [1, within(chance, 3, 6), within(chance, -2, -1), within(chance, 4, 8)],
        (within(chance, 0, 15), within(chance, 0, 15)),
    )
    cuts = tuple(
        slice(None if masks[0] >> i & 1 else begin[i], None if masks[1] >> i & 1 else end[i], step[i]) for i in range(4)
    )
    made = T(np.zeros(shape)[cuts].shape, **same)
    options = {"BeginMask": masks[0], "EndMask": masks[1]}
    return [T(shape, **same), whole(begin), whole(end), whole(step), made], [
        Op("STRIDED_SLICE", (0, 1, 2, 3), (4,), options)
    ]


def one_row(chance: Chance) -> Net:
    same, row = new_code(chance), within(chance, -3, 2)
    tensors = [T((1, 3, 4, 5), **same), whole([0, row, 0, 0]), whole([1, row + 1, 4, 5]), whole([1, 1, 1, 1])]
    options = {"ShrinkAxisMask": 2, "BeginMask": 1, "EndMask": 1}
    return [*tensors, T((1, 4, 5), **same)], [Op("STRIDED_SLICE", (0, 1, 2, 3), (4,), options)]


def resize(chance: Chance) -> Net:
    same, h, w, times = (
        new_code(chance),
        within(chance, 1, 6),
        within(chance, 1, 6),
        (within(chance, 1, 4), within(chance, 1, 4)),
    )
    size = (h * times[0], w * times[1])
    options = {"HalfPixelCenters": chance.random() < 0.5}
    tensors = [T((1, h, w, 3), **same), whole(size), T((1, *size, 3), **same)]
    return tensors, [Op("RESIZE_NEAREST_NEIGHBOR", (0, 1), (2,), options)]


def tile(chance: Chance) -> Net:
    same, axis, times = new_code(chance), within(chance, 1, 3), [1, 1, 1, 1]
    times[axis] = within(chance, 1, 3)
    made = T(tuple(a * b for a, b in zip((1, 3, 4, 5), times, strict=True)), **same)
    return [T((1, 3, 4, 5), **same), whole(times), made], [Op("TILE", (0, 1), (2,))]


def transposed_means(chance: Chance) -> Net:
    first = new_code(chance)
    smaller = [code(first["scales"][0] * share, zero(chance)) for share in (0.7, 0.5)]
    tensors = [T((1, 3, 4, 5), **first), whole([0, 3, 1, 2]), T((1, 5, 3, 4), **first), whole([3])]
    tensors += [T((1, 5, 3), **smaller[0]), whole([2]), T((1, 5), **smaller[1])]
    return tensors, [Op("TRANSPOSE", (0, 1), (2,)), Op("MEAN", (2, 3), (4,)), Op("MEAN", (4, 5), (6,))]


def there_and_back(chance: Chance) -> Net:
    first, second = new_code(chance), new_code(chance)
    tensors = [T((1, 3, 4, 5), **first), whole([0, 3, 1, 2]), T((1, 5, 3, 4), **first), T((1, 5, 3, 4), **second)]
    tensors += [whole([0, 2, 3, 1]), T((1, 3, 4, 5), **second)]
    return tensors, [Op("TRANSPOSE", (0, 1), (2,)), Op("RELU", (2,), (3,)), Op("TRANSPOSE", (3, 4), (5,))]


MOVES: dict[str, Case] = {
    "mean behind a transpose": transposed_means,
    "transpose there and back": there_and_back,
    "pad": pad,
    "join": concatenation,
    "split": split,
    "split into sizes": split_v,
    "cut": slice_,
    "cut by steps": strided_slice,
    "one row": one_row,
    "enlarge": resize,
    "repeat": tile,
}
