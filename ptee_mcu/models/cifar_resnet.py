"""ResNets for 32x32 images: three stages of 16, 32 and 64 channels, or as many times `width`."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ptee_mcu.models.layers import initialise, scaled
from ptee_mcu.tensor import Shape

Shortcut = Literal["pad", "conv"]


class PadShortcut(nn.Module):
    """Every second pixel, new channels filled with zeros: a shortcut without parameters (option A)."""

    def __init__(self, extra: int) -> None:
        """With `extra` new channels, half before and half behind the old ones."""
        super().__init__()
        self.extra = extra

    def forward(self, x: Tensor) -> Tensor:
        """(N, C + extra, H / 2, W / 2)."""
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        """The shortcut is the identity, or option A where the shape changes."""
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity() if stride == 1 else PadShortcut(out - channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, out, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y)) + self.shortcut(x)
        return F.relu(y)


class CifarResNet(nn.Module):
    """ResNet of 6n + 2 layers.

    Source: He et al. 2016, section 4.2. Option A has shortcuts without parameters, as akamaster/pytorch_resnet_cifar10;
    "conv" has 1x1 convolutions with BatchNorm, as chenyaofo/pytorch-cifar-models.
    """

    # Patterns of names in the two repositories' files that differ from those here.
    renames = ((r"^linear\.", "fc."), (r"\.downsample\.", ".shortcut."))

    def __init__(self, input_shape: Shape, classes: int, *, depth: int, width: float = 1.0) -> None:
        """For inputs (1, H, W, C) in graph layout; `width` scales all channels."""
        super().__init__()
        assert depth % 6 == 2
        first, second, third = (scaled(channels, width) for channels in (16, 32, 64))
        self.conv1 = nn.Conv2d(input_shape[-1], first, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        n = (depth - 2) // 6
        self.layer1 = _stage(first, first, 1, n)
        self.layer2 = _stage(first, second, 2, n)
        self.layer3 = _stage(second, third, 2, n)
        self.fc = nn.Linear(third, classes)
        initialise(self)

    def use_shortcuts(self, kind: Shortcut) -> None:
        """Replaces the shortcuts that change the shape; new convolutions are randomly initialised."""
        for stage in (self.layer2, self.layer3):
            block = stage[0]
            assert isinstance(block, BasicBlock)
            channels, out = block.conv1.in_channels, block.conv1.out_channels
            if kind == "pad":
                block.shortcut = PadShortcut(out - channels)
            else:
                block.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, 2, bias=False), nn.BatchNorm2d(out))
                initialise(block.shortcut)

    def adapt_to(self, keys: frozenset[str]) -> None:
        """Takes the shortcuts that a file with these (renamed) keys was trained with."""
        self.use_shortcuts("conv" if "layer2.0.shortcut.0.weight" in keys else "pad")

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(torch.mean(x, (2, 3)))
        return logits


def _stage(channels: int, out: int, stride: int, blocks: int) -> nn.Sequential:
    first = BasicBlock(channels, out, stride)
    return nn.Sequential(first, *(BasicBlock(out, out, 1) for _ in range(blocks - 1)))
