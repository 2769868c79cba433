"""Layers that several networks share, and how a network becomes narrower or wider."""

from math import floor

from torch import Tensor, nn
from torch.nn import functional as F


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: where the padding is uneven, the odd element goes below and right.

    Source: TensorFlow, tf.nn.convolution, "Padding".
    """

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: tuple[int, int],
        size: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        groups: int = 1,
    ) -> None:
        """For an input of height and width `size`; without bias."""
        h, w = (max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride, strict=True))
        even = h % 2 == w % 2 == 0
        padding = (h // 2, w // 2) if even else (0, 0)
        super().__init__(channels, out, kernel, stride, padding, groups=groups, bias=False)
        self.uneven = None if even else (w // 2, w - w // 2, h // 2, h - h // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Output of height and width ceil(size / stride)."""
        return super().forward(x if self.uneven is None else F.pad(x, self.uneven))


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, to the nearest multiple of 4 and at least 4; `channels` itself where `width` is 1.

    Of 4, because the kernels of CMSIS-NN take that many int8 values at a time.
    """
    return channels if width == 1 else max(4, 4 * floor(channels * width / 4 + 0.5))


def conv_bn_relu(conv: nn.Module, channels: int) -> nn.Sequential:
    """`conv`, then BatchNorm2d and ReLU on its `channels`."""
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU())


def initialise(network: nn.Module) -> None:
    """He initialisation of every convolution and Linear; biases zero, last Linear small.

    Source: He et al. 2015, fan-out.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, nn.Linear):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="linear")
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
