"""One training that ends itself by SIGKILL: python killed.py KIND FOLDER STEPS; FOLDER/result when it finishes."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
torch.set_num_threads(1)

from exits.networks import two_blocks  # noqa: E402

from ptee_mcu import graph_file  # noqa: E402
from ptee_mcu.exits.heads import HEADS, attach  # noqa: E402
from ptee_mcu.train import checkpoint, features  # noqa: E402
from ptee_mcu.train.backbone import train_backbone  # noqa: E402
from ptee_mcu.train.heads import train_heads  # noqa: E402
from ptee_mcu.train.recipe import Augment, BackboneRecipe, HeadRecipe  # noqa: E402
from ptee_mcu.train.workspace import Workspace  # noqa: E402

kind, folder, steps = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
checkpoint._EVERY_SECONDS = float(os.environ.get("EVERY", "0"))
features._CHUNK = 16
left = iter(range(steps - 1, -1, -1))


def progress(*_: object) -> None:
    """Dies at the step asked for."""
    if next(left) == 0:
        os.kill(os.getpid(), signal.SIGKILL)


rng = np.random.default_rng(0)
x = (2 * rng.normal(size=(80, 1, 1, 3)) + rng.normal(size=(80, 16, 20, 3))).astype(np.float32)
graph = two_blocks()
if kind == "backbone":
    recipe = BackboneRecipe(epochs=4, batch=16, augment=Augment.CROP_FLIP)
    result = train_backbone(
        graph, x, rng.integers(0, 5, 80), recipe, progress=progress, checkpoint=folder / "backbone.checkpoint"
    )
else:
    heads = HeadRecipe(epochs=4, batch=16, views=2, augment=Augment.CROP_FLIP, incremental=kind == "incremental")
    result = train_heads(
        attach(graph, graph.taps, HEADS["pooled"]), x, heads, progress=progress, workspace=Workspace(folder)
    )
graph_file.save(result, folder / "result")
