"""Training of exit heads on a frozen backbone."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ptee_mcu.data import Images, Labels
from ptee_mcu.errors import ModelError, VerifyError
from ptee_mcu.exits.costs import exit_costs, nominal_costs
from ptee_mcu.exits.heads import cascade_edges, head_nodes
from ptee_mcu.graph import Exit, Graph, needed
from ptee_mcu.integer_graph import integer_part
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.train.batches import Batches, inputs_of, require_images, require_labels
from ptee_mcu.train.checkpoint import Checkpoint, digest
from ptee_mcu.train.device import found_device
from ptee_mcu.train.features import FeatureStore, Told, Values, Views, bytes_per_image, given_to_heads
from ptee_mcu.train.loop import Source, descend
from ptee_mcu.train.loss import Objective, objective_at, two_stage
from ptee_mcu.train.module import GraphModule
from ptee_mcu.train.recipe import Augment, HeadRecipe, Precision, Progress, no_progress, usual_augment
from ptee_mcu.train.terms import HeadOutputs
from ptee_mcu.train.trunk import IntegerTrunk, Trunk
from ptee_mcu.train.workspace import Workspace

_PROBE_IMAGES = 16


def train_heads(
    graph: Graph,
    x: Images,
    recipe: HeadRecipe | None = None,
    *,
    labels: Labels | None = None,
    normalisation: Normalisation | None = None,
    progress: Progress = no_progress,
    workspace: Workspace | None = None,
) -> Graph:
    """`graph` with its exit heads trained; the backbone is the same to the last bit, which is checked.

    The backbone runs in eval mode and gives the labels: its own answers on the batch. No true label is needed. With a
    workspace the backbone runs once per view of an image and what heads read of it is kept there: as many of the
    recipe's views as its budget holds, but where not even one fits the backbone runs in every epoch. A training that
    was killed goes on from what the workspace holds and ends with the same weights.

    Args:
        graph: with exits attached, BatchNorm not folded.
        x: training images (N, H, W, C), uint8 pixels or float32 inputs.
        recipe: by default HeadRecipe().
        labels: true labels (N,) to train on in place of the backbone's answers.
        normalisation: of uint8 pixels.
        progress: told after every batch.
        workspace: where features and checkpoints are kept and what computes; without one nothing is kept.

    Raises:
        ModelError: where there is no early exit, training diverges, or the workspace is damaged or full.
        DataError: where images or labels do not suit the network.
        VerifyError: where the backbone changed.
    """
    recipe = recipe or HeadRecipe()
    require_images(x, graph.input_shape, normalisation)
    if len(graph.exits) < 2:
        raise ModelError(f"{graph.name}: has no early exit to train", hint="attach exits first")
    if labels is not None:
        require_labels(labels, x, graph.shapes[graph.exits[-1].logits][-1])
    device = found_device("cpu" if workspace is None else workspace.device)
    trunk = _trunk(graph)
    probe = inputs_of(x[:_PROBE_IMAGES], normalisation)
    before = _answers(trunk, probe)
    source = _source(trunk.to(device), x, recipe, normalisation, progress, workspace)
    truth = None if labels is None else torch.from_numpy(labels.copy())
    job = digest("exit heads", graph, recipe, x, labels, normalisation, source.views)
    trained = graph
    rounds = range(len(graph.exits) - 1) if recipe.incremental else [None]
    for only in rounds:
        name = f"heads-{job[:16]}" + ("" if only is None else f"-{only}")
        path = None if workspace is None else workspace.folder / f"{name}.checkpoint"
        heads = _heads(trained, source.tensors, only).to(device)
        _fit(heads, source, truth, recipe, only, progress, Checkpoint(path, job))
        trained = heads.to("cpu").to_graph()
    _require_same_backbone(graph, trained, before, _answers(_trunk(trained), probe))
    return trained


def read_by_heads(graph: Graph) -> tuple[str, ...]:
    """The tensors that trainable nodes of exit heads read and that no training changes.

    Those are tensors of the backbone, or what a head's first nodes make of them without parameters, such as a pooling.
    """
    own = head_nodes(graph)
    fixed = {graph.input, *(node.output for node in graph.nodes if node.name not in own)}
    read: dict[str, None] = {}
    for node in graph.nodes:
        if node.name not in own:
            continue
        if not node.params and fixed.issuperset(node.inputs):
            fixed.add(node.output)
        else:
            read |= dict.fromkeys(t for t in node.inputs if t in fixed)
    return tuple(read)


class _Batches(Source, Protocol):
    """Batches of images and what the trunk makes of them."""

    tensors: tuple[str, ...]
    views: int

    def values(self, index: Tensor) -> Values:
        """Values of the tensors that heads read and of the final logits, for images `index` of a batch."""


class _Stored:
    """Batches from a FeatureStore, filled when first needed; each epoch takes the next view.

    An index counts the images of all views.
    """

    def __init__(self, store: FeatureStore, size: int, seed: int, told: Told) -> None:
        self.store, self.count, self.views = store, len(store.views.x), store.views.count
        self.told, self.filled = told, False
        self.tensors = store.tensors
        self.size = min(size, self.count)
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.count // self.size

    def epoch(self, number: int) -> list[Tensor]:
        order = torch.randperm(self.count, generator=self.generator) + number % self.views * self.count
        return list(torch.split(order[: len(self) * self.size], self.size))

    def values(self, index: Tensor) -> Values:
        if not self.filled:
            self.store.fill(self.told)
            self.filled = True
        return self.store.values(int(index[0]) // self.count, index % self.count)


class _Live(Batches):
    """Batches whose images run through the trunk whenever they are needed."""

    def __init__(self, trunk: Trunk, x: Images, recipe: HeadRecipe, normalisation: Normalisation | None) -> None:
        super().__init__(x, recipe.batch, augment=recipe.augment, normalisation=normalisation, seed=recipe.seed)
        self.trunk = trunk
        self.tensors = given_to_heads(trunk)
        self.views = 0

    def values(self, index: Tensor) -> Values:
        with torch.no_grad():
            values: Values = self.trunk(self.inputs(index).to(self.trunk.device))
            return values


def _source(
    trunk: Trunk,
    x: Images,
    recipe: HeadRecipe,
    normalisation: Normalisation | None,
    progress: Progress,
    workspace: Workspace | None,
) -> _Batches:
    view = len(x) * bytes_per_image(trunk.graph, given_to_heads(trunk))
    room = 0 if workspace is None else workspace.budget // view
    augment = usual_augment(x.shape[1:]) if recipe.augment is None else recipe.augment
    count = min(1 if augment is Augment.NONE else recipe.views, recipe.epochs, room)
    if workspace is None or not count:
        return _Live(trunk, x, recipe, normalisation)
    store = FeatureStore(trunk, Views(x, normalisation, augment, recipe.seed, count), workspace.folder)
    text = f"running the backbone, {count} view{'s' if count > 1 else ''} of each image"
    return _Stored(store, recipe.batch, recipe.seed, lambda done, total: progress(done, total, text))


def _fit(
    heads: GraphModule,
    source: _Batches,
    truth: Tensor | None,
    recipe: HeadRecipe,
    only: int | None,
    progress: Progress,
    checkpoint: Checkpoint,
) -> None:
    graph, device = heads.graph, heads.device
    final = graph.exits[-1].logits
    early = graph.exits[:-1] if only is None else graph.exits[: only + 1]
    objective = _objective(graph, len(early), recipe, only)
    stages = two_stage(objective, recipe.warmup) if recipe.warmup else ((0, objective),)
    reduced = recipe.precision is Precision.BFLOAT16

    def loss_of(index: Tensor, epoch: int) -> Tensor:
        read = {name: value.to(device) for name, value in source.values(index).items()}
        with torch.autocast(device.type, torch.bfloat16, enabled=reduced):
            values = heads(*[read[name] for name in heads.inputs])
        logits = tuple(values[e.logits].float() for e in early)
        confidences = tuple(values[e.rule.tensor].float() for e in early if e.rule is not None)
        labels = read[final].argmax(1) if truth is None else truth[index % len(truth)].to(device)
        return objective_at(stages, epoch)(HeadOutputs(logits, confidences, read[final], labels))

    what = "exit heads" if only is None else f"head of {graph.exits[only].name}"
    descend(what, heads, loss_of, source, recipe, progress, checkpoint)


def _objective(graph: Graph, early: int, recipe: HeadRecipe, only: int | None) -> Objective:
    """Of the first `early` exits and the final one; `only`: of them, the one that learns."""
    costs_of = nominal_costs if recipe.nominal_costs else exit_costs
    return Objective(
        recipe.loss,
        costs_of(replace(graph, exits=(*graph.exits[:early], graph.exits[-1]))),
        cost_weight=recipe.cost_weight,
        auxiliary=recipe.auxiliary,
        confidence=recipe.confidence,
        kl=recipe.kl,
        kl_temperature=recipe.kl_temperature,
        survivors=recipe.survivors,
        active=None if only is None else frozenset({only}),
    )


def _trunk(graph: Graph) -> Trunk:
    """The frozen backbone in eval mode, giving every tensor that heads read and the final logits."""
    outputs = tuple(dict.fromkeys([*read_by_heads(graph), graph.exits[-1].logits]))
    integers = integer_part(graph)
    if integers is not None:
        return IntegerTrunk(graph, integers, outputs)
    return GraphModule(graph, outputs, frozen=[node.name for node in graph.nodes]).eval()


def _heads(graph: Graph, inputs: Iterable[str], only: int | None) -> GraphModule:
    """All heads as one module, or those up to exit `only` with the earlier ones frozen.

    No gradient flows from a head into the logits of an earlier one that it reads.
    """
    early = graph.exits[:-1] if only is None else graph.exits[: only + 1]
    frozen = [] if only is None else sorted(_names(graph, early[:only]) & head_nodes(graph))
    outputs = [t for e in early for t in e.tensors]
    return GraphModule(graph, outputs, inputs=tuple(inputs), frozen=frozen, cut=cascade_edges(graph))


def _names(graph: Graph, exits: Iterable[Exit]) -> set[str]:
    return {node.name for e in exits for node in needed(graph.nodes, e.tensors)}


def _answers(trunk: Trunk, probe: Tensor) -> bytes:
    with torch.no_grad():
        answers: bytes = trunk(probe)[trunk.graph.exits[-1].logits].numpy().tobytes()
        return answers


def _require_same_backbone(before: Graph, after: Graph, answers_before: bytes, answers_after: bytes) -> None:
    own = head_nodes(before)
    for old, new in zip(before.nodes, after.nodes, strict=True):
        for role, array in old.params.items():
            if old.name not in own and not np.array_equal(array.view(np.uint32), new.params[role].view(np.uint32)):
                raise VerifyError(f"{old.name}: training the exit heads changed {role} of the frozen backbone")
    if answers_before != answers_after:
        raise VerifyError(f"{before.name}: training the exit heads changed the answers of the frozen backbone")
