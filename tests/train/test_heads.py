from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from exits.networks import two_blocks

from ptee_mcu.errors import DataError, ModelError, VerifyError
from ptee_mcu.exits.heads import HEADS, attach, head_nodes
from ptee_mcu.graph import Graph, forward
from ptee_mcu.tensor import Float, readonly
from ptee_mcu.train import heads
from ptee_mcu.train.features import FeatureStore
from ptee_mcu.train.heads import read_by_heads, train_heads
from ptee_mcu.train.module import GraphModule
from ptee_mcu.train.recipe import Augment, HeadRecipe
from ptee_mcu.train.workspace import Workspace

QUICK = HeadRecipe(epochs=2, batch=32)


def with_exits(head: str = "pooled", seed: int = 0) -> Graph:
    graph = two_blocks(seed)
    return attach(graph, graph.taps, HEADS[head])


def images(count: int = 128, seed: int = 0) -> Float:
    """Noise of any colour, which even an untrained backbone tells apart."""
    rng = np.random.default_rng(seed)
    colours = 2 * rng.normal(size=(count, 1, 1, 3))
    return (colours + rng.normal(size=(count, 16, 20, 3))).astype(np.float32)


def same_parameters(a: Graph, b: Graph, names: frozenset[str]) -> bool:
    return all(
        np.array_equal(array, b.node(node.name).params[role])
        for node in a.nodes
        if node.name in names
        for role, array in node.params.items()
    )


@pytest.mark.parametrize("head", HEADS)
def test_training_changes_heads_and_nothing_else(head: str) -> None:
    before = with_exits(head)
    after = train_heads(before, images(64), QUICK)
    own = head_nodes(before)
    assert same_parameters(before, after, frozenset(n.name for n in before.nodes) - own)
    for node in before.nodes:
        if node.name in own and "weight" in node.params:
            assert not np.array_equal(node.params["weight"], after.node(node.name).params["weight"]), node.name
    x, final = images(8, seed=1), before.exits[-1].logits
    assert np.array_equal(forward(before, x, [final])[final], forward(after, x, [final])[final])


def test_heads_learn_to_agree_with_the_backbone_and_to_know_where_they_do_not() -> None:
    graph = train_heads(with_exits(seed=2), images(512), HeadRecipe(epochs=12, batch=32))
    x = images(400, seed=5)
    late, final = graph.exits[1], graph.exits[-1]
    values = forward(graph, x, [*late.tensors, final.logits])
    labels = values[final.logits].argmax(1)
    agrees = values[late.logits].argmax(1) == labels
    assert agrees.mean() > max(np.bincount(labels)) / len(labels)
    order = values[late.tensors[1]][:, 0].argsort()
    assert agrees[order[200:]].mean() > agrees[order[:200]].mean()


def test_the_same_seed_trains_the_same_heads() -> None:
    graph, x = with_exits(), images(64)
    one, same = (train_heads(graph, x, QUICK) for _ in range(2))
    other = train_heads(graph, x, replace(QUICK, seed=1))
    every = frozenset(node.name for node in graph.nodes)
    assert same_parameters(one, same, every)
    assert not same_parameters(one, other, every)


def test_progress_is_told_of_every_batch() -> None:
    told: list[tuple[int, int, str]] = []
    train_heads(with_exits("pool"), images(70), QUICK, progress=lambda *seen: told.append(seen))
    assert [done for done, _, _ in told] == [1, 2, 3, 4]
    assert {total for _, total, _ in told} == {4}
    assert told[-1][2].startswith("exit heads, epoch 2 of 2, loss ")


def test_a_network_without_exits_cannot_train_heads() -> None:
    with pytest.raises(ModelError, match="has no early exit to train"):
        train_heads(two_blocks(), images(8))


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match="the network takes"):
        train_heads(with_exits(), np.zeros((4, 8, 8, 3), np.float32))


def test_divergence_is_told_with_the_epoch() -> None:
    with pytest.raises(ModelError, match=r"diverged in epoch \d of 9\n  hint: lower the learning rate, now 1e\+30"):
        train_heads(with_exits("pool"), images(64), HeadRecipe(epochs=9, lr=1e30, batch=32))


def test_a_backbone_that_changed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = with_exits("pool")
    merge = GraphModule.to_graph
    stem = graph.nodes[0]

    def spoiling(module: GraphModule) -> Graph:
        merged = merge(module)
        weight = stem.params["weight"].copy()
        weight[0, 0, 0, 0] = np.nextafter(weight[0, 0, 0, 0], np.float32(9))
        spoilt = replace(stem, params=MappingProxyType({"weight": readonly(weight, np.float32)}))
        return replace(merged, nodes=(spoilt, *merged.nodes[1:]))

    monkeypatch.setattr(GraphModule, "to_graph", spoiling)
    with pytest.raises(VerifyError, match=f"{stem.name}: training the exit heads changed weight of the frozen"):
        train_heads(graph, images(64), QUICK)


def test_answers_that_changed_are_found() -> None:
    graph = with_exits("pool")
    with pytest.raises(VerifyError, match="changed the answers of the frozen backbone"):
        heads._require_same_backbone(graph, graph, b"before", b"after")


def test_what_pooling_makes_of_a_tap_is_read_in_its_place() -> None:
    assert read_by_heads(with_exits("pool")) == ("exit0.gap", "exit1.gap")
    assert read_by_heads(with_exits("conv1")) == tuple(tap.tensor for tap in two_blocks().taps)


def test_heads_from_stored_features_are_heads_from_the_running_backbone(tmp_path: Path) -> None:
    """Up to float16's rounding of the features: one view, nothing augmented."""
    graph, x = with_exits(), images(96)
    live = train_heads(graph, x, QUICK)
    stored = train_heads(graph, x, QUICK, workspace=Workspace(tmp_path))
    for node in graph.nodes:
        for role, array in live.node(node.name).params.items():
            assert np.allclose(array, stored.node(node.name).params[role], atol=0.02), (node.name, role)


def test_the_backbone_runs_once_per_view_of_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    compute = FeatureStore._compute
    monkeypatch.setattr(FeatureStore, "_compute", lambda self, v, i, j: seen.append(j - i) or compute(self, v, i, j))
    recipe = HeadRecipe(epochs=5, batch=32, views=2, augment=Augment.CROP_FLIP)
    train_heads(with_exits(), images(64), recipe, workspace=Workspace(tmp_path))
    assert sum(seen) == 2 * 64
    train_heads(with_exits(seed=0), images(64), replace(recipe, lr=1e-3), workspace=Workspace(tmp_path))
    assert sum(seen) == 2 * 64


def test_a_budget_limits_the_views_and_none_means_no_file(tmp_path: Path) -> None:
    graph, x = with_exits(), images(64)
    recipe = HeadRecipe(epochs=2, batch=32, views=2, augment=Augment.CROP_FLIP)
    row = 2 * sum(np.prod(graph.shapes[t]) for t in read_by_heads(graph)) + 4 * 5
    for budget, views in ((64 * row * 2, 2), (64 * row * 2 - 1, 1), (64 * row - 1, 0)):
        folder = tmp_path / str(views)
        train_heads(graph, x, recipe, workspace=Workspace(folder, int(budget)))
        assert len(list(folder.glob("features-*/*.features"))) == views


def test_features_beyond_float16_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="beyond float16's 65504"):
        train_heads(with_exits(), images(32) * 1e6, QUICK, workspace=Workspace(tmp_path))


def test_a_truncated_checkpoint_is_named_and_kept(tmp_path: Path) -> None:
    graph, x = with_exits(), images(64)
    train_heads(graph, x, QUICK, workspace=Workspace(tmp_path))
    [path] = tmp_path.glob("heads-*.checkpoint")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match=rf"{path.name}: is damaged .*\n  hint: delete it"):
        train_heads(graph, x, QUICK, workspace=Workspace(tmp_path))
    assert path.stat().st_size == 1000


def test_one_head_after_another_leaves_the_earlier_ones_as_they_are() -> None:
    recipe = HeadRecipe(epochs=1, batch=32, incremental=True)
    graph, x = with_exits(), images(64)
    both = train_heads(graph, x, recipe)
    names = frozenset(node.name for node in graph.nodes if node.name.startswith("exit0"))
    alone = train_heads(attach(two_blocks(), graph.taps[:1], HEADS["pooled"]), x, recipe)
    assert same_parameters(both, alone, names)
    assert not same_parameters(both, graph, head_nodes(graph))


def test_true_labels_take_the_place_of_the_backbones_answers() -> None:
    graph, x = with_exits("pool"), images(256)
    labels = np.full(256, 3)
    trained = train_heads(graph, x, HeadRecipe(epochs=30, batch=32, lr=0.02, cost_weight=0.0), labels=labels)
    answers = forward(trained, x, [trained.exits[0].logits])[trained.exits[0].logits].argmax(1)
    assert (answers == 3).mean() > 0.9
    with pytest.raises(DataError, match="labels from 3 to 7 for 256 images and 5 classes"):
        train_heads(graph, x, QUICK, labels=np.where(np.arange(256) == 9, 7, labels))
