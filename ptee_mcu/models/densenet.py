"""DenseNets for 32x32 images: every layer of a block reads the outputs of all layers before it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ptee_mcu.models.layers import initialise, scaled
from ptee_mcu.tensor import Shape


class PlainLayer(nn.Module):
    """BatchNorm, ReLU and a 3x3 convolution to `growth` new channels, put in front of the old ones."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, growth, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, growth + channels, H, W)."""
        return torch.cat([self.conv(F.relu(self.bn(x))), x], 1)


class BottleneckLayer(nn.Module):
    """As PlainLayer, behind a 1x1 convolution to four times `growth` channels."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        inner = 4 * growth
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, growth, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, growth + channels, H, W)."""
        y = self.conv1(F.relu(self.bn1(x)))
        return torch.cat([self.conv2(F.relu(self.bn2(y))), x], 1)


class Transition(nn.Module):
    """BatchNorm, ReLU, a 1x1 convolution and a 2x2 average pool between two blocks."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, out, H / 2, W / 2)."""
        return F.avg_pool2d(self.conv(F.relu(self.bn(x))), 2)


class DenseNet(nn.Module):
    """A 3x3 stem without pooling, dense blocks block1, block2, ... with transitions between them, and one Linear.

    Source: Huang et al. 2017, section 3 and the CIFAR networks of section 4.2.
    """

    # Patterns of names in chenhang98's files that differ from those here.
    renames = ((r"^dense_block(\d)\.dense_layers\.", r"block\1."),)

    _layer: type[PlainLayer | BottleneckLayer]
    _compression: float

    def __init__(
        self,
        input_shape: Shape,
        classes: int,
        *,
        layers: tuple[int, ...],
        stem: int,
        growth: int,
        width: float = 1.0,
    ) -> None:
        """For inputs (1, H, W, C) in graph layout.

        Args:
            input_shape: of the images.
            classes: how many logits.
            layers: per dense block.
            stem: channels of the first convolution.
            growth: channels that each layer adds.
            width: scales `stem` and `growth`, and with them all channels.
        """
        super().__init__()
        channels, growth = scaled(stem, width), scaled(growth, width)
        self.blocks = len(layers)
        self.conv = nn.Conv2d(input_shape[-1], channels, 3, 1, 1, bias=False)
        for i, count in enumerate(layers, 1):
            block = [self._layer(channels + j * growth, growth) for j in range(count)]
            self.add_module(f"block{i}", nn.Sequential(*block))
            channels += count * growth
            if i < self.blocks:
                out = scaled(channels, self._compression)
                self.add_module(f"transition{i}", Transition(channels, out))
                channels = out
        self.bn = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes)."""
        x = self.conv(x)
        for i in range(1, self.blocks + 1):
            x = self.get_submodule(f"block{i}")(x)
            if i < self.blocks:
                x = self.get_submodule(f"transition{i}")(x)
        logits: Tensor = self.fc(torch.mean(F.relu(self.bn(x)), (2, 3)))
        return logits


class PlainDenseNet(DenseNet):
    """Without bottlenecks and compression, as DenseNet-40."""

    _layer = PlainLayer
    _compression = 1.0


class BottleneckDenseNet(DenseNet):
    """DenseNet-BC: bottleneck layers, and transitions that halve the channels, as DenseNet-121."""

    _layer = BottleneckLayer
    _compression = 0.5
