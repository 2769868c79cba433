"""The training loop: Adam, learning rate falling to zero as a cosine, an end where the loss is no number."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ptee_mcu.errors import ModelError
from ptee_mcu.train.batches import Batches
from ptee_mcu.train.recipe import BackboneRecipe, HeadRecipe, Progress


def descend(
    what: str,
    parameters: Iterable[nn.Parameter],
    loss_of: Callable[[Tensor], Tensor],
    batches: Batches,
    recipe: BackboneRecipe | HeadRecipe,
    progress: Progress,
) -> None:
    """Minimises `loss_of` (indices of a batch's images) over `parameters`, in place.

    Args:
        what: is trained, for messages.
        parameters: to train.
        loss_of: mean loss of a batch.
        batches: of the training images.
        recipe: epochs, learning rate and weight decay.
        progress: told after every batch.

    Raises:
        ModelError: where training diverges.
    """
    total = recipe.epochs * len(batches)
    optimizer = torch.optim.Adam(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    done = 0
    for epoch in range(recipe.epochs):
        for index in batches.epoch():
            loss = loss_of(index)
            if not torch.isfinite(loss):
                raise ModelError(
                    f"{what}: training diverged in epoch {epoch + 1} of {recipe.epochs}",
                    hint=f"lower the learning rate, now {recipe.lr}",
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            done += 1
            progress(done, total, f"{what}, epoch {epoch + 1} of {recipe.epochs}, loss {loss.item():.3f}")
