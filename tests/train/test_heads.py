from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from exits.networks import two_blocks

from ptee_mcu.errors import DataError, ModelError, VerifyError
from ptee_mcu.exits.heads import HEADS, attach, head_nodes
from ptee_mcu.graph import Exit, Graph, forward
from ptee_mcu.tensor import Float, readonly
from ptee_mcu.train import heads
from ptee_mcu.train.heads import train_heads
from ptee_mcu.train.recipe import HeadRecipe

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


def test_a_head_on_two_tensors_of_the_backbone_is_refused() -> None:
    graph = with_exits("pool")
    early, late, final = graph.exits
    mixed = replace(graph, exits=(Exit(early.name, late.logits, early.rule, early.tap), final))
    with pytest.raises(ModelError, match=r"the head of exit0 reads \[.*, .*\], one tensor of the backbone"):
        train_heads(mixed, images(8))


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match="the network takes"):
        train_heads(with_exits(), np.zeros((4, 8, 8, 3), np.float32))


def test_divergence_is_told_with_the_epoch() -> None:
    with pytest.raises(ModelError, match=r"diverged in epoch \d of 9\n  hint: lower the learning rate, now 1e\+30"):
        train_heads(with_exits("pool"), images(64), HeadRecipe(epochs=9, lr=1e30, batch=32))


def test_a_backbone_that_changed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = with_exits("pool")
    merge = heads._merge
    stem = graph.nodes[0]

    def spoiling(*args: object) -> Graph:
        merged = merge(*args)  # type: ignore[arg-type]
        weight = stem.params["weight"].copy()
        weight[0, 0, 0, 0] = np.nextafter(weight[0, 0, 0, 0], np.float32(9))
        spoilt = replace(stem, params=MappingProxyType({"weight": readonly(weight, np.float32)}))
        return replace(merged, nodes=(spoilt, *merged.nodes[1:]))

    monkeypatch.setattr(heads, "_merge", spoiling)
    with pytest.raises(VerifyError, match=f"{stem.name}: training the exit heads changed weight of the frozen"):
        train_heads(graph, images(64), QUICK)


def test_answers_that_changed_are_found() -> None:
    graph = with_exits("pool")
    with pytest.raises(VerifyError, match="changed the answers of the frozen backbone"):
        heads._require_same_backbone(graph, graph, b"before", b"after")
