"""What each loss of EENet and PTEEnet makes of a batch: a term per early exit, and one of the whole network.

Mixtures are computed as logarithms of the probability of the one class that is asked for, so that nothing has to be
clamped: at any logits float32 can hold the terms are finite and their gradients at most one per image.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ptee_mcu.errors import DataError
from ptee_mcu.train.recipe import Loss


@dataclass(frozen=True, slots=True, eq=False)
class HeadOutputs:
    """What N early exits and the final one said about a batch.

    `logits` (B, K) and `confidences` (B, 1), ahead of the sigmoid, per early exit; `final_logits` (B, K); `labels`
    (B,), what the exits should answer.
    """

    logits: tuple[Tensor, ...]
    confidences: tuple[Tensor, ...]
    final_logits: Tensor
    labels: Tensor

    def losses(self) -> Tensor:
        """(N + 1, B): cross-entropy of every exit, the final one last."""
        return cross_entropies(torch.stack([*self.logits, self.final_logits]), self.labels)

    def stacked_confidences(self) -> Tensor:
        """(N, B), ahead of the sigmoid."""
        return torch.cat(self.confidences, 1).T

    def only(self, exits: frozenset[int] | None) -> "HeadOutputs":
        """The same values, gradients passing through the early exits `exits` alone; None: through all."""
        if exits is None:
            return self
        return replace(
            self,
            logits=tuple(t if i in exits else t.detach() for i, t in enumerate(self.logits)),
            confidences=tuple(t if i in exits else t.detach() for i, t in enumerate(self.confidences)),
        )


def head_outputs(
    logits: Sequence[Tensor], confidences: Sequence[Tensor], final_logits: Tensor, labels: Tensor | None = None
) -> HeadOutputs:
    """Verified HeadOutputs; without `labels` the final exit's own answers are the labels.

    Raises:
        DataError: where shapes do not fit.
    """
    asked = final_logits.detach().argmax(1) if labels is None else labels
    batch = len(final_logits)
    expected = [*[final_logits.shape] * len(logits), *[(batch, 1)] * len(logits), (batch,)]
    given = [*(t.shape for t in logits), *(t.shape for t in confidences), asked.shape]
    if list(map(tuple, given)) != list(map(tuple, expected)):
        raise DataError(
            f"outputs of the exits have shapes {list(map(tuple, given))}, {list(map(tuple, expected))} are expected"
        )
    return HeadOutputs(tuple(logits), tuple(confidences), final_logits, asked)


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """A loss in parts: (N, B) of the early exits, zeros where it has none; and a scalar of all exits together."""

    per_exit: Tensor
    whole: Tensor


def independent(outputs: HeadOutputs, _costs: Sequence[float], _cost_weight: float) -> Terms:
    """EENet v0: the cross-entropy of every exit."""
    losses = outputs.losses()
    return Terms(losses[:-1], losses[-1].mean())


def first_mixture(outputs: HeadOutputs, costs: Sequence[float], cost_weight: float) -> Terms:
    """EENet v1: the mixture from the first exit on."""
    mixtures = _mixtures(outputs, costs, cost_weight)
    return Terms(torch.zeros_like(mixtures[:-1]), mixtures[0].mean())


def every_mixture(outputs: HeadOutputs, costs: Sequence[float], cost_weight: float) -> Terms:
    """EENet v2: the mixtures from every exit on, the final one included."""
    mixtures = _mixtures(outputs, costs, cost_weight)
    return Terms(mixtures[:-1], mixtures[-1].mean())


def suffix_mixtures(outputs: HeadOutputs, costs: Sequence[float], cost_weight: float) -> Terms:
    """PTEEnet equation 4: the mixtures from every early exit on."""
    terms = every_mixture(outputs, costs, cost_weight)
    return replace(terms, whole=torch.zeros_like(terms.whole))


def mean_confidences(outputs: HeadOutputs, costs: Sequence[float], cost_weight: float) -> Terms:
    """EENet v3: losses and costs of the exits by their share of the confidence, the final exit's being one.

    EENet lets an exit trained so answer where its confidence is above 1 / N, N the number of early exits, instead of
    1 / 2; thresholds that are chosen afterwards need neither.
    """
    losses = outputs.losses()
    means = torch.sigmoid(outputs.stacked_confidences()).mean(1)
    shares = torch.cat([means, torch.ones_like(means[:1])])
    shares = shares / shares.sum()
    whole = (shares * (losses.mean(1) + cost_weight * _like(losses, costs))).sum()
    return Terms(torch.zeros_like(losses[:-1]), whole)


def best_exits(outputs: HeadOutputs, costs: Sequence[float], cost_weight: float) -> Terms:
    """EENet v4: each image belongs to one exit; that exit learns to answer it, the confidences learn whose it is.

    The tag is argmin_i of NLL_i + lambda c_i, the earliest of equals. It depends on that image's outputs and no other
    image's, so tags of a batch are those of a pass over the whole training set by the heads as they are now; EENet
    keeps the tags of such a pass for an epoch and thus trains against heads that are up to an epoch old. Confidence i
    learns 1[tag = i] by binary cross-entropy, either class weighted by the other's share of the batch, as in EENet's
    code. The final exit's confidence is one: nothing to learn.
    """
    losses = outputs.losses()
    losses = losses + cost_weight * _like(losses, costs)[:, None]
    tags = losses.detach().argmin(0)
    h = outputs.stacked_confidences()
    target = F.one_hot(tags, len(losses)).T[:-1].to(h.dtype)
    share = target.mean(1, keepdim=True)
    weight = target * (1 - share) + (1 - target) * share
    learnt = F.binary_cross_entropy_with_logits(h, target, weight, reduction="none")
    return Terms(learnt, losses.gather(0, tags[None]).mean())


TERMS: Mapping[Loss, Callable[[HeadOutputs, Sequence[float], float], Terms]] = {
    Loss.V0: independent,
    Loss.V1: first_mixture,
    Loss.V2: every_mixture,
    Loss.V3: mean_confidences,
    Loss.V4: best_exits,
    Loss.SUFFIX: suffix_mixtures,
}


def cross_entropies(logits: Tensor, labels: Tensor) -> Tensor:
    """(N, B) of logits (N, B, K) at labels (B,)."""
    return F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(logits)), reduction="none").view(logits.shape[:2])


def _mixtures(outputs: HeadOutputs, costs: Sequence[float], cost_weight: float) -> Tensor:
    """(N + 1, B): NLL(Y_n) + lambda C_n per exit, the final one last.

    From the back, with h the sigmoid of an exit's confidence, y its softmax and c its cost: Y_N = y_N, C_N = c_N;
    Y_n = h y_n + (1 - h) Y_{n+1}, C_n = h c_n + (1 - h) C_{n+1}. PTEEnet prints c_{n+1} there; its code does this.
    """
    h, log_p = outputs.stacked_confidences(), -outputs.losses()
    leave, stay, passed = F.logsigmoid(h) + log_p[:-1], F.logsigmoid(-h), torch.sigmoid(-h)
    own = _like(h, costs[:-1])[:, None] * torch.sigmoid(h)
    mixed, cost = log_p[-1], torch.full_like(log_p[-1], costs[-1])
    logs, spent = [mixed], [cost]
    for n in reversed(range(len(h))):
        mixed = torch.logaddexp(leave[n], stay[n] + mixed)
        cost = own[n] + passed[n] * cost
        logs.append(mixed)
        spent.append(cost)
    return cost_weight * torch.stack(spent[::-1]) - torch.stack(logs[::-1])


def _like(tensor: Tensor, values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=tensor.dtype, device=tensor.device)
