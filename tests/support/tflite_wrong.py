"""Small TFLite networks of one operator or a few, right or wrong on purpose."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from support.tflite_cases import LAYERS, Net, fully_connected
from support.tflite_files import Op, T, code
from support.tflite_moves import MOVES

Make = Callable[[], Net]

IMAGE = T((1, 4, 4, 2), **code(0.5, 3))


def changed_case(name: str, tensors: dict[int, dict[str, object]] | None = None, **op: object) -> Make:
    """The case `name` with fields of tensors, by index, and of its last operator changed."""

    def make() -> Net:
        case = fully_connected if name == "fully connected" else {**LAYERS, **MOVES}[name]
        made, operators = case(np.random.default_rng(3))
        changed = [replace(t, **(tensors or {}).get(i, {})) for i, t in enumerate(made)]
        return changed, [*operators[:-1], replace(operators[-1], **op)]

    return make


def net(tensors: Sequence[T], *operators: Op) -> Make:
    return lambda: (list(tensors), list(operators))


def one_op(kind: str, *more: T, made: T = IMAGE, source: T = IMAGE, **options: float | tuple[int, ...]) -> Make:
    """One operator from `source` and `more` to `made`."""
    return net([source, *more, made], Op(kind, range(1 + len(more)), (1 + len(more),), options))


NUMBERS = T((4,), data=np.zeros(4, np.int8), **code(0.1, 0))
