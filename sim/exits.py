"""What an exit makes of its tensors: labels, and whether it fires; the thresholds it goes by."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import ConfigError
from ptee_mcu.quant_graph import ALWAYS, NEVER, QuantGraph
from ptee_mcu.tensor import Int8, Int32

Mask: TypeAlias = npt.NDArray[np.bool_]


def labels(logits: Int8) -> Int32:
    """Index of the largest code along the last axis, the lowest of equals."""
    largest: Int32 = logits.argmax(axis=-1).astype(np.int32)
    return largest


def fires(confidences: Int8, threshold: int) -> Mask:
    """Where a confidence code is at least `threshold`; 128 lies above every code."""
    return confidences.astype(np.int16) >= threshold


def checked_thresholds(graph: QuantGraph, thresholds: Sequence[int] | None) -> tuple[int, ...]:
    """`thresholds`, or those of the default operating point where None.

    Raises:
        ConfigError: where there is not one per exit with a rule, or one lies outside [-128, 128].
    """
    chosen = graph.point.thresholds if thresholds is None else tuple(thresholds)
    early = graph.exits[:-1]
    if len(chosen) != len(early):
        raise ConfigError(
            f"{graph.name}: {len(chosen)} thresholds for {len(early)} exits with a rule", hint="give one per exit"
        )
    for leave, threshold in zip(early, chosen, strict=True):
        if not ALWAYS <= threshold <= NEVER:
            raise ConfigError(
                f"{graph.name}: exit {leave.name} has threshold {threshold}, outside [{ALWAYS}, {NEVER}]",
                hint=f"{NEVER} never fires, {ALWAYS} always does",
            )
    return chosen
