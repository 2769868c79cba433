"""Value ranges of every tensor of a folded float graph, observed on calibration inputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import DataError
from ptee_mcu.graph import Graph, walk
from ptee_mcu.tensor import Float

Observer = Literal["minmax", "percentile", "mse"]
Progress = Callable[[int, int], None]

_BINS = 2048
_BATCH = 25
_PERCENTILE = 99.99
_SHRINK_STEPS = 80  # clip candidates between 20 % and 100 % of the observed range


@dataclass(frozen=True, slots=True)
class Range:
    """Observed real values of a tensor, zero included."""

    low: float
    high: float

    def joined(self, other: "Range") -> "Range":
        """The smallest range that holds both."""
        return Range(min(self.low, other.low), max(self.high, other.high))


@dataclass(frozen=True, slots=True, eq=False)
class Ranges:
    """Per tensor: its range, and the mean of every channel (last axis), which bias correction needs."""

    of: Mapping[str, Range]
    channel_means: Mapping[str, npt.NDArray[np.float64]]


def calibrate(graph: Graph, x: Float, *, observer: Observer = "mse", progress: Progress | None = None) -> Ranges:
    """Ranges over inputs `x` (N, ...), normalised as the network expects them.

    "minmax" keeps every value; "percentile" drops 0.01 % at each end; "mse" clips where the int8 rounding and
    clipping errors together are least. What an exit answers with always keeps every value, and the output of an op with
    bounds, such as Sigmoid, has those.

    Raises:
        DataError: where `x` is empty, not finite, or not shaped like the network's input.
    """
    _check(graph, x)
    outputs = [t for e in graph.exits for t in e.tensors]
    passes = 1 if observer == "minmax" else 2
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}
    sums: dict[str, npt.NDArray[np.float64]] = {}
    for start in range(0, len(x), _BATCH):
        for name, value in walk(graph, x[start : start + _BATCH], outputs):
            lows[name] = min(lows.get(name, 0.0), float(value.min()))
            highs[name] = max(highs.get(name, 0.0), float(value.max()))
            total = value.reshape(-1, value.shape[-1]).mean(axis=0, dtype=np.float64) * len(value)
            sums[name] = sums.get(name, np.zeros(value.shape[-1])) + total
        if progress:
            progress(min(start + _BATCH, len(x)), passes * len(x))
    bounds = {node.output: Range(*node.op.bounds) for node in graph.nodes if node.op.bounds and node.output in lows}
    full = {name: Range(lows[name], highs[name]) for name in lows} | bounds
    means = {name: total / len(x) for name, total in sums.items()}
    if observer == "minmax":
        return Ranges(full, means)
    histograms = {name: np.zeros(_BINS, dtype=np.int64) for name in full.keys() - bounds.keys() - set(outputs)}
    for start in range(0, len(x), _BATCH):
        for name, value in walk(graph, x[start : start + _BATCH], outputs):
            if name in histograms:
                histograms[name] += _histogram(value, full[name])
        if progress:
            progress(len(x) + min(start + _BATCH, len(x)), passes * len(x))
    shrink = _percentile if observer == "percentile" else _least_error
    # Outputs stay whole: clipped logits would tie where the float ones do not.
    return Ranges(full | {name: shrink(counts, full[name]) for name, counts in histograms.items()}, means)


def _check(graph: Graph, x: Float) -> None:
    if len(x) == 0:
        raise DataError("calibration needs at least one input, got none", hint="give 100 or more images")
    if x.shape[1:] != graph.input_shape[1:]:
        raise DataError(f"calibration inputs have shape {x.shape[1:]}, {graph.name} takes {graph.input_shape[1:]}")
    if not np.isfinite(x).all():
        raise DataError(f"{int((~np.isfinite(x)).sum())} calibration values are NaN or infinite")


def _histogram(value: Float, span: Range) -> npt.NDArray[np.int64]:
    """Counts per bin over `span`; bincount on scaled values is several times faster than np.histogram."""
    if span.high <= span.low:
        return np.zeros(_BINS, dtype=np.int64)
    scaled = (value.ravel() - np.float32(span.low)) * np.float32(_BINS / (span.high - span.low))
    return np.bincount(np.minimum(scaled.astype(np.int32), _BINS - 1), minlength=_BINS).astype(np.int64)


def _edges(span: Range) -> npt.NDArray[np.float64]:
    return np.linspace(span.low, span.high, _BINS + 1)


def _percentile(histogram: npt.NDArray[np.int64], span: Range) -> Range:
    total = histogram.sum()
    if total == 0:
        return span
    shares = np.cumsum(histogram) / total
    edges = _edges(span)
    low = edges[np.searchsorted(shares, 1 - _PERCENTILE / 100)]
    high = edges[np.searchsorted(shares, _PERCENTILE / 100) + 1]
    return Range(min(0.0, float(low)), max(0.0, float(high)))


def _least_error(histogram: npt.NDArray[np.int64], span: Range) -> Range:
    """The clipped range whose mean squared int8 error over the histogram is least."""
    if histogram.sum() == 0:
        return span
    edges = _edges(span)
    centres = (edges[:-1] + edges[1:]) / 2
    best, best_error = span, np.inf
    for share in np.linspace(1.0, 0.2, _SHRINK_STEPS):
        low, high = span.low * share, span.high * share
        step = (high - low) / 255
        clipped = np.clip(centres, low, high)
        error = float((histogram * ((centres - clipped) ** 2 + np.where(clipped == centres, step**2 / 12, 0))).sum())
        if error < best_error:
            best, best_error = Range(low, high), error
    return best
