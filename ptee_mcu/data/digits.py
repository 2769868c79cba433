"""The UCI handwritten digits that ship with the package: 1,797 images of 8x8, see digits.md."""

from importlib.resources import as_file, files

import numpy as np

from ptee_mcu.data.dataset import Dataset, make_dataset
from ptee_mcu.data.hashing import hold_out

CLASSES = tuple("0123456789")
HELD_OUT = 0.4  # of all images; the publisher's division into writers is not in this half of the set


def load_digits() -> Dataset:
    """The digits, uint8 (N, 8, 8, 1) with ink counts 0..16 stretched to 0..255; 60 % to train on, by hash.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI repository, 1998.
    """
    with as_file(files("ptee_mcu.data") / "digits.npz") as path, np.load(path, allow_pickle=False) as archive:
        x, y = archive["x"], archive["y"]
    kept, held = hold_out(x, HELD_OUT)
    return make_dataset("digits", (x[kept], y[kept]), (x[held], y[held]), CLASSES, official_test=False)
