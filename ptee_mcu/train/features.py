"""What exit heads read of the frozen trunk: computed once per view of an image, kept on disk, mapped into memory."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ptee_mcu.atomic import replacing
from ptee_mcu.data import Images
from ptee_mcu.errors import ModelError
from ptee_mcu.graph import Graph
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.train.batches import Batches
from ptee_mcu.train.checkpoint import digest
from ptee_mcu.train.recipe import Augment
from ptee_mcu.train.trunk import Trunk
from ptee_mcu.train.workspace import GIB

Values: TypeAlias = dict[str, Tensor]
Matrix: TypeAlias = "np.memmap[tuple[int, int], np.dtype[Any]]"
Told: TypeAlias = Callable[[int, int], None]  # images done, images in all

_CHUNK = 1000  # images between two marks of progress
_BATCH = 100  # images that go through the trunk at once: what they make stays in the cache
_STATE = "state.json"


@dataclass(frozen=True, slots=True)
class Views:
    """Images as training sees them: `count` views of each, augmented by a seed of their own."""

    x: Images
    normalisation: Normalisation | None
    augment: Augment
    seed: int
    count: int

    def inputs(self, view: int, start: int, stop: int) -> Tensor:
        """Network inputs of images `start` to `stop` in a view: the same whenever they are asked for."""
        seed = int(np.random.SeedSequence([self.seed, view, start]).generate_state(1)[0])
        batches = Batches(self.x, _CHUNK, augment=self.augment, normalisation=self.normalisation, seed=seed)
        return batches.inputs(torch.arange(start, stop))


class FeatureStore:
    """Values of some tensors of the trunk for all views of all images: float16, one file per view; logits float32.

    Filling goes on where it was interrupted. Values beyond float16's 65,504 are refused.
    """

    def __init__(self, trunk: Trunk, views: Views, folder: Path) -> None:
        """In `folder`/features-KEY, where KEY depends on the trunk, the images and the views, not on any head."""
        graph = trunk.graph
        self.trunk, self.views = trunk, views
        self.tensors = given_to_heads(trunk)
        self.shapes: tuple[tuple[int, ...], ...] = tuple(graph.shapes[t][1:] for t in self.tensors)
        self.logits = graph.exits[-1].logits
        images = (views.x, views.normalisation, views.augment.value, views.seed)
        key = digest(*trunk.nodes, self.tensors, self.logits, *images)
        self.folder = folder / f"features-{key[:16]}"
        self._maps: dict[int, tuple[Matrix, Matrix]] = {}

    def fill(self, told: Told) -> None:
        """Computes what is not there yet.

        Raises:
            ModelError: where the disk has no room, or a value does not fit float16.
        """
        done = self._done()
        count = len(self.views.x)
        missing = sum(count - done.get(view, 0) for view in range(self.views.count))
        self._require_room(missing)
        total = self.views.count * count
        for view in range(self.views.count):
            first = done.get(view, 0)
            for start in range(first, count, _CHUNK):
                stop = min(start + _CHUNK, count)
                self._write(view, start, self._compute(view, start, stop))
                done[view] = stop
                self._mark(done)
                told(view * count + stop, total)

    def values(self, view: int, index: Tensor) -> Values:
        """Values of the images `index` in `view`, float32, the logits among them."""
        features, logits = self._map(view)
        rows = index.numpy()
        flat = torch.from_numpy(features[rows]).float()
        parts = torch.split(flat, [prod(shape) for shape in self.shapes], dim=1)
        values = {
            name: part.reshape(-1, *shape) for name, part, shape in zip(self.tensors, parts, self.shapes, strict=True)
        }
        return values | {self.logits: torch.from_numpy(logits[rows])}

    def _compute(self, view: int, start: int, stop: int) -> Values:
        batches = torch.split(self.views.inputs(view, start, stop), _BATCH)
        with torch.no_grad():
            parts = [self.trunk(batch.to(self.trunk.device)) for batch in batches]
        return {name: torch.cat([part[name].cpu() for part in parts]) for name in self.trunk.outputs}

    def _write(self, view: int, start: int, values: Values) -> None:
        features, logits = self._map(view)
        flat = torch.cat([values[t].flatten(1) for t in self.tensors], dim=1)
        halves = flat.half()
        if not torch.isfinite(halves).all():
            worst = float(flat.abs().max())
            raise ModelError(
                f"{self.trunk.graph.name}: a tensor that an exit reads reaches {worst:g}, beyond float16's 65504",
                hint="train without a workspace, or scale the network's inputs",
            )
        rows = slice(start, start + len(flat))
        features[rows] = halves.numpy()
        logits[rows] = values[self.logits].flatten(1).numpy()
        features.flush()
        logits.flush()

    def _map(self, view: int) -> tuple[Matrix, Matrix]:
        if view not in self._maps:
            self.folder.mkdir(parents=True, exist_ok=True)
            count, classes = len(self.views.x), prod(self.trunk.graph.shapes[self.logits])
            width = sum(prod(shape) for shape in self.shapes)
            stem = self.folder / f"view{view}"
            self._maps[view] = (
                _mapped(stem.with_suffix(".features"), np.dtype(np.float16), (count, width)),
                _mapped(stem.with_suffix(".logits"), np.dtype(np.float32), (count, classes)),
            )
        return self._maps[view]

    def _done(self) -> dict[int, int]:
        try:
            state = json.loads((self.folder / _STATE).read_text(encoding="utf-8"))
            return {int(view): int(rows) for view, rows in state.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def _mark(self, done: dict[int, int]) -> None:
        with replacing(self.folder / _STATE) as aside:
            aside.write_text(json.dumps(done), encoding="utf-8")

    def _require_room(self, images: int) -> None:
        wanted = images * bytes_per_image(self.trunk.graph, self.tensors)
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if wanted > free:
            raise ModelError(
                f"{self.folder}: {wanted / GIB:.1f} GiB of features do not fit, {free / GIB:.1f} GiB are free",
                hint="name another folder with --work, or lower --disk-budget",
            )


def given_to_heads(trunk: Trunk) -> tuple[str, ...]:
    """What the trunk computes for heads: all but the final logits."""
    return tuple(t for t in trunk.outputs if t != trunk.graph.exits[-1].logits)


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, int]) -> Matrix:
    """The file at `path` as a matrix; made, full of zeros, where it is missing or of another size."""
    fits = path.exists() and path.stat().st_size == shape[0] * shape[1] * dtype.itemsize
    return np.memmap(path, dtype, "r+" if fits else "w+", shape=shape)


def bytes_per_image(graph: Graph, tensors: Sequence[str]) -> int:
    """Of one view in a FeatureStore."""
    return 2 * sum(prod(graph.shapes[t]) for t in tensors) + 4 * prod(graph.shapes[graph.exits[-1].logits])
