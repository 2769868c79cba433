"""What a model file holds, counted without importing it: ops by kind, borders, parameters; refused files included."""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from ptee_mcu.errors import ToolMissingError

T = TypeVar("T", bound=Hashable)
UNKNOWN = "has no counterpart here"


@dataclass(frozen=True, slots=True)
class ListedOp:
    """Ops of one kind, as the format spells it; `why` says what to know where it is not supported."""

    kind: str
    count: int
    supported: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Border:
    """An input or an output; None in `shape`: left open. `scale` and `zero_point`: of its code, where it has one."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A file at first sight; None where its format does not say.

    `parameters`: elements of its constants. `weight_bytes`: what these take in the file. `alive_bytes`: the most
    int8 activations that are alive at once in its order.
    """

    inputs: tuple[Border, ...]
    outputs: tuple[Border, ...]
    ops: tuple[ListedOp, ...]
    parameters: int
    weight_bytes: int
    alive_bytes: int | None


def list_file(path: Path) -> Listing | None:
    """What the file at `path` holds; None where its format can only be imported as a whole.

    Raises:
        ModelError: where the file is damaged.
        ToolMissingError: where the package that reads the format is not installed.
    """
    lister = _LISTERS.get(path.suffix.lower())
    return lister(path) if lister and path.is_file() else None


def listed_ops(path: Path) -> tuple[ListedOp, ...]:
    """The ops of the file at `path` by kind, the most frequent first; empty where its format does not list them.

    Raises:
        ModelError: where the file is damaged.
        ToolMissingError: where the package that reads the format is not installed.
    """
    listing = list_file(path)
    return listing.ops if listing else ()


def count_ops(ops: Iterable[tuple[str, str]]) -> tuple[ListedOp, ...]:
    """`ops`, each its kind and what is wrong with it ("" where nothing is), counted; the most frequent kinds first.

    A kind is supported where every op of it is; else it says what is wrong with the first that is not.
    """
    counts: Counter[str] = Counter()
    wrong: dict[str, str] = {}
    for kind, why in ops:
        counts[kind] += 1
        if why:
            wrong.setdefault(kind, why)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(ListedOp(kind, count, kind not in wrong, wrong.get(kind, "")) for kind, count in ranked)


def at_the_end(
    ops: Sequence[tuple[int, str, Sequence[T], Sequence[T]]], outputs: Sequence[T], kinds: Collection[str]
) -> set[int]:
    """Numbers of the ops of `kinds` behind which there are only such up to the outputs.

    Args:
        ops: number, kind, the first input if any, outputs; in order of execution.
        outputs: of the network.
        kinds: what may end a network and is left out.
    """
    tail, found = set(outputs), set()
    for number, kind, first, made in reversed(ops):
        if kind in kinds and tail.intersection(made):
            found.add(number)
            tail.update(first)
    return found


def _tflite(path: Path) -> Listing:
    try:
        from ptee_mcu.frontends.tflite.listing import list_tflite
    except ModuleNotFoundError as error:
        raise ToolMissingError(
            f"{path}: reading TFLite files needs tflite", hint='pip install "ptee-mcu[tflite]"'
        ) from error
    return list_tflite(path)


def _onnx(path: Path) -> Listing:
    try:
        from ptee_mcu.frontends.onnx.listing import list_onnx
    except ModuleNotFoundError as error:
        raise ToolMissingError(f"{path}: reading ONNX files needs onnx", hint='pip install "ptee-mcu[onnx]"') from error
    return list_onnx(path)


def _pt2(path: Path) -> Listing:
    try:
        from ptee_mcu.frontends.pytorch_listing import list_pt2
    except ModuleNotFoundError as error:
        raise ToolMissingError(f"{path}: reading it needs torch", hint='pip install "ptee-mcu[train]"') from error
    return list_pt2(path)


_LISTERS: Mapping[str, Callable[[Path], Listing]] = MappingProxyType({".onnx": _onnx, ".pt2": _pt2, ".tflite": _tflite})
