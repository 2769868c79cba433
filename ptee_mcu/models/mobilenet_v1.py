"""MobileNetV1, the visual wake words network of MLPerf Tiny."""

import torch
from torch import Tensor, nn

from ptee_mcu.models.layers import SameConv2d, conv_bn_relu, initialise, scaled
from ptee_mcu.tensor import Shape

_BLOCKS = (  # channels at a multiplier of 1, stride
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip


class MobileNetV1(nn.Module):
    """A strided stem and thirteen depthwise separable blocks, block1 to block13.

    Source: Howard et al. 2017, table 1; mlcommons/tiny v1.0, benchmark/training/visual_wake_words/vww_model.py; the
    biases that BatchNorm makes redundant are left out.
    """

    def __init__(self, input_shape: Shape, classes: int, *, alpha: float, width: float = 1.0) -> None:
        """For inputs (1, H, W, C) in graph layout; `alpha`, the paper's multiplier, and `width` scale all channels."""
        super().__init__()
        _, h, w, inputs = input_shape
        channels = scaled(int(32 * alpha), width)
        stem = SameConv2d(inputs, channels, (3, 3), (h, w), stride=(2, 2))
        self.stem = conv_bn_relu(stem, channels)
        size = (-(-h // 2), -(-w // 2))
        for i, (full, stride) in enumerate(_BLOCKS, 1):
            out = scaled(int(full * alpha), width)
            self.add_module(f"block{i}", _separable(channels, out, stride, size))
            channels, size = out, (-(-size[0] // stride), -(-size[1] // stride))
        self.fc = nn.Linear(channels, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes)."""
        x = self.stem(x)
        for i in range(1, len(_BLOCKS) + 1):
            x = self.get_submodule(f"block{i}")(x)
        logits: Tensor = self.fc(torch.mean(x, (2, 3)))
        return logits


def _separable(channels: int, out: int, stride: int, size: tuple[int, int]) -> nn.Sequential:
    depthwise = SameConv2d(channels, channels, (3, 3), size, stride=(stride, stride), groups=channels)
    return nn.Sequential(conv_bn_relu(depthwise, channels), conv_bn_relu(nn.Conv2d(channels, out, 1, bias=False), out))
