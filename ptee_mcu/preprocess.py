"""How pixels become network inputs: the same for training, simulator and C."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import ConfigError
from ptee_mcu.tensor import Float, Int8, Quant, UInt8, readonly


@dataclass(frozen=True, slots=True)
class Normalisation:
    """(pixel / 255 - mean) / std per channel, pixels in 0..255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ConfigError(f"mean has {len(self.mean)} channels, std has {len(self.std)}")
        if any(not s > 0 for s in self.std):
            raise ConfigError(f"std {self.std} holds a value that is not positive")

    def apply(self, pixels: UInt8) -> Float:
        """Real inputs (..., C), float32, of pixels (..., C)."""
        levels = self._levels().astype(np.float32)
        reals: Float = levels[pixels, np.arange(pixels.shape[-1])]
        return reals

    def table(self, source: Quant) -> Int8:
        """Input codes: row = pixel value, column = channel, int8 (256, C)."""
        return readonly(source.codes(self._levels()), np.int8)

    def _levels(self) -> npt.NDArray[np.float64]:
        pixel = np.arange(256, dtype=np.float64)[:, None] / 255.0
        levels: npt.NDArray[np.float64] = (pixel - np.asarray(self.mean)) / np.asarray(self.std)
        return levels
