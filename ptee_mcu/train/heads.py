"""Training of exit heads on a frozen backbone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from ptee_mcu.data import Images
from ptee_mcu.errors import ModelError, VerifyError
from ptee_mcu.exits.costs import exit_costs
from ptee_mcu.exits.heads import head_nodes
from ptee_mcu.graph import Exit, Graph, Node, make_graph, needed
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.train.batches import Batches, inputs_of, require_images
from ptee_mcu.train.loop import descend
from ptee_mcu.train.loss import auxiliary, mixture
from ptee_mcu.train.module import GraphModule
from ptee_mcu.train.recipe import HeadRecipe, Progress, no_progress

_PROBE_IMAGES = 16


def train_heads(
    graph: Graph,
    x: Images,
    recipe: HeadRecipe | None = None,
    *,
    normalisation: Normalisation | None = None,
    progress: Progress = no_progress,
) -> Graph:
    """`graph` with its exit heads trained; the backbone is the same to the last bit, which is checked.

    The backbone runs in eval mode and gives the labels: its own answers on the batch. No true label is needed.

    Args:
        graph: with exits attached, BatchNorm not folded.
        x: training images (N, H, W, C), uint8 pixels or float32 inputs.
        recipe: by default HeadRecipe().
        normalisation: of uint8 pixels.
        progress: told after every batch.

    Raises:
        ModelError: where there is no early exit, or training diverges.
        DataError: where the images do not suit the network.
        VerifyError: where the backbone changed.
    """
    recipe = recipe or HeadRecipe()
    require_images(x, graph.input_shape, normalisation)
    trunk = _trunk(graph)
    heads = nn.ModuleList(_head(graph, e) for e in graph.exits[:-1])
    probe = inputs_of(x[:_PROBE_IMAGES], normalisation)
    before = _answers(trunk, probe)
    _fit(graph, trunk, heads, x, recipe, normalisation, progress)
    trained = _merge(graph, heads)
    _require_same_backbone(graph, trained, before, _answers(_trunk(trained), probe))
    return trained


def _fit(
    graph: Graph,
    trunk: GraphModule,
    heads: nn.ModuleList,
    x: Images,
    recipe: HeadRecipe,
    normalisation: Normalisation | None,
    progress: Progress,
) -> None:
    batches = Batches(x, recipe.batch, augment=recipe.augment, normalisation=normalisation, seed=recipe.seed)
    loss = _Loss(graph, exit_costs(graph), recipe)

    def loss_of(index: Tensor) -> Tensor:
        with torch.no_grad():
            values = trunk(batches.inputs(index))
        for head in heads:
            assert isinstance(head, GraphModule)
            values |= head(values[head.graph.input])
        return loss(values)

    descend("exit heads", heads.parameters(), loss_of, batches, recipe, progress)


@dataclass(frozen=True, slots=True)
class _Loss:
    graph: Graph
    costs: tuple[float, ...]
    recipe: HeadRecipe

    def __call__(self, values: Mapping[str, Tensor]) -> Tensor:
        early, final = self.graph.exits[:-1], self.graph.exits[-1]
        logits = [values[e.logits] for e in early]
        confidences = [values[e.rule.tensor] for e in early if e.rule is not None]
        final_logits = values[final.logits]
        labels = final_logits.argmax(1)
        loss = mixture(logits, confidences, final_logits, labels, self.costs, self.recipe.cost_weight)
        return loss + self.recipe.auxiliary * auxiliary(logits, confidences, labels)


def _trunk(graph: Graph) -> GraphModule:
    """The frozen backbone in eval mode, giving every tensor a head reads and the final logits."""
    if len(graph.exits) < 2:
        raise ModelError(f"{graph.name}: has no early exit to train", hint="attach exits first")
    sources = [_source(graph, e) for e in graph.exits[:-1]]
    outputs = tuple(dict.fromkeys([*sources, graph.exits[-1].logits]))
    trunk = GraphModule(graph, outputs, frozen=[node.name for node in graph.nodes])
    return trunk.eval()


def _head(graph: Graph, place: Exit) -> GraphModule:
    """The head of one exit as a module of its own, which reads the tap's tensor."""
    source = _source(graph, place)
    alone = make_graph(
        place.name, source, graph.shapes[source], _nodes_of(graph, place), [Exit(place.name, place.logits)]
    )
    return GraphModule(alone, place.tensors)


def _source(graph: Graph, place: Exit) -> str:
    """The one backbone tensor that the head of an exit reads."""
    nodes = _nodes_of(graph, place)
    made = {node.output for node in nodes}
    sources = sorted({tensor for node in nodes for tensor in node.inputs} - made)
    if len(sources) != 1 or sources[0] in {n.output for n in graph.nodes if n.name in head_nodes(graph)}:
        raise ModelError(
            f"{graph.name}: the head of {place.name} reads {sources}, one tensor of the backbone is expected"
        )
    return sources[0]


def _nodes_of(graph: Graph, place: Exit) -> tuple[Node, ...]:
    own = head_nodes(graph)
    return tuple(node for node in needed(graph.nodes, place.tensors) if node.name in own)


def _merge(graph: Graph, heads: nn.ModuleList) -> Graph:
    """`graph` with the parameters of the heads as trained."""
    trained: dict[str, Node] = {}
    for head in heads:
        assert isinstance(head, GraphModule)
        trained |= {node.name: node for node in head.to_graph().nodes}
    nodes = [replace(node, params=trained[node.name].params) if node.name in trained else node for node in graph.nodes]
    return make_graph(
        graph.name, graph.input, graph.input_shape, nodes, graph.exits, taps=graph.taps, softmax=graph.softmax
    )


def _answers(trunk: GraphModule, probe: Tensor) -> bytes:
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
