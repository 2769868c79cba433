"""The state of a training on disk: written as a whole, taken up again by the same job only."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ptee_mcu.atomic import replacing
from ptee_mcu.errors import ModelError
from ptee_mcu.graph import Graph, Node

FORMAT = "ptee.training.v1"
_EVERY_SECONDS = 30.0


class Checkpoint:
    """One training's file; without a path nothing is kept."""

    def __init__(self, path: Path | None, job: str) -> None:
        """Of the training `job`, a digest of everything that its outcome depends on."""
        self.path = path
        self.job = job
        self._saved = time.monotonic()

    def load(self) -> Mapping[str, Any] | None:
        """What `save` wrote last for this job; None where there is nothing.

        Raises:
            ModelError: naming the file, where it is cut short, no checkpoint, or another job's.
        """
        if self.path is None or not self.path.exists():
            return None
        advice = "delete it to start this training anew"
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # a torn file leads its reader anywhere
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(f"{self.path}: is damaged or no checkpoint ({said})", hint=advice) from error
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise ModelError(f"{self.path}: is no checkpoint of format {FORMAT}", hint=advice)
        if state["job"] != self.job:
            raise ModelError(f"{self.path}: belongs to a training with other images or settings", hint=advice)
        return state

    def due(self) -> bool:
        """Whether the last `save` is so long ago that losing the work since would hurt."""
        return self.path is not None and time.monotonic() - self._saved > _EVERY_SECONDS

    def save(self, state: Mapping[str, Any]) -> None:
        """Replaces the file in one step: a kill at any moment leaves the old one or the new one.

        Raises:
            ModelError: where it cannot be written.
        """
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as aside:
                torch.save({**state, "format": FORMAT, "job": self.job}, aside)
        except (OSError, RuntimeError) as error:
            raise ModelError(f"{self.path}: the checkpoint cannot be written: {error}") from error
        self._saved = time.monotonic()


def digest(*parts: object) -> str:
    """SHA-256 in hexadecimal over graphs, nodes, arrays, dataclasses and whatever else has a stable repr."""
    total = sha256()
    for part in parts:
        _feed(total, part)
    return total.hexdigest()


def _feed(total: Any, part: object) -> None:
    if isinstance(part, Graph):
        total.update(repr((part.input, part.input_shape, part.exits)).encode())
        for node in part.nodes:
            _feed(total, node)
    elif isinstance(part, Node):
        total.update(repr((part.name, part.op, part.inputs, part.output, sorted(part.params))).encode())
        for role in sorted(part.params):
            _feed(total, part.params[role])
    elif isinstance(part, np.ndarray):
        total.update(f"{part.dtype}{part.shape}".encode())
        total.update(np.ascontiguousarray(part).data)
    elif hasattr(part, "__dataclass_fields__"):
        total.update(repr(sorted(asdict(part).items())).encode())  # type: ignore[call-overload]
    else:
        total.update(repr(part).encode())
    total.update(b"\0")
