from dataclasses import replace
from itertools import product
from math import exp, log

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ptee_mcu.train.confidence import ConfidenceTarget
from ptee_mcu.train.loss import (
    Objective,
    confidence_loss,
    log_odds,
    softened_kl,
    survivor_weights,
)
from ptee_mcu.train.recipe import Loss
from ptee_mcu.train.terms import TERMS, HeadOutputs, head_outputs

COSTS = {1: (0.4, 1.02), 3: (0.2, 0.45, 0.8, 1.1)}
WEIGHT = 0.7


def outputs(early: int = 3, seed: int = 0, batch: int = 7, classes: int = 5, scale: float = 1.5) -> HeadOutputs:
    """Random float64 outputs with labels that are not the final exit's, gradients wanted."""
    torch.manual_seed(seed)
    z = [(scale * torch.randn(batch, classes, dtype=torch.float64)).requires_grad_() for _ in range(early)]
    h = [(scale * torch.randn(batch, 1, dtype=torch.float64)).requires_grad_() for _ in range(early)]
    return head_outputs(z, h, scale * torch.randn(batch, classes, dtype=torch.float64), torch.arange(batch) % classes)


def softmax(row: np.ndarray) -> list[float]:
    """Of one image's logits, by exp and sum."""
    total = sum(exp(v) for v in row)
    return [exp(v) / total for v in row]


def tables(o: HeadOutputs) -> tuple[list[list[float]], list[list[float]]]:
    """Probability of the label per exit (the final one included) and image; sigmoid per early exit and image."""
    labels = o.labels.tolist()
    p = [
        [softmax(row)[label] for row, label in zip(z.detach().numpy(), labels, strict=True)]
        for z in (*o.logits, o.final_logits)
    ]
    return p, [[1 / (1 + exp(-v)) for v in t.detach().numpy()[:, 0]] for t in o.confidences]


def mixed_terms(o: HeadOutputs, costs: tuple[float, ...]) -> list[list[float]]:
    """NLL(Y_n) + lambda C_n per exit and image, by the recursion on probabilities."""
    p, h = tables(o)
    terms = [[0.0] * len(o.labels) for _ in costs]
    for b in range(len(o.labels)):
        y, c = p[-1][b], costs[-1]
        terms[-1][b] = -log(y) + WEIGHT * c
        for n in reversed(range(len(h))):
            y = h[n][b] * p[n][b] + (1 - h[n][b]) * y
            c = h[n][b] * costs[n] + (1 - h[n][b]) * c
            terms[n][b] = -log(y) + WEIGHT * c
    return terms


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def reference(kind: Loss, o: HeadOutputs, costs: tuple[float, ...]) -> float:
    """The formulas of EENet and PTEEnet, written out."""
    p, h = tables(o)
    images, exits = range(len(o.labels)), range(len(costs))
    if kind is Loss.V0:
        return sum(mean([-log(p[i][b]) for b in images]) for i in exits)
    if kind is Loss.V1:
        return mean(mixed_terms(o, costs)[0])
    if kind is Loss.V2:
        return sum(map(mean, mixed_terms(o, costs)))
    if kind is Loss.SUFFIX:
        return sum(map(mean, mixed_terms(o, costs)[:-1]))
    if kind is Loss.V3:
        means = [*map(mean, h), 1.0]
        shares = [m / sum(means) for m in means]
        return sum(shares[i] * (mean([-log(p[i][b]) for b in images]) + WEIGHT * costs[i]) for i in exits)
    per_image = [[-log(p[i][b]) + WEIGHT * costs[i] for i in exits] for b in images]
    tags = [losses.index(min(losses)) for losses in per_image]
    total = mean([per_image[b][tags[b]] for b in images])
    for i in range(len(h)):
        rate = tags.count(i) / len(tags)
        total += mean([-(1 - rate) * log(h[i][b]) if tags[b] == i else -rate * log(1 - h[i][b]) for b in images])
    return total


@pytest.mark.parametrize(("kind", "early", "seed"), list(product(Loss, COSTS, range(3))))
def test_every_loss_is_its_formula(kind: Loss, early: int, seed: int) -> None:
    o = outputs(early, seed)
    found = Objective(kind, COSTS[early], WEIGHT)(o)
    assert found.item() == pytest.approx(reference(kind, o, COSTS[early]), rel=1e-12)


def test_every_loss_has_its_terms() -> None:
    assert set(TERMS) == set(Loss)


def test_with_one_early_exit_the_suffix_sum_is_v1_and_v2_adds_a_constant() -> None:
    o = outputs(1)
    suffix, first, every = (Objective(k, COSTS[1], WEIGHT)(o) for k in (Loss.SUFFIX, Loss.V1, Loss.V2))
    assert suffix.item() == pytest.approx(first.item(), rel=1e-12)
    final = F.cross_entropy(o.final_logits, o.labels).item() + WEIGHT * COSTS[1][1]
    assert every.item() - suffix.item() == pytest.approx(final, rel=1e-12)


def test_tags_of_a_batch_are_those_of_its_images_one_by_one() -> None:
    o = outputs(seed=4)
    whole = TERMS[Loss.V4](o, COSTS[3], WEIGHT).whole
    each = [
        TERMS[Loss.V4](
            head_outputs(
                [z[i : i + 1] for z in o.logits],
                [h[i : i + 1] for h in o.confidences],
                o.final_logits[i : i + 1],
                o.labels[i : i + 1],
            ),
            COSTS[3],
            WEIGHT,
        ).whole
        for i in range(len(o.labels))
    ]
    assert whole.item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-12)


@pytest.mark.parametrize("kind", Loss)
@pytest.mark.parametrize("added", [{}, {"auxiliary": 1.0, "kl": 1.0, "survivors": 1.0}])
def test_extreme_logits_give_finite_losses_and_gradients(kind: Loss, added: dict[str, float]) -> None:
    z, h = torch.tensor([[-4e4, 4e4, 0.0], [4e4, -4e4, 0.0]]), torch.tensor([[1e4], [-1e4]])
    logits = [s * z.clone().requires_grad_() for s in (1, -1)]
    confidences = [s * h.clone().requires_grad_() for s in (1, -1)]
    for t in (*logits, *confidences):
        t.retain_grad()
    o = head_outputs(logits, confidences, 2 * z, torch.tensor([0, 1]))
    loss = Objective(kind, (0.3, 0.6, 1.1), **added)(o)
    loss.backward()
    assert torch.isfinite(loss)
    for t in (*logits, *confidences):
        assert t.grad is None or torch.isfinite(t.grad).all()


@pytest.mark.parametrize("kind", Loss)
def test_exits_that_are_not_active_get_no_gradient_and_the_active_one_does(kind: Loss) -> None:
    o = outputs()
    everything = Objective(
        kind, COSTS[3], WEIGHT, auxiliary=1.0, kl=1.0, survivors=0.5, active=frozenset({1})
    )  # fmt: skip
    everything(o).backward()
    for tensors in (o.logits, o.confidences):
        assert [t.grad is not None and bool(t.grad.any()) for t in tensors] == [False, True, False]


def test_the_only_term_of_an_active_exit_is_its_own_mixture_which_holds_the_later_exits() -> None:
    o = outputs()
    found = Objective(Loss.SUFFIX, COSTS[3], WEIGHT, active=frozenset({1}))(o)
    assert found.item() == pytest.approx(mean(mixed_terms(o, COSTS[3])[1]), rel=1e-12)


def test_survivor_weights_multiply_what_earlier_exits_pass_on_and_have_mean_one_and_no_gradient() -> None:
    h = torch.tensor([[log(3.0), 0.0, -200.0], [0.0] * 3, [0.0] * 3], requires_grad=True)
    first, second, third = survivor_weights(h, 1.0)
    assert first.tolist() == [1.0, 1.0, 1.0]
    passed = np.array([0.25, 0.5, 1.0])
    assert second.tolist() == pytest.approx(passed / passed.mean())
    assert third.tolist() == pytest.approx(passed / 2 / (passed / 2).mean())
    assert not second.requires_grad
    half = (1 + passed) / 2
    assert survivor_weights(h, 0.5)[1].tolist() == pytest.approx(half / half.mean())


def test_no_image_is_forgotten_by_survivor_weights() -> None:
    assert survivor_weights(torch.tensor([[500.0, -500.0], [0.0, 0.0]]), 1.0)[1].tolist() == pytest.approx(
        [0.05 / 0.525, 1 / 0.525]
    )
    every = survivor_weights(torch.full((2, 2), 500.0), 1.0)[1]
    assert every.tolist() == pytest.approx([1.0, 1.0])


def test_survivor_weights_weigh_every_term_of_their_exit() -> None:
    o = outputs(seed=2)
    weights = survivor_weights(o.stacked_confidences(), 0.8)
    objective = Objective(Loss.SUFFIX, COSTS[3], WEIGHT, auxiliary=0.5, kl=0.25, survivors=0.8)
    expected = 0.0
    for n, weight in enumerate(weights):
        term = torch.tensor(mixed_terms(o, COSTS[3])[n], dtype=torch.float64)
        term = term + 0.5 * F.cross_entropy(o.logits[n], o.labels, reduction="none")
        target = log_odds(o.logits[n])
        term = term + 0.1 * F.smooth_l1_loss(o.confidences[n][:, 0], target, reduction="none")
        term = term + 0.25 * softened_kl(o.final_logits, o.logits[n], 2.0)
        expected += (weight * term).mean().item()
    assert objective(o).item() == pytest.approx(expected, rel=1e-12)


def test_the_divergence_is_that_of_softened_probabilities_by_hand() -> None:
    teacher, student = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([[0.5, 1.0, 0.0]])
    p, q = softmax(teacher.numpy()[0] / 4), softmax(student.numpy()[0] / 4)
    expected = 16 * sum(a * log(a / b) for a, b in zip(p, q, strict=True))
    assert softened_kl(teacher, student, 4.0).item() == pytest.approx(expected, rel=1e-5)
    assert softened_kl(teacher, teacher, 4.0).item() == pytest.approx(0.0, abs=1e-6)


def test_the_backbone_is_a_teacher_and_no_pupil() -> None:
    o = outputs()
    o = replace(o, final_logits=o.final_logits.requires_grad_())
    both, alone = (Objective(Loss.SUFFIX, COSTS[3], WEIGHT, kl=kl) for kl in (1.0, 0.0))
    (both(o) - alone(o)).backward()
    assert o.final_logits.grad is not None
    assert o.final_logits.grad.abs().max() < 1e-12
    assert o.logits[0].grad is not None
    assert o.logits[0].grad.abs().max() > 1e-3


def test_a_confidence_may_learn_agreement_instead_of_log_odds() -> None:
    logits = torch.tensor([[3.0, 0.0], [3.0, 0.0]])
    confidence, labels = torch.tensor([0.5, 0.5]), torch.tensor([0, 1])
    right, wrong = confidence_loss(confidence, logits, labels, ConfidenceTarget.AGREEMENT).tolist()
    assert right == pytest.approx(log(1 + exp(-0.5)))
    assert wrong == pytest.approx(log(1 + exp(0.5)))
    same = confidence_loss(confidence, logits, labels, ConfidenceTarget.LOG_ODDS).tolist()
    assert same == pytest.approx([0.2 * (3.0 - 0.5 - 0.5)] * 2)


@pytest.mark.parametrize("target", ConfidenceTarget)
def test_the_confidences_target_teaches_no_classifier(target: ConfidenceTarget) -> None:
    o = outputs()
    objective = Objective(Loss.V0, COSTS[3], auxiliary=1.0, confidence=target)
    objective(o).backward()
    alone = outputs()
    (2 * sum(F.cross_entropy(z, alone.labels) for z in alone.logits)).backward()
    for found, expected in zip(o.logits, alone.logits, strict=True):
        assert torch.allclose(found.grad, expected.grad)
    assert all(h.grad.any() for h in o.confidences)


def logits_of(*probabilities: float) -> Tensor:
    return torch.tensor([probabilities]).log()


def test_the_mixture_is_the_recursion_from_the_back_by_hand() -> None:
    y = [logits_of(0.6, 0.4), logits_of(0.7, 0.3)]
    h = [torch.tensor([[-log(3.0)]]), torch.tensor([[0.0]])]  # sigmoid 1/4, 1/2
    loss = Objective(Loss.SUFFIX, (0.2, 0.5, 1.1), 0.9)(head_outputs(y, h, logits_of(0.9, 0.1), torch.tensor([0])))
    y1, c1 = 0.5 * 0.7 + 0.5 * 0.9, 0.5 * 0.5 + 0.5 * 1.1
    y0, c0 = 0.25 * 0.6 + 0.75 * y1, 0.25 * 0.2 + 0.75 * c1
    assert loss.item() == pytest.approx(-log(y0) - log(y1) + 0.9 * (c0 + c1), rel=1e-5)


def test_a_dearer_way_makes_leaving_early_pay() -> None:
    confidence = torch.zeros(1, 1, requires_grad=True)
    same = logits_of(0.6, 0.4)
    Objective(Loss.SUFFIX, (0.4, 1.0), 1.0)(head_outputs([same], [confidence], same, torch.tensor([0]))).backward()
    assert confidence.grad.item() == pytest.approx((0.4 - 1.0) * 0.25)


def test_the_log_odds_are_those_of_the_first_choice() -> None:
    assert log_odds(logits_of(0.1, 0.7, 0.2)).item() == pytest.approx(log(0.7 / 0.3), rel=1e-5)
    assert log_odds(torch.tensor([[0.0, 50.0]])).item() == 14.0


def test_the_auxiliary_pulls_the_confidence_towards_the_log_odds_and_not_the_classifier() -> None:
    answer = logits_of(0.2, 0.8).requires_grad_()
    confidence = torch.zeros(1, 1, requires_grad=True)
    given = head_outputs([answer], [confidence], logits_of(0.2, 0.8), torch.tensor([1]))
    bare = Objective(Loss.SUFFIX, (0.5, 1.0), 0.0)
    loss = replace(bare, auxiliary=1.0)(given) - bare(given)
    loss.backward()
    odds = log(0.8 / 0.2)
    assert loss.item() == pytest.approx(-log(0.8) + 0.2 * (odds - 0.5), rel=1e-5)
    assert confidence.grad.item() < 0
    alone = logits_of(0.2, 0.8).requires_grad_()
    F.cross_entropy(alone, torch.tensor([1])).backward()
    assert torch.allclose(answer.grad, alone.grad, atol=1e-6)
