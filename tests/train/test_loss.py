from math import log

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ptee_mcu.train.loss import auxiliary, log_odds, mixture


def logits_of(*probabilities: float) -> Tensor:
    return torch.tensor([probabilities]).log()


def logit(h: float) -> Tensor:
    return torch.tensor([[log(h / (1 - h))]])


def test_the_mixture_is_the_recursion_from_the_back_by_hand() -> None:
    y = [logits_of(0.6, 0.4), logits_of(0.7, 0.3)]
    h = [logit(0.25), logit(0.5)]
    loss = mixture(y, h, logits_of(0.9, 0.1), torch.tensor([0]), (0.2, 0.5, 1.1), 0.9)
    y1, c1 = 0.5 * 0.7 + 0.5 * 0.9, 0.5 * 0.5 + 0.5 * 1.1
    y0, c0 = 0.25 * 0.6 + 0.75 * y1, 0.25 * 0.2 + 0.75 * c1
    assert loss.item() == pytest.approx(-log(y0) - log(y1) + 0.9 * (c0 + c1), rel=1e-5)


def test_the_mixture_is_a_mean_over_the_batch() -> None:
    torch.manual_seed(0)
    y, h = [torch.randn(6, 4), torch.randn(6, 4)], [torch.randn(6, 1), torch.randn(6, 1)]
    final, labels, costs = torch.randn(6, 4), torch.arange(6) % 4, (0.3, 0.6, 1.0)
    whole = mixture(y, h, final, labels, costs, 0.5)
    each = [
        mixture([a[i : i + 1] for a in y], [a[i : i + 1] for a in h], final[i : i + 1], labels[i : i + 1], costs, 0.5)
        for i in range(6)
    ]
    assert whole.item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-5)


def test_a_probability_of_zero_is_no_infinite_loss() -> None:
    confidence = torch.tensor([[200.0]], requires_grad=True)
    loss = mixture(
        [torch.tensor([[-500.0, 500.0]])], [confidence], torch.tensor([[1.0, 0.0]]), torch.tensor([0]), (0.5, 1.0), 1.0
    )
    loss.backward()
    assert loss.item() == pytest.approx(-log(1e-7) + 0.5)
    assert torch.isfinite(confidence.grad).all()


def test_a_dearer_way_makes_leaving_early_pay() -> None:
    confidence = torch.zeros(1, 1, requires_grad=True)
    same = logits_of(0.6, 0.4)
    mixture([same], [confidence], same, torch.tensor([0]), (0.4, 1.0), 1.0).backward()
    assert confidence.grad.item() == pytest.approx((0.4 - 1.0) * 0.25)


def test_the_log_odds_are_those_of_the_first_choice() -> None:
    assert log_odds(logits_of(0.1, 0.7, 0.2)).item() == pytest.approx(log(0.7 / 0.3), rel=1e-5)
    assert log_odds(torch.tensor([[0.0, 50.0]])).item() == 14.0


def test_the_auxiliary_pulls_the_confidence_towards_the_log_odds_and_not_the_classifier() -> None:
    answer = logits_of(0.2, 0.8).requires_grad_()
    confidence = torch.zeros(1, 1, requires_grad=True)
    loss = auxiliary([answer], [confidence], torch.tensor([1]))
    loss.backward()
    odds = log(0.8 / 0.2)
    assert loss.item() == pytest.approx(-log(0.8) + 0.2 * (odds - 0.5), rel=1e-5)
    assert confidence.grad.item() < 0
    alone = logits_of(0.2, 0.8).requires_grad_()
    F.cross_entropy(alone, torch.tensor([1])).backward()
    assert torch.allclose(answer.grad, alone.grad)
