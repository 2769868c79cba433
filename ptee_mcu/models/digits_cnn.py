"""A residual network small enough to be trained while one waits."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ptee_mcu.models.layers import initialise, scaled
from ptee_mcu.tensor import Shape


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: the identity, or a 1x1 convolution where the shape changes."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        """The first convolution has the stride."""
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        same = channels == out and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, out, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class DigitsCnn(nn.Module):
    """Stem and three blocks of 8, 16 and 32 channels; widths grow so that the later blocks hold most of the work."""

    def __init__(self, input_shape: Shape, classes: int, *, width: float = 1.0) -> None:
        """For inputs (1, H, W, C) in graph layout, meant for 8x8 pixels; `width` scales all channels."""
        super().__init__()
        first, second, third = (scaled(channels, width) for channels in (8, 16, 32))
        self.conv = nn.Conv2d(input_shape[-1], first, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(first)
        self.block1 = Block(first, first, 1)
        self.block2 = Block(first, second, 1)
        self.block3 = Block(second, third, 2)
        self.fc = nn.Linear(third, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes)."""
        x = F.relu(self.bn(self.conv(x)))
        x = self.block3(self.block2(self.block1(x)))
        logits: Tensor = self.fc(torch.mean(x, (2, 3)))
        return logits
