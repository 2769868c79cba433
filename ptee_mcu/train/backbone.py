"""Training of a backbone from random weights."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ptee_mcu.data import Images, Labels
from ptee_mcu.errors import ModelError
from ptee_mcu.graph import Graph
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.train.batches import Batches, require_images, require_labels
from ptee_mcu.train.checkpoint import Checkpoint, digest
from ptee_mcu.train.device import found_device
from ptee_mcu.train.loop import descend
from ptee_mcu.train.module import GraphModule
from ptee_mcu.train.recipe import BackboneRecipe, Precision, Progress, no_progress


def train_backbone(
    graph: Graph,
    x: Images,
    y: Labels,
    recipe: BackboneRecipe | None = None,
    *,
    normalisation: Normalisation | None = None,
    progress: Progress = no_progress,
    checkpoint: Path | None = None,
    device: str = "cpu",
) -> Graph:
    """`graph` with all its parameters and BatchNorm statistics trained by cross-entropy at its final exit.

    Args:
        graph: without early exits, BatchNorm not folded.
        x: training images (N, H, W, C), uint8 pixels or float32 inputs.
        y: labels (N,).
        recipe: by default BackboneRecipe().
        normalisation: of uint8 pixels.
        progress: told after every batch.
        checkpoint: file that keeps the state, or a folder where the file is called after the training; one that was
            killed goes on from it and ends with the same weights.
        device: torch's name of what computes, or "auto".

    Raises:
        ModelError: where there are early exits, training diverges, or the checkpoint is damaged or another job's.
        DataError: where images or labels do not suit the network.
    """
    recipe = recipe or BackboneRecipe()
    if len(graph.exits) != 1:
        raise ModelError(
            f"{graph.name}: has early exits; a backbone is trained ahead of them", hint="attach afterwards"
        )
    require_images(x, graph.input_shape, normalisation)
    logits = graph.exits[0].logits
    require_labels(y, x, graph.shapes[logits][-1])
    place = found_device(device)
    module = GraphModule(graph).to(place)
    batches = Batches(x, recipe.batch, augment=recipe.augment, normalisation=normalisation, seed=recipe.seed)
    truth = torch.from_numpy(y.copy())
    reduced = recipe.precision is Precision.BFLOAT16

    def loss_of(index: Tensor, _epoch: int) -> Tensor:
        with torch.autocast(place.type, torch.bfloat16, enabled=reduced):
            answer = module(batches.inputs(index).to(place))[logits]
        return F.cross_entropy(answer.float(), truth[index].to(place), label_smoothing=recipe.label_smoothing)

    job = digest("backbone", graph, recipe, x, y, normalisation)
    if checkpoint is not None and checkpoint.is_dir():
        checkpoint /= f"backbone-{job[:16]}.checkpoint"
    descend("backbone", module, loss_of, batches, recipe, progress, Checkpoint(checkpoint, job))
    return module.to("cpu").to_graph()
