"""DS-CNN, the keyword spotting network of MLPerf Tiny."""

import torch
from torch import Tensor, nn

from ptee_mcu.models.layers import SameConv2d, conv_bn_relu, initialise
from ptee_mcu.tensor import Shape


class DsCnn(nn.Module):
    """A 10x4 convolution of stride 2 and four depthwise separable blocks of `width` channels.

    Source: Zhang et al. 2017 (Hello Edge); mlcommons/tiny v1.0, benchmark/training/keyword_spotting/keras_model.py;
    the biases that BatchNorm makes redundant are left out.
    """

    def __init__(self, input_shape: Shape, classes: int, *, width: int = 64) -> None:
        """For inputs (1, frames, coefficients, 1) in graph layout."""
        super().__init__()
        _, h, w, channels = input_shape
        size = (-(-h // 2), -(-w // 2))
        stem = SameConv2d(channels, width, (10, 4), (h, w), stride=(2, 2))
        self.stem = nn.Sequential(conv_bn_relu(stem, width), nn.Dropout(0.2))
        self.block1, self.block2, self.block3, self.block4 = (_separable(width, size) for _ in range(4))
        self.dropout = nn.Dropout(0.4)
        self.fc = nn.Linear(width, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes)."""
        x = self.block4(self.block3(self.block2(self.block1(self.stem(x)))))
        logits: Tensor = self.fc(torch.mean(self.dropout(x), (2, 3)))
        return logits


def _separable(width: int, size: tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(
        conv_bn_relu(SameConv2d(width, width, (3, 3), size, groups=width), width),
        conv_bn_relu(nn.Conv2d(width, width, 1, bias=False), width),
    )
