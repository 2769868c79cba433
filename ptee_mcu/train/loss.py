"""The losses that exit heads are trained by."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

_LEAST = 1e-7  # of a probability ahead of its logarithm: float32 loses the difference of 1 and less
_MOST_LOG_ODDS = 14.0
_DISTILLATION = 0.2  # of a nat of cross-entropy per unit of log-odds


def mixture(
    logits: Sequence[Tensor],
    confidences: Sequence[Tensor],
    final_logits: Tensor,
    labels: Tensor,
    costs: Sequence[float],
    cost_weight: float,
) -> Tensor:
    """PTEEnet's loss: sum over exits n of CE(labels, Y_n) + cost_weight * C_n, mean over the batch.

    From the back, with h the sigmoid of an exit's confidence, y its softmax and c its cost:
    Y_N = y_N, C_N = c_N; Y_n = h y_n + (1 - h) Y_{n+1}, C_n = h c_n + (1 - h) C_{n+1}.

    Args:
        logits: per early exit, (B, K).
        confidences: per early exit, (B, 1), ahead of the sigmoid.
        final_logits: (B, K).
        labels: (B,).
        costs: per exit, the final one included, relative to the bare backbone.
        cost_weight: lambda.

    Source: Lahiany and Aperstein, IEEE Access 10, 2022, equations 1 to 4, with the recursive C_{n+1} of the
    reference code where the print has c_{n+1}; costs charge every head on the way, so c_N is above 1.
    """
    mixed = F.softmax(final_logits, 1)
    cost = torch.full((len(labels), 1), costs[-1])
    loss = torch.zeros(())
    for answer, confidence, own in zip(
        reversed(logits), reversed(confidences), reversed(tuple(costs)[:-1]), strict=True
    ):
        leave = torch.sigmoid(confidence)
        mixed = leave * F.softmax(answer, 1) + (1 - leave) * mixed
        cost = leave * own + (1 - leave) * cost
        loss = loss + F.nll_loss(torch.log(mixed.clamp_min(_LEAST)), labels) + cost_weight * cost.mean()
    return loss


def auxiliary(logits: Sequence[Tensor], confidences: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Sum over exits of the cross-entropy on all images and of the confidence's distance to its target.

    The mixture alone trains a classifier only on what its confidence lets out, and a confidence only to the sharpness
    of one decision; thresholds that are chosen afterwards need both good everywhere. The target is the log-odds of
    the classifier's first choice, not whether that choice is right: on images the backbone was trained on it nearly
    always is.
    """
    loss = torch.zeros(())
    for answer, confidence in zip(logits, confidences, strict=True):
        loss = loss + F.cross_entropy(answer, labels)
        loss = loss + _DISTILLATION * F.smooth_l1_loss(confidence[:, 0], log_odds(answer.detach()))
    return loss


def log_odds(logits: Tensor) -> Tensor:
    """(B,): log(p / (1 - p)) of the largest softmax probability p of logits (B, K), at most 14.

    One in a million is as good as never; a wider range would only coarsen the int8 code of the confidence.
    """
    top = logits.max(1)
    others = logits.scatter(1, top.indices[:, None], -torch.inf)
    return (top.values - torch.logsumexp(others, 1)).clamp_max(_MOST_LOG_ODDS)
