"""VGG networks with BatchNorm for 32x32 images: five stages of 3x3 convolutions, each halved by a max pool."""

import torch
from torch import Tensor, nn

from ptee_mcu.errors import ConfigError
from ptee_mcu.models.layers import conv_bn_relu, initialise, scaled
from ptee_mcu.tensor import Shape

_CHANNELS = (64, 128, 256, 512, 512)
_LEAST = 2 ** len(_CHANNELS)


class Vgg(nn.Module):
    """Stages stage0 to stage4, each followed by its max pool pool0 to pool4, and one Linear on the mean over H and W.

    Source: Simonyan and Zisserman 2015, table 1 (A, D and E) with the BatchNorm of Ioffe and Szegedy 2015; the two
    hidden Linear layers give way to one, as the 1x1 map that 32x32 images leave makes usual, and the biases that
    BatchNorm makes redundant are left out.
    """

    def __init__(self, input_shape: Shape, classes: int, *, convolutions: tuple[int, ...], width: float = 1.0) -> None:
        """For inputs (1, H, W, C) in graph layout; `convolutions` counts them per stage, `width` scales all channels.

        Raises:
            ConfigError: where the five max pools leave nothing of the images.
        """
        super().__init__()
        _, h, w, channels = input_shape
        if min(h, w) < _LEAST:
            raise ConfigError(
                f"VGG halves its images five times: {h}x{w} pixels are too few, {_LEAST}x{_LEAST} the least",
                hint="pad the images, or take a ResNet or a DenseNet",
            )
        for i, (usual, count) in enumerate(zip(_CHANNELS, convolutions, strict=True)):
            out = scaled(usual, width)
            layers = []
            for _ in range(count):
                layers.append(conv_bn_relu(nn.Conv2d(channels, out, 3, 1, 1, bias=False), out))
                channels = out
            self.add_module(f"stage{i}", nn.Sequential(*layers))
            self.add_module(f"pool{i}", nn.MaxPool2d(2))
        self.fc = nn.Linear(channels, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes)."""
        for i in range(len(_CHANNELS)):
            x = self.get_submodule(f"pool{i}")(self.get_submodule(f"stage{i}")(x))
        logits: Tensor = self.fc(torch.mean(x, (2, 3)))
        return logits
