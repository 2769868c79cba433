"""Shuffled, augmented, normalised batches of training images."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ptee_mcu.data import Images, Labels
from ptee_mcu.errors import DataError
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.tensor import Shape
from ptee_mcu.train.recipe import Augment, usual_augment

_PAD = 4


class Batches:
    """Batches of one image set, the same for the same seed."""

    def __init__(
        self, x: Images, size: int, *, augment: Augment | None, normalisation: Normalisation | None, seed: int
    ) -> None:
        """Of images (N, H, W, C): uint8 pixels that `normalisation` maps to inputs, or float32 inputs without one."""
        self.x = x
        self.size = min(size, len(x))
        self.augment = usual_augment(x.shape[1:]) if augment is None else augment
        self.normalisation = normalisation
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        """Batches per epoch; images that fill none wait for the next shuffle."""
        return len(self.x) // self.size

    def epoch(self, _number: int) -> list[Tensor]:
        """Indices of the images of each batch, shuffled anew."""
        order = torch.randperm(len(self.x), generator=self.generator)
        return list(torch.split(order[: len(self) * self.size], self.size))

    def inputs(self, index: Tensor) -> Tensor:
        """Network inputs (n, H, W, C), float32, of the images `index`, augmented."""
        images = self.x[index.numpy()]
        if self.augment is Augment.CROP_FLIP:
            images = self._crop_flip(images)
        return inputs_of(images, self.normalisation)

    def _crop_flip(self, images: Images) -> Images:
        n, h, w, _ = images.shape
        offset = torch.randint(0, 2 * _PAD + 1, (n, 2), generator=self.generator)
        mirrored = torch.rand(n, generator=self.generator) < 0.5
        rows = offset[:, :1] + torch.arange(h)
        columns = offset[:, 1:] + torch.arange(w)
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
        padded = F.pad(torch.from_numpy(images), (0, 0, _PAD, _PAD, _PAD, _PAD))
        cropped: Images = padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]].numpy()
        return cropped


def require_images(x: Images, input_shape: Shape, normalisation: Normalisation | None) -> None:
    """Holds training images against the network and against how they become inputs.

    Raises:
        DataError: where they are empty, of another shape, or pixels without a normalisation or the reverse.
    """
    if x.shape[1:] != input_shape[1:] or not len(x):
        raise DataError(f"training images have shape {x.shape}, the network takes {('N', *input_shape[1:])}")
    if (x.dtype == "uint8") != (normalisation is not None):
        raise DataError(
            f"training images are {x.dtype} {'without a' if normalisation is None else 'with a'} normalisation",
            hint="give mean and std for uint8 pixels, and for pixels alone",
        )
    if normalisation is not None and len(normalisation.mean) != x.shape[-1]:
        raise DataError(f"mean and std have {len(normalisation.mean)} channels, the images {x.shape[-1]}")


def require_labels(y: Labels, x: Images, classes: int) -> None:
    """Holds labels against their images and the network's classes.

    Raises:
        DataError: where there are more or fewer than images, or one lies outside the classes.
    """
    if len(y) != len(x) or y.min() < 0 or y.max() >= classes:
        raise DataError(f"{len(y)} labels from {y.min()} to {y.max()} for {len(x)} images and {classes} classes")


def inputs_of(x: Images, normalisation: Normalisation | None) -> Tensor:
    """Network inputs, float32, of the images `x`: normalised, or a copy where they are inputs already."""
    if normalisation is None:
        return torch.from_numpy(np.array(x, dtype=np.float32))
    return torch.from_numpy(normalisation.apply(x.astype(np.uint8, copy=False)))
