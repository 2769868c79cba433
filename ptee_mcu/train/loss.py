"""The objective that exit heads are trained by: a loss of EENet or PTEEnet and what is added to it."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ptee_mcu.errors import ConfigError
from ptee_mcu.train.confidence import ConfidenceTarget
from ptee_mcu.train.recipe import Loss
from ptee_mcu.train.terms import TERMS, HeadOutputs, Terms, cross_entropies

_MOST_LOG_ODDS = 14.0
_DISTILLATION = 0.2  # of a nat of cross-entropy per unit of log-odds
_LEAST_WEIGHT = 0.05  # of an image ahead of normalisation: no head forgets what earlier exits usually keep


@dataclass(frozen=True, slots=True)
class Objective:
    """A scalar loss of what the exits said about a batch: the mean over images of everything below, summed.

    Attributes:
        kind: the loss.
        costs: of leaving at each exit, the final one included, relative to the bare backbone. They charge every head
            on the way, so the last is above 1; EENet and PTEEnet charge the last head alone and call the last 1.
        cost_weight: lambda.
        auxiliary: weight of, for every exit, the cross-entropy on all images plus the confidence's distance to its
            target. The mixtures train a classifier only on what its confidence lets out, and a confidence only to the
            sharpness of one decision; thresholds that are chosen afterwards need both good everywhere.
        confidence: that target.
        kl: weight of T^2 KL(backbone softened by T || exit softened by T) for every exit.
        kl_temperature: T.
        survivors: in [0, 1], how much an image counts less for exit n where earlier exits would keep it; at 1 by the
            product over j < n of 1 - sigmoid(h_j), never below 0.05, the mean over the batch always 1. It weighs
            every per-exit term; losses v1 and v3 have none of their own, v4 only those of its confidences.
        active: the early exits that learn, None: all. No other exit has per-exit terms or gets a gradient; within
            mixtures, v3's shares and v4's tags all take part with the values they have. Where heads are trained one
            after another, first to last, give the outputs and costs of those so far and the final exit's: an
            untrained head has nothing to say.
    """

    kind: Loss
    costs: tuple[float, ...]
    cost_weight: float = 0.9
    auxiliary: float = 0.0
    confidence: ConfidenceTarget = ConfidenceTarget.LOG_ODDS
    kl: float = 0.0
    kl_temperature: float = 2.0
    survivors: float = 0.0
    active: frozenset[int] | None = None

    def __post_init__(self) -> None:
        early = len(self.costs) - 1
        if early < 1:
            raise ConfigError(f"costs of {len(self.costs)} exits, at least one early and the final one are needed")
        for name in ("cost_weight", "auxiliary", "kl"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, it must not be negative")
        if not self.kl_temperature > 0:
            raise ConfigError(f"kl_temperature is {self.kl_temperature}, it must be above 0")
        if not 0 <= self.survivors <= 1:
            raise ConfigError(f"survivors is {self.survivors}, it must lie in [0, 1]")
        if self.active is not None and not (self.active and self.active <= set(range(early))):
            raise ConfigError(f"active exits {sorted(self.active)}, some of 0 to {early - 1} are needed")

    def __call__(self, outputs: HeadOutputs) -> Tensor:
        """The loss; a batch of other exits than `costs` raises ConfigError."""
        if len(outputs.logits) + 1 != len(self.costs):
            raise ConfigError(f"outputs of {len(outputs.logits)} early exits, costs of {len(self.costs)} exits")
        outputs = outputs.only(self.active)
        terms = TERMS[self.kind](outputs, self.costs, self.cost_weight)
        per_exit = survivor_weights(outputs.stacked_confidences(), self.survivors) * self._per_exit(outputs, terms)
        learning = range(len(per_exit)) if self.active is None else sorted(self.active)
        return terms.whole + per_exit[list(learning)].mean(1).sum()

    def _per_exit(self, outputs: HeadOutputs, terms: Terms) -> Tensor:
        """(N, B): the loss's own terms and what is added to them."""
        added, logits = terms.per_exit, torch.stack(outputs.logits)
        if self.auxiliary:
            distance = confidence_loss(outputs.stacked_confidences(), logits.detach(), outputs.labels, self.confidence)
            added = added + self.auxiliary * (cross_entropies(logits, outputs.labels) + distance)
        if self.kl:
            added = added + self.kl * softened_kl(outputs.final_logits.detach(), logits, self.kl_temperature)
        return added


Stages = tuple[tuple[int, Objective], ...]  # number of its first epoch, from 0 and ascending; an objective


def objective_at(stages: Stages, epoch: int) -> Objective:
    """The objective of epoch `epoch`, counted from 0."""
    return [objective for first, objective in stages if first <= epoch][-1]


def two_stage(objective: Objective, epochs: int = 25) -> Stages:
    """EENet's schedule: v0 for `epochs` epochs, `objective` from then on.

    Raises:
        ConfigError: where `epochs` is below 1.
    """
    if epochs < 1:
        raise ConfigError(f"a first stage of {epochs} epochs", hint="give at least 1, or train in one stage")
    return (0, replace(objective, kind=Loss.V0)), (epochs, objective)


def survivor_weights(confidences: Tensor, strength: float) -> Tensor:
    """(N, B), mean 1 per exit, without gradient: how much images count; confidences (N, B) ahead of the sigmoid.

    `strength` as Objective.survivors.

    Source: importance weights of CalexNet (arXiv 2509.08318), by confidences instead of decisions because thresholds
    are chosen after training.
    """
    stay = torch.sigmoid(-confidences.detach())
    passed = torch.cat([torch.ones_like(stay[:1]), stay[:-1]]).cumprod(0)
    counts = (1 - strength * (1 - passed)).clamp_min(_LEAST_WEIGHT)
    return counts / counts.mean(1, keepdim=True)


def confidence_loss(confidences: Tensor, logits: Tensor, labels: Tensor, target: ConfidenceTarget) -> Tensor:
    """(N, B): distance of confidences (N, B), ahead of the sigmoid, to what logits (N, B, K) and labels (B,) ask for.

    LOG_ODDS asks for the log-odds of the classifier's first choice, not whether that choice is right: on images the
    backbone was trained on it nearly always is. AGREEMENT asks just that.
    """
    if target is ConfidenceTarget.LOG_ODDS:
        return _DISTILLATION * F.smooth_l1_loss(confidences, log_odds(logits), reduction="none")
    agrees = (logits.argmax(-1) == labels).to(confidences.dtype)
    return F.binary_cross_entropy_with_logits(confidences, agrees, reduction="none")


def softened_kl(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) over the last axis of logits, which broadcast.

    Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, arXiv 1503.02531, section 2.
    """
    wanted, given = (F.log_softmax(logits / temperature, -1) for logits in (teacher, student))
    return temperature**2 * (wanted.exp() * (wanted - given)).sum(-1)


def log_odds(logits: Tensor) -> Tensor:
    """(...,): log(p / (1 - p)) of the largest softmax probability p of logits (..., K), at most 14.

    One in a million is as good as never; a wider range would only coarsen the int8 code of the confidence.
    """
    top = logits.max(-1)
    others = logits.scatter(-1, top.indices[..., None], -torch.inf)
    return (top.values - torch.logsumexp(others, -1)).clamp_max(_MOST_LOG_ODDS)
