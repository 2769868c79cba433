"""The training loop: gradient steps, a falling learning rate, checkpoints, an end where the loss is no number."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ptee_mcu.errors import ModelError
from ptee_mcu.train.checkpoint import Checkpoint
from ptee_mcu.train.recipe import BackboneRecipe, HeadRecipe, Optimizer, Progress, Schedule


class Source(Protocol):
    """Where batches come from: a generator of everything random, and an order of images per epoch."""

    generator: torch.Generator

    def __len__(self) -> int:
        """Batches per epoch."""

    def epoch(self, number: int) -> list[Tensor]:
        """Indices of the images of each batch of an epoch, shuffled anew."""


def descend(
    what: str,
    module: nn.Module,
    loss_of: Callable[[Tensor, int], Tensor],
    batches: Source,
    recipe: BackboneRecipe | HeadRecipe,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Minimises `loss_of` (indices of a batch's images, number of the epoch) over the parameters of `module`, in place.

    Taken up from a checkpoint, it ends with the weights that it would have had without the interruption.

    Args:
        what: is trained, for messages.
        module: to train.
        loss_of: mean loss of a batch.
        batches: of the training images.
        recipe: epochs, optimizer, learning rate and weight decay.
        progress: told after every batch.
        checkpoint: where the state is kept.

    Raises:
        ModelError: where training diverges, or the checkpoint cannot be used.
    """
    total = recipe.epochs * len(batches)
    run = _Run(module, recipe, batches, total)
    keep = checkpoint or Checkpoint(None, what)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)  # of Dropout
        run.restore(keep.load())
        for index in run.remaining():
            loss = loss_of(index, run.done // len(batches))
            if not torch.isfinite(loss):
                raise ModelError(
                    f"{what}: training diverged in epoch {run.epoch + 1} of {recipe.epochs}",
                    hint=f"lower the learning rate, now {recipe.lr}",
                )
            run.step(loss)
            if keep.due() or run.done == total:
                keep.save(run.state())
            progress(run.done, total, f"{what}, epoch {run.epoch + 1} of {recipe.epochs}, loss {loss.item():.3f}")


class _Run:
    """Everything that changes while a training runs."""

    def __init__(self, module: nn.Module, recipe: BackboneRecipe | HeadRecipe, batches: Source, total: int) -> None:
        self.module, self.recipe, self.batches = module, recipe, batches
        self.optimizer = _optimizer([p for p in module.parameters() if p.requires_grad], recipe)
        self.schedule = _schedule(self.optimizer, recipe, total)
        self.done = 0
        self.order: list[Tensor] = []

    @property
    def epoch(self) -> int:
        """Number of the epoch that the last step belongs to."""
        return max(0, self.done - 1) // len(self.batches)

    def remaining(self) -> Iterator[Tensor]:
        """Batches of the steps that are still to be done."""
        for step in range(self.done, self.recipe.epochs * len(self.batches)):
            position = step % len(self.batches)
            if position == 0:
                self.order = self.batches.epoch(step // len(self.batches))
            yield self.order[position]

    def step(self, loss: Tensor) -> None:
        """One step along the gradient of `loss`."""
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        self.done += 1

    def state(self) -> dict[str, Any]:
        """As `restore` takes it."""
        return {
            "done": self.done,
            "order": self.order,
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "shuffle": self.batches.generator.get_state(),
            "dropout": torch.get_rng_state(),
        }

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Goes on from `state`, where there is one."""
        if state is None:
            return
        self.done, self.order = state["done"], state["order"]
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.batches.generator.set_state(state["shuffle"])
        torch.set_rng_state(state["dropout"])


def _optimizer(parameters: list[nn.Parameter], recipe: BackboneRecipe | HeadRecipe) -> torch.optim.Optimizer:
    if isinstance(recipe, HeadRecipe) or recipe.optimizer is Optimizer.ADAM:
        return torch.optim.Adam(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    momentum, decay = recipe.momentum, recipe.weight_decay
    return torch.optim.SGD(parameters, lr=recipe.lr, momentum=momentum, nesterov=momentum > 0, weight_decay=decay)


def _schedule(
    optimizer: torch.optim.Optimizer, recipe: BackboneRecipe | HeadRecipe, total: int
) -> torch.optim.lr_scheduler.LRScheduler:
    if isinstance(recipe, BackboneRecipe) and recipe.schedule is Schedule.ONE_CYCLE:
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=total + 1)
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
