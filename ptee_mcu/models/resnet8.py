"""ResNet-8, the image classification network of MLPerf Tiny."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ptee_mcu.models.layers import SameConv2d, initialise, scaled
from ptee_mcu.tensor import Shape


class Stack(nn.Module):
    """Two 3x3 convolutions and a shortcut: the identity, or a strided 1x1 convolution without BatchNorm."""

    def __init__(self, channels: int, out: int, stride: int, size: tuple[int, int]) -> None:
        """For an input of height and width `size`."""
        super().__init__()
        small = (-(-size[0] // stride), -(-size[1] // stride))
        self.conv1 = SameConv2d(channels, out, (3, 3), size, stride=(stride, stride))
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = SameConv2d(out, out, (3, 3), small)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(channels, out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, out, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet8(nn.Module):
    """Stem and three stacks of 16, 32 and 64 channels.

    Source: mlcommons/tiny v1.0, benchmark/training/image_classification/keras_model.py; the biases that BatchNorm
    makes redundant are left out.
    """

    def __init__(self, input_shape: Shape, classes: int, *, width: float = 1.0) -> None:
        """For inputs (1, H, W, C) in graph layout; `width` scales all channels."""
        super().__init__()
        _, h, w, channels = input_shape
        first, second, third = (scaled(usual, width) for usual in (16, 32, 64))
        self.conv = SameConv2d(channels, first, (3, 3), (h, w))
        self.bn = nn.BatchNorm2d(first)
        self.stack1 = Stack(first, first, 1, (h, w))
        self.stack2 = Stack(first, second, 2, (h, w))
        self.stack3 = Stack(second, third, 2, (-(-h // 2), -(-w // 2)))
        self.fc = nn.Linear(third, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes)."""
        x = F.relu(self.bn(self.conv(x)))
        x = self.stack3(self.stack2(self.stack1(x)))
        logits: Tensor = self.fc(torch.mean(x, (2, 3)))
        return logits
