"""The anomaly detection network of MLPerf Tiny: the distance between input and output is the anomaly."""

from torch import Tensor, nn

from ptee_mcu.models.layers import initialise, scaled
from ptee_mcu.tensor import Shape

_WIDTHS = (128, 128, 128, 128, 8, 128, 128, 128, 128)


class Autoencoder(nn.Module):
    """Nine blocks of Linear, BatchNorm and ReLU through a bottleneck of 8, and a Linear back.

    Source: Koizumi et al. 2019 (ToyADMOS); mlcommons/tiny v1.0, benchmark/training/anomaly_detection/keras_model.py;
    the biases that BatchNorm makes redundant are left out.
    """

    def __init__(self, input_shape: Shape, classes: int, *, width: float = 1.0) -> None:
        """For inputs (1, features); `classes` is how many features come out, `width` scales those between."""
        super().__init__()
        features = input_shape[-1]
        for i, usual in enumerate(_WIDTHS, 1):
            out = scaled(usual, width)
            block = nn.Sequential(nn.Linear(features, out, bias=False), nn.BatchNorm1d(out), nn.ReLU())
            self.add_module(f"block{i}", block)
            features = out
        self.fc = nn.Linear(features, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction (N, features)."""
        for i in range(1, len(_WIDTHS) + 1):
            x = self.get_submodule(f"block{i}")(x)
        logits: Tensor = self.fc(x)
        return logits
