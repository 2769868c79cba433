"""DS-CNN, the keyword spotting network of MLPerf Tiny."""

import torch
from torch import Tensor, nn

from ptee_mcu.models.layers import SameConv2d, conv_bn_relu, initialise, scaled
from ptee_mcu.tensor import Shape


class DsCnn(nn.Module):
    """A 10x4 convolution of stride 2 and four depthwise separable blocks of 64 channels.

    Source: Zhang et al. 2017 (Hello Edge); mlcommons/tiny v1.0, benchmark/training/keyword_spotting/keras_model.py;
    the biases that BatchNorm makes redundant are left out.
    """

    def __init__(self, input_shape: Shape, classes: int, *, width: float = 1.0) -> None:
        """For inputs (1, frames, coefficients, 1) in graph layout; `width` scales all channels."""
        super().__init__()
        _, h, w, channels = input_shape
        size = (-(-h // 2), -(-w // 2))
        inner = scaled(64, width)
        stem = SameConv2d(channels, inner, (10, 4), (h, w), stride=(2, 2))
        self.stem = nn.Sequential(conv_bn_relu(stem, inner), nn.Dropout(0.2))
        self.block1, self.block2, self.block3, self.block4 = (_separable(inner, size) for _ in range(4))
        self.dropout = nn.Dropout(0.4)
        self.fc = nn.Linear(inner, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes)."""
        x = self.block4(self.block3(self.block2(self.block1(self.stem(x)))))
        logits: Tensor = self.fc(torch.mean(self.dropout(x), (2, 3)))
        return logits


def _separable(channels: int, size: tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        conv_bn_relu(SameConv2d(channels, channels, (3, 3), size, groups=channels), channels),
        conv_bn_relu(nn.Conv2d(channels, channels, 1, bias=False), channels),
    )
