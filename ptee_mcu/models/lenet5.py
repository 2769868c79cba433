"""LeNet-5 with ReLU and max pooling."""

from torch import Tensor, nn

from ptee_mcu.models.layers import initialise, scaled
from ptee_mcu.tensor import Shape


class LeNet5(nn.Module):
    """Two blocks of 5x5 convolution and 2x2 pooling, three fully connected layers.

    Source: LeCun et al. 1998; the layer sizes of the paper, the activations of today. Images of 28x28 are padded to
    the paper's 32x32 by the first convolution.
    """

    def __init__(self, input_shape: Shape, classes: int, *, width: float = 1.0) -> None:
        """For inputs (1, H, W, C) in graph layout, at least 28x28; `width` scales channels and hidden features."""
        super().__init__()
        _, h, w, channels = input_shape
        first, second, third, fourth = (scaled(size, width) for size in (6, 16, 120, 84))
        self.block1 = nn.Sequential(nn.Conv2d(channels, first, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2))
        self.block2 = nn.Sequential(nn.Conv2d(first, second, 5), nn.ReLU(), nn.MaxPool2d(2))
        features = second * ((h // 2 - 4) // 2) * ((w // 2 - 4) // 2)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(features, third),
            nn.ReLU(),
            nn.Linear(third, fourth),
            nn.ReLU(),
            nn.Linear(fourth, classes),
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes)."""
        logits: Tensor = self.classifier(self.block2(self.block1(x)))
        return logits
